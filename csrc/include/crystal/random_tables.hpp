#pragma once
// Random contingency tables with given margins: what permuting the labels of samples does to their counts.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crystal/discrete_law.hpp"
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

// 64 independent marks of probability rate / 2^bits, rate odd, or 32 of them where no more are asked for:
// from the lowest binary digit of the rate up, a one is "or", a zero "and".
inline std::uint64_t random_marks(Stream& stream, const SubsetPlan& plan) {
    if (plan.bits == 0) return 0;
    const auto fresh = [&] { return plan.total > 32 ? stream.next64() : stream.next32(); };
    std::uint64_t word = fresh();
    for (std::uint32_t digit = 1; digit < plan.bits; ++digit) {
        const std::uint64_t other = fresh();
        word = (plan.rate >> digit) & 1U ? word | other : word & other;
    }
    return word;
}

// Marks or unmarks random items until as many are marked as the plan says. Too many marks are mended as too
// few of their opposite, and no branch depends on a single mark.
inline void mend_marks(Stream& stream, const SubsetPlan& plan, std::uint32_t marked, std::uint64_t* words) {
    const std::uint64_t opposite = marked > plan.taken ? 0 : ~std::uint64_t{0};
    std::uint32_t wrong = marked > plan.taken ? marked - plan.taken : plan.taken - marked;
    while (wrong > 0) {
        const std::uint32_t item = stream.below(plan.total);
        std::uint64_t& word = words[item / 64];
        const std::uint64_t bit = ((word ^ opposite) >> (item % 64)) & 1;
        word ^= bit << (item % 64);
        wrong -= static_cast<std::uint32_t>(bit);
    }
}

// The lowest n bits, n in 1 .. 64.
inline constexpr std::uint64_t low_bits(std::uint32_t n) { return ~std::uint64_t{0} >> (64 - n); }

// All of that for 1 .. 64 items, in one word. A random word names several items by its bits; what it names
// beyond the last item is never marked and never counts.
inline std::uint64_t marked_word(Stream& stream, const SubsetPlan& plan) {
    const std::uint64_t items = low_bits(plan.total);
    const std::uint64_t marks = random_marks(stream, plan) & items;
    const auto marked = static_cast<std::uint32_t>(std::popcount(marks));
    const std::uint64_t opposite = marked > plan.taken ? 0 : items;
    std::uint32_t wrong = marked > plan.taken ? marked - plan.taken : plan.taken - marked;
    std::uint64_t mendable = marks ^ opposite;
    const auto bits = static_cast<std::uint32_t>(std::bit_width(plan.total - 1));
    const std::uint32_t names = bits == 0 ? 0 : static_cast<std::uint32_t>(low_bits(bits));
    const std::uint32_t named_at_once = 32 / std::max(bits, 1U);
    while (wrong > 0) {
        std::uint32_t word = stream.next32();
        for (std::uint32_t i = 0; i < named_at_once && wrong > 0; ++i) {
            const std::uint32_t item = word & names;
            word >>= bits;
            const std::uint64_t bit = (mendable >> item) & 1;
            mendable ^= bit << item;
            wrong -= static_cast<std::uint32_t>(bit);
        }
    }
    return mendable ^ opposite;
}

// What drawing needs beside the table; it grows to what the largest block asks for.
struct TableScratch {
    std::vector<std::uint64_t> bitmap;
    std::vector<Cell> turned;
};

// Splits the samples of one table row at random: `first` gets as many samples as the plan says, `rest` the
// others. `first` may be the same span as `counts`. Marks are kept in `bitmap`, which grows to what the plan
// needs.
void split_row(Stream& stream, const SubsetPlan& plan, std::span<const Cell> counts, std::span<Cell> first,
               std::span<Cell> rest, std::vector<std::uint64_t>& bitmap);

// The one free cell of a table of two groups and two options: the first group's samples of the first option.
struct CellLaw {
    Cell lowest, highest, group_total;
    DiscreteLaw law;  // of the cell less `lowest`
};

// Tables with the margins of a block. Its groups are divided into halves again and again, or its options,
// where these are fewer: what has which name makes no difference to a random table.
class TableSampler {
  public:
    TableSampler(std::span<const Cell> group_totals, std::span<const Cell> option_totals);

    std::size_t groups() const { return group_totals_.size(); }
    std::size_t options() const { return option_totals_.size(); }

    // Writes a table of groups x options.
    void sample(Stream& stream, std::span<Cell> table, TableScratch& scratch) const;

  private:
    struct Division {
        std::size_t begin,
            middle;  // row `begin` has the counts to divide between [begin, middle) and the rest
        SubsetPlan plan;
    };
    void divide(std::span<const Cell> totals, std::size_t columns, std::size_t begin, std::size_t end);
    void sample_rows(Stream& stream, std::span<const Cell> column_totals, std::span<Cell> table,
                     std::vector<std::uint64_t>& bitmap) const;

    std::vector<Cell> group_totals_, option_totals_;
    std::vector<Division> divisions_;
    std::shared_ptr<const CellLaw> cell_law_;
};

}  // namespace crystal
