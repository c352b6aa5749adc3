#pragma once
// Random tables of few samples, sixteen replicates side by side: what is done for one replicate in a lane of
// a register is done for the others in the same instruction.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/philox.hpp"
#include "crystal/random_tables.hpp"

namespace crystal {

// One number of each of sixteen replicates.
struct alignas(32) Lanes {
    std::array<std::uint16_t, replicate_lanes> at;
};

// Samples are labelled in turn, option after option: with m samples to go, of which a_g belong to group g,
// the next one is in group g with probability a_g / m. A number below m comes from 16 random bits (Lemire
// 2019); the few that have to be rejected are drawn anew from counters that nothing else uses, so a replicate
// takes as many words as any other. The last option gets what is left.
class LaneTables {
  public:
    // Samples are labelled with the smaller side of the table. `position` is where the block's numbers begin.
    LaneTables(std::span<const Cell> group_totals, std::span<const Cell> option_totals,
               std::uint64_t position);

    // Whether there are few enough samples for this to be the fastest way.
    static bool suits(std::span<const Cell> group_totals, std::span<const Cell> option_totals);

    // Where the next block's numbers may begin.
    std::uint64_t end() const { return position_ + (steps_.size() + steps_a_block - 1) / steps_a_block; }

    // Where each drawn cell stands in the table of groups x options.
    const std::vector<std::uint32_t>& places() const { return places_; }

    // Tables of sixteen replicates from `first` on, cell by cell; `below` is scratch space.
    void sample(PhiloxKey key, std::uint64_t first, std::vector<Lanes>& below, std::span<Lanes> cells) const;

    // A number below `below` is the high half of its product with 16 random bits, unless the low half is less
    // than `reject`.
    struct Step {
        std::uint16_t below, reject;
    };
    static constexpr std::size_t steps_a_block = 8;
    static constexpr std::size_t most_labels = 32;

  private:
    std::uint64_t position_;
    std::vector<Step> steps_;
    std::vector<std::uint16_t> runs_;    // samples of each option, the largest last
    std::vector<std::uint16_t> bounds_;  // samples of the groups before the second, the third, ... one
    std::vector<std::uint32_t> places_;
};

}  // namespace crystal
