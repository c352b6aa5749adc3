#pragma once
// Rows that are equal in some columns of small integers: the step between a batch and what is counted of it.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crystal/threads.hpp"

namespace crystal {

// A column whose rows point into `entries` values, -1 where a row has none.
struct CodeColumn {
    std::span<const std::int32_t> codes;
    std::size_t entries;
};

// Groups are numbered in the order in which they first appear.
struct RowGroups {
    std::vector<std::int32_t> codes;  // of each row, its group
    std::vector<std::int64_t> first;  // of each group, its first row
};

// Columns of one length, below 2^31 rows; std::invalid_argument for codes outside their values.
RowGroups group_rows(std::span<const CodeColumn> columns, StopFlag stop);

// The same where it costs a look into a small table a row; nothing where it would take hashing, which a
// caller that only wants fewer rows does not win back.
std::optional<RowGroups> group_rows_directly(std::span<const CodeColumn> columns, StopFlag stop);

// Groups of equal numbers.
RowGroups group_numbers(std::span<const std::int64_t> numbers, StopFlag stop);

}  // namespace crystal
