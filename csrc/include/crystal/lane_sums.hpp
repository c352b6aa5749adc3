#pragma once
// Sums over cells, for sixteen replicates side by side.
#include <cstdint>
#include <span>

#include "crystal/lane_tables.hpp"

namespace crystal {

// Adds values[cell] of every cell to each replicate's sum; no cell exceeds `largest`, and values[0] and
// values[1] are 0.
void add_values(std::span<const Lanes> cells, const std::uint64_t* values, std::size_t largest,
                std::span<std::uint64_t, replicate_lanes> sums);

}  // namespace crystal
