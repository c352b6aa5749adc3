#pragma once
// Counts of sequences, or of their n-grams, by cell: what grows with distinct ones and never with samples.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crystal/sequence_records.hpp"
#include "crystal/sequences.hpp"

namespace crystal {

// The sequences whose hashes have the same top bits. An entry is 32 bytes, its slot 5 to 8, its key what it
// has and 4 bytes for the length. Nothing but the slots is ever moved, so growth needs no second copy of a
// part.
class SequencePart {
  public:
    std::size_t size() const noexcept { return size_; }
    std::size_t nbytes() const noexcept;

    // Fetch what add() will read, in this order; room for what is added must have been made.
    void reserve(std::size_t more);
    void prefetch_slot(const Hash128& hash, std::uint32_t cell) const noexcept;
    void prefetch_entry(const Hash128& hash, std::uint32_t cell) const noexcept;
    void prefetch_key(const Hash128& hash, std::uint32_t cell) const noexcept;
    // Adds to the count of this key, which is compared in full where `verify`.
    void add(const SequenceRecord& record, bool verify);

    // Appends all records in canonical order, with ranks in the place of cells where `ranked`.
    void write(std::span<const std::uint32_t> ranks, bool ranked, std::vector<std::uint8_t>& out) const;

  private:
    struct Entry {
        Hash128 hash;
        std::int64_t count;
        std::uint32_t cell, place;
    };
    static constexpr std::size_t kChunk = 128;
    static constexpr int kOffsetBits =
        14;  // where a key starts in its block; the bits above number the block

    std::size_t home(std::uint64_t mixed) const noexcept { return crystal::place(mixed, slots_.size()); }
    Entry& entry(std::size_t index) const noexcept { return chunks_[index / kChunk][index % kChunk]; }
    const Entry* candidate(const Hash128& hash, std::uint32_t cell) const noexcept;
    std::span<const std::uint8_t> key(const Entry& entry, bool verify) const noexcept;
    std::uint32_t keep(std::span<const std::uint8_t> key);

    std::vector<std::uint32_t> slots_;  // 8 bits of hash above the number of an entry, from 1 on; 0 is empty
    std::vector<std::unique_ptr<Entry[]>> chunks_;
    std::vector<std::unique_ptr<std::uint8_t[]>> blocks_;
    std::size_t size_ = 0, block_at_ = 0, block_end_ = 0, block_bytes_ = 0;
    bool keys_ = false;
};

// A batch: sequence i belongs to cells[i] (0 where there are no cells) and counts counts[i] times (once where
// there are none). With n above 0 its n-grams are counted in its place.
struct SequenceBatch {
    RaggedView ragged;
    std::span<const std::int32_t> cells;
    std::span<const std::int64_t> counts;
    int n = 0;
};

class SequenceTable {
  public:
    static constexpr int kBits = 8;
    static constexpr std::size_t kParts = std::size_t{1} << kBits;

    // verify: keys are kept and compared. Else 128 bits of a fixed hash are all that is known of a sequence.
    explicit SequenceTable(bool verify) : verify_(verify), parts_(kParts) {}

    bool verify() const noexcept { return verify_; }
    std::size_t size() const noexcept;
    std::size_t nbytes() const noexcept;
    std::int64_t total() const noexcept { return total_; }

    // Throws std::invalid_argument or std::overflow_error before anything is changed. The stop flag is looked
    // at until the counting itself begins, so that a batch is counted whole or not at all.
    void add(const SequenceBatch& batch, std::size_t threads, StopFlag stop);
    // Adds whole records from another table; cell c becomes map[c].
    void add_records(std::span<const std::uint8_t> records, std::span<const std::uint32_t> map);
    // Forgets everything; the memory is free again.
    void clear();

    // The records of one part; parts ascend, so all of them together are in canonical order.
    std::vector<std::uint8_t> part(std::size_t index, std::span<const std::uint32_t> ranks,
                                   bool ranked) const;

  private:
    bool verify_;
    std::vector<SequencePart> parts_;
    std::int64_t total_ = 0;
};

}  // namespace crystal
