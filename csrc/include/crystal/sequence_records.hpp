#pragma once
// Counted sequences as bytes: the records of sorted runs and of files, and the merge of many runs.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/hash.hpp"

namespace crystal {

// Little-endian: hash (8 + 8), count (8), cell (4), length of the key in bytes (4), the key.
struct SequenceRecord {
    static constexpr std::size_t kHead = 32;

    Hash128 hash;
    std::int64_t count = 0;
    std::uint32_t cell = 0;
    std::span<const std::uint8_t> key;

    // Reads the record at the start; returns the bytes that it takes, 0 where it is not whole.
    static std::size_t read(std::span<const std::uint8_t> bytes, SequenceRecord& record);
    void write(std::vector<std::uint8_t>& out) const;
    // How often records of one run are equal in this: never.
    bool same(const SequenceRecord& other) const noexcept;
};

// What a run's records ascend by: hash, then key, then the rank of the cell.
bool before(const SequenceRecord& a, const SequenceRecord& b, std::span<const std::uint32_t> ranks) noexcept;

// Merges sorted runs that come in pieces. The records of one run differ; equal ones of several are added up.
class RunMerger {
  public:
    static constexpr std::size_t kDone = SIZE_MAX, kFull = SIZE_MAX - 1;

    // ranks[c] is the place of cell c among the cells; records go out with it where `ranked`.
    RunMerger(std::size_t runs, std::vector<std::uint32_t> ranks, bool ranked);

    // Hands on the next bytes of a run; they may end inside a record, but the last ones.
    void feed(std::size_t run, std::span<const std::uint8_t> bytes, bool last);

    // Appends merged records to `out` and returns the run that must be fed, kFull once `out` has `limit`
    // bytes, or kDone. Throws BadBytes if a run is not what it must be.
    std::size_t advance(std::vector<std::uint8_t>& out, std::size_t limit);

  private:
    struct Source {
        std::vector<std::uint8_t> bytes;
        std::size_t at = 0;
        bool last = false, held = false, done = false;
        SequenceRecord head;
    };

    // False where the source must be fed.
    bool load(Source& source) const;

    std::vector<Source> sources_;
    std::vector<std::uint32_t> ranks_;
    bool ranked_;
};

// Checks records from outside one after another: what is accepted is what a table writes.
class RecordCheck {
  public:
    // `unit` is the bytes of one element; `length` those of every key, where all are as long (else 0).
    RecordCheck(bool verify, std::size_t unit, std::size_t length, std::size_t cells);

    // Returns the bytes of whole records at the start. Throws BadBytes.
    std::size_t check(std::span<const std::uint8_t> bytes);
    // Throws BadBytes if a cell has no record.
    void finish() const;

  private:
    bool verify_;
    std::size_t unit_, length_;
    std::vector<std::uint32_t> ranks_;
    std::vector<char> used_;
    std::vector<std::uint8_t> last_key_;
    SequenceRecord last_;
    bool any_ = false;
};

// How many sequences of each cell are counted how often.
class SequenceSpectra {
  public:
    struct Line {
        std::uint32_t cell;
        std::int64_t count, sequences;
    };

    void add(std::span<const std::uint8_t> records);
    // Ascending by cell, then count.
    std::vector<Line> lines() const;

  private:
    std::vector<std::vector<std::int64_t>> few_;  // by cell and count, for counts that are small
    std::vector<Line> many_;                      // one line a sequence that is counted more often
};

}  // namespace crystal
