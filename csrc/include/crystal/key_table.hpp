#pragma once
// A mergeable table: up to four text columns to one non-negative int64. Counts add up; fixed-point
// probabilities must agree. Everything else - ids, canonical order, bytes - is shared.
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "crystal/interner.hpp"
#include "crystal/row_table.hpp"
#include "crystal/threads.hpp"

namespace crystal {

enum class TableKind : std::uint32_t { counts = 1, distribution = 2 };

// One text column of a batch: rows point into a ragged dictionary, -1 where they have no value.
struct TextColumn {
    std::span<const std::int32_t> indices;
    std::span<const std::uint8_t> values;
    std::span<const std::int64_t> offsets;
};

// A table in canonical order: dictionaries ascending by (hash, bytes), rows ascending by their ids in those.
struct CanonicalTable {
    struct Column {
        std::vector<char> text;
        std::vector<std::int64_t> offsets;
    };
    std::vector<Column> columns;
    std::vector<Row> rows;
};

class KeyTable {
  public:
    // One unit of a fixed-point probability is 2^-60.
    static constexpr std::int64_t kOne = std::int64_t{1} << 60;

    // Throws std::invalid_argument unless there are one to four names.
    KeyTable(TableKind kind, std::vector<std::string> names);

    // A copy numbers its texts anew; what it writes is the same.
    KeyTable(const KeyTable& other);
    KeyTable(KeyTable&&) = default;
    KeyTable& operator=(KeyTable&&) = default;
    ~KeyTable() = default;

    // Rows and texts are worked on in slabs of this many, so that what an update needs beside the table is
    // bounded by the batch; below kWorthThreads rows, threads cost more than they bring.
    static constexpr std::size_t kSlab = std::size_t{1} << 14, kWorthThreads = std::size_t{1} << 14;

    TableKind kind() const { return kind_; }
    const std::vector<std::string>& names() const { return names_; }
    std::size_t rows() const { return table_.size(); }
    std::size_t nbytes() const;
    // Sum of all counts; 0 for a distribution table.
    std::int64_t total() const { return total_; }

    // Adds a batch. `values` holds one value a row, or nothing where every row counts once (counts only).
    // Throws std::invalid_argument for a malformed batch or a conflicting probability and std::overflow_error
    // where the total would leave int64; the table is then as it was. The flag is looked at until the first
    // row goes in. Each part of what is held is one
    // thread's, so that its memory and its bytes do not depend on how many threads there are.
    void update(std::span<const TextColumn> columns, std::span<const std::int64_t> values,
                StopFlag stop = nullptr);

    // Adds another table of the same kind and names; throws as update does.
    void merge(const KeyTable& other);

    CanonicalTable canonical() const;

    // Equal tables have equal bytes. from_bytes throws BadBytes for anything that to_bytes cannot have
    // written.
    std::vector<std::uint8_t> to_bytes() const;
    static KeyTable from_bytes(std::span<const std::uint8_t> bytes);

  private:
    static std::size_t threads_for(std::size_t rows);
    void put(std::span<const Row> rows, std::size_t threads);
    void add(std::span<const TextColumn> columns, std::span<const std::int64_t> values, StopFlag stop);
    void append(std::span<const TextColumn> columns, const std::vector<std::vector<char>>& used,
                std::span<const std::int64_t> values);
    void load_rows(std::span<const std::span<const std::uint8_t>> ids,
                   std::span<const std::vector<std::uint32_t>> kept, std::span<const std::uint8_t> values);
    void check_agreement(const KeyTable& other) const;
    [[noreturn]] void report_conflict(const RowKey& key, std::int64_t held, std::int64_t came) const;

    TableKind kind_;
    std::vector<std::string> names_;
    std::vector<Interner> texts_;
    RowTable table_;
    std::int64_t total_ = 0;
};

}  // namespace crystal
