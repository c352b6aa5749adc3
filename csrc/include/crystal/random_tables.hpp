#pragma once
// Random contingency tables with given margins: what permuting the labels of samples does to their counts.
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/philox.hpp"

namespace crystal {

using Cell = std::uint32_t;

// How to choose `taken` of `total` items at random: mark each with probability rate / 2^bits, which costs a
// few random words for 64 items, then mark or unmark random ones until the number is right. By symmetry every
// set of that size is equally likely, whatever the rate; the rate only decides how much is left to mend.
struct SubsetPlan {
    std::uint32_t total = 0;
    std::uint32_t taken = 0;  // at most half: the larger side is what is left
    std::uint32_t rate = 0;
    std::uint32_t bits = 0;
    bool swapped = false;     // the marked items are the second side
    bool sequential = false;  // too many items to mark each: hypergeometric counts option by option
};

SubsetPlan plan_subset(std::uint32_t total, std::uint32_t first, std::size_t options);

// Splits the samples of one table row at random: `first` gets as many samples as the plan says, `rest` the
// others. `first` may be the same span as `counts`. Marks are kept in `bitmap`, which grows to what the plan
// needs.
void split_row(Stream& stream, const SubsetPlan& plan, std::span<const Cell> counts, std::span<Cell> first,
               std::span<Cell> rest, std::vector<std::uint64_t>& bitmap);

// Tables with the margins of a block: its groups are divided into halves again and again.
class TableSampler {
  public:
    TableSampler(std::span<const Cell> group_totals, std::span<const Cell> option_totals);

    std::size_t groups() const { return groups_; }
    std::size_t options() const { return option_totals_.size(); }
    const std::vector<Cell>& option_totals() const { return option_totals_; }

    // Writes a table of groups x options.
    void sample(Stream& stream, std::span<Cell> table, std::vector<std::uint64_t>& bitmap) const;

  private:
    struct Division {
        std::size_t begin,
            middle;  // row `begin` holds the counts to divide between [begin, middle) and the rest
        SubsetPlan plan;
    };
    void divide(std::span<const Cell> group_totals, std::size_t begin, std::size_t end);

    std::size_t groups_;
    std::vector<Cell> option_totals_;
    std::vector<Division> divisions_;
};

}  // namespace crystal
