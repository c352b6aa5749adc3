#pragma once
// Whether the mass of an earlier checkpoint stays in that checkpoint's own options later on.
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/random_tables.hpp"

namespace crystal {

// Samples that a set of options must hold when it is built without one of `before` samples. A hair is taken
// off, so that 0.9 of 70 asks for 63 whatever the rounding of the product.
std::int64_t retention_need(std::int64_t before, double mass);

// n_before * n_after * mean over the earlier samples i of [later share in S_-i, less 1 where sample i lies in
// S_-i], where S_-i is the smallest set of options that holds `need` earlier samples without sample i, ties
// at its edge all in. A whole number. O(K log K): all samples of an option, and nearly all options, share
// their set.
std::int64_t retention_score(std::span<const Cell> before, std::span<const Cell> after, std::int64_t need,
                             std::vector<std::uint64_t>& scratch);

}  // namespace crystal
