#pragma once
// Random tables of many samples and few cells, sixteen replicates side by side: one hypergeometric draw a
// cell.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/lane_tables.hpp"
#include "crystal/philox.hpp"
#include "crystal/random_tables.hpp"

namespace crystal {

// A whole number of each of sixteen replicates, for arithmetic in float64; the even ones come first.
struct alignas(32) LaneNumbers {
    std::array<double, replicate_lanes> at;
};

// Groups take their samples in turn, option after option, from what the groups before them left. Each cell is
// drawn by the ratio of uniforms: a candidate takes one block of four words, at a place of its own;
// candidates after the first come from counters that nothing else uses, so a replicate's numbers do not
// depend on the others beside it.
class LaneCounts {
  public:
    // `position` is where the block's numbers begin.
    LaneCounts(std::span<const Cell> group_totals, std::span<const Cell> option_totals,
               std::uint64_t position);

    // Whether there are few enough cells for this to be the fastest way.
    static bool suits(std::span<const Cell> group_totals, std::span<const Cell> option_totals);

    // Where the next block's numbers may begin.
    std::uint64_t end() const { return position_ + (group_totals_.size() - 1) * (option_totals_.size() - 1); }

    // Where each drawn cell stands in the table of groups x options.
    const std::vector<std::uint32_t>& places() const { return places_; }

    // Tables of sixteen replicates from `first` on, cell by cell; `left` is scratch space.
    void sample(PhiloxKey key, std::uint64_t first, std::vector<LaneNumbers>& left,
                std::span<Lanes> cells) const;

  private:
    std::uint64_t position_;
    std::vector<Cell> group_totals_, option_totals_;
    std::vector<std::uint32_t> places_;
};

}  // namespace crystal
