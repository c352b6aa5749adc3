#pragma once
// Hierarchical clustering of a table of distances.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crystal/threads.hpp"

namespace crystal {

enum class LinkageMethod { single, complete, average };

// table [n, n] becomes the whole of distances [n (n - 1) / 2] (the upper triangle by rows) or [n, n]. False
// where some are not finite or not symmetric.
bool distance_table(std::span<const double> distances, std::size_t n, std::span<double> table);

// distances [n, n]: symmetric, finite, the diagonal is not read; used up. left, right, sizes and heights [n -
// 1] become the tree in SciPy's convention: merges by ascending height, cluster n + i made by merge i, the
// smaller number left.
void linkage(std::span<double> distances, std::size_t n, LinkageMethod method, bool portable,
             std::span<std::int64_t> left, std::span<std::int64_t> right, std::span<std::int64_t> sizes,
             std::span<double> heights, StopFlag stop);

}  // namespace crystal
