#pragma once
// Statistics of contingency tables as whole numbers, reduced to what a permutation of labels changes, so that
// a draw that equals the data is seen as equal.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crystal/random_tables.hpp"

namespace crystal {

// Statistics are compared on a grid of 2^-40.
inline constexpr int grid_bits = 40;

enum class Statistic { g, js, max_cut_g, retention };

// Counts of blocks x groups x options, all >= 0 and at most largest_block a block.
struct Tables {
    std::span<const std::int64_t> counts;
    std::size_t blocks, groups, options;
    std::span<const std::int64_t> block(std::size_t b) const {
        return counts.subspan(b * groups * options, groups * options);
    }
};

inline constexpr std::int64_t largest_block = std::int64_t{1} << 24;

// A block that the statistic sees, without the options that nobody chose.
struct Block {
    std::size_t groups = 0, options = 0;
    std::vector<Cell> table;  // groups x options, as observed
    std::vector<Cell> group_totals, option_totals;
    std::vector<std::uint32_t> kept;  // which options these are
    bool constant() const;            // no permutation changes it: one option, or samples in one group only
    std::size_t samples() const;
    std::size_t largest_cell() const;  // that any table with these margins can have
};

Block read_block(std::span<const std::int64_t> counts, std::size_t groups, std::size_t options);

// Blocks with samples; for js and retention, which compare every group, only those with samples in every
// group.
std::vector<Block> seen_blocks(const Tables& tables, Statistic statistic);

// What a thread needs to score tables; it grows to the largest block and no further.
struct ScoreScratch {
    std::vector<Cell> table, pooled;
    std::vector<std::uint64_t> sorted;
};

struct Lanes;

class Score {
  public:
    using Sums = std::span<std::uint64_t>;

    virtual ~Score() = default;
    // Adds one block's table to the replicate's sums, which start at zero. Sums wrap: only differences count.
    virtual void add(std::size_t block, std::span<const Cell> table, Sums sums,
                     ScoreScratch& scratch) const = 0;
    // The same for sixteen replicates, whose sums follow one another.
    virtual void add_lanes(std::size_t block, std::span<const std::uint32_t> places,
                           std::span<const Lanes> cells, Sums sums, ScoreScratch& scratch) const;
    // The statistic of each replicate, in multiples of `unit` and up to a constant.
    virtual void totals(std::span<const std::uint64_t> sums, std::span<std::int64_t> scores) const {
        for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<std::int64_t>(sums[i]);
    }
    std::size_t accumulators = 1;  // sums that a replicate needs
    double unit = 1.0;
};

std::unique_ptr<Score> make_score(const std::vector<Block>& blocks, Statistic statistic, double mass);

// js for groups of different sizes.
std::unique_ptr<Score> make_mixture_score(const std::vector<Block>& blocks);

// The statistic of the data in float64 by its textbook formula; for max_cut_g, `position` is the first best
// cut.
double observed_statistic(const std::vector<Block>& blocks, Statistic statistic, double mass,
                          std::int64_t& position);

}  // namespace crystal
