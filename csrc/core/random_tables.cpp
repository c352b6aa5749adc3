#include "crystal/random_tables.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "crystal/clones.hpp"
#include "crystal/variates.hpp"

namespace crystal {
namespace {

// Rough costs in nanoseconds; they choose between exact methods, so they may be wrong without harm.
constexpr double word_cost = 2.0;
constexpr double mend_cost = 2.5;
constexpr double hypergeometric_cost = 60.0;
constexpr std::uint32_t most_bits = 6;
constexpr std::int64_t longest_law = 4096;

CRYSTAL_CLONES void mark_and_count(Stream& stream, const SubsetPlan& plan, std::span<const Cell> counts,
                                   std::span<Cell> first, std::span<Cell> rest, std::uint64_t* words) {
    const std::uint32_t total = plan.total;
    const std::size_t used = (total + 63) / 64;
    if (used == 1) {
        words[0] = marked_word(stream, plan);
    } else {
        std::uint32_t marked = 0;
        for (std::size_t i = 0; i < used; ++i) {
            std::uint64_t word = random_marks(stream, plan);
            if (i + 1 == used) word &= low_bits(total - static_cast<std::uint32_t>(64 * i));
            words[i] = word;
            marked += static_cast<std::uint32_t>(std::popcount(word));
        }
        mend_marks(stream, plan, marked, words);
    }
    words[used] = words[used + 1] = 0;  // read, but not used, at the end of the last word
    std::uint32_t at = 0;
    for (std::size_t k = 0; k < counts.size(); ++k) {
        const std::uint32_t count = counts[k];
        const auto marked_of = [&](std::uint32_t take) {
            const std::uint64_t* word = words + at / 64;
            const std::uint32_t shift = at % 64;
            const std::uint64_t bits = (word[0] >> shift) | (word[1] << 1 << (63 - shift));
            at += take;
            return static_cast<Cell>(
                std::popcount(bits << (63 - take) << 1));  // none of them where take is 0
        };
        // Up to 63 samples need no branch; more are rare.
        Cell chosen = marked_of(std::min(count, 63U));
        for (std::uint32_t done = 63; done < count; done += 63)
            chosen += marked_of(std::min(count - done, 63U));
        first[k] = plan.swapped ? count - chosen : chosen;
        rest[k] = plan.swapped ? chosen : count - chosen;
    }
}

void count_sequentially(Stream& stream, const SubsetPlan& plan, std::span<const Cell> counts,
                        std::span<Cell> first, std::span<Cell> rest) {
    std::int64_t total = plan.total;
    std::int64_t taken = plan.taken;
    for (std::size_t k = 0; k < counts.size(); ++k) {
        const Cell count = counts[k];
        total -= count;
        const auto chosen = static_cast<Cell>(hypergeometric(stream, count, total, taken));
        taken -= chosen;
        first[k] = plan.swapped ? count - chosen : chosen;
        rest[k] = plan.swapped ? chosen : count - chosen;
    }
}

// Hypergeometric weights by their ratios outwards from the mode, where they are 1.
std::shared_ptr<const CellLaw> law_of_cell(Cell group_total, std::span<const Cell> option_totals) {
    const std::int64_t taken = group_total, good = option_totals[0], bad = option_totals[1];
    const std::int64_t lowest = std::max<std::int64_t>(0, taken - bad), highest = std::min(taken, good);
    if (highest - lowest >= longest_law) return nullptr;
    const auto ratio = [&](std::int64_t a) {  // of the weight of a + 1 to that of a
        return static_cast<double>((good - a) * (taken - a)) /
               static_cast<double>((a + 1) * (bad - taken + a + 1));
    };
    const std::int64_t mode = std::clamp((taken + 1) * (good + 1) / (good + bad + 2), lowest, highest);
    std::vector<double> weights(static_cast<std::size_t>(highest - lowest + 1), 1.0);
    const auto weight = [&](std::int64_t a) -> double& {
        return weights[static_cast<std::size_t>(a - lowest)];
    };
    for (std::int64_t a = mode; a < highest; ++a) weight(a + 1) = weight(a) * ratio(a);
    for (std::int64_t a = mode; a > lowest; --a) weight(a - 1) = weight(a) / ratio(a - 1);
    return std::make_shared<const CellLaw>(
        CellLaw{static_cast<Cell>(lowest), static_cast<Cell>(highest), group_total, DiscreteLaw(weights)});
}

}  // namespace

SubsetPlan plan_subset(std::uint32_t total, std::uint32_t first, std::size_t options) {
    SubsetPlan plan;
    plan.total = total;
    plan.swapped = first > total - first;
    plan.taken = plan.swapped ? total - first : first;
    const double n = total;
    const double share = total == 0 ? 0.0 : plan.taken / n;
    double best = mend_cost * plan.taken / std::max(1.0 - share, 0.5);
    for (std::uint32_t bits = 1; bits <= most_bits; ++bits) {
        const double levels = static_cast<double>(1U << bits);
        for (const double rounded : {std::floor(share * levels), std::ceil(share * levels)}) {
            const auto rate = static_cast<std::uint32_t>(rounded);
            if (rate % 2 == 0) continue;  // a coarser grid has it already
            const double q = rate / levels;
            const double spread = 0.4 * std::sqrt(n * q * (1.0 - q));
            const double low = std::max(share - q, 0.0) * n + spread;
            const double high = std::max(q - share, 0.0) * n + spread;
            const double cost = word_cost * bits * std::ceil(n / 64.0) +
                                mend_cost * (low / (1.0 - share) + high / std::max(share, 1.0 / n));
            if (cost < best) {
                best = cost;
                plan.rate = rate;
                plan.bits = bits;
            }
        }
    }
    plan.sequential = best + n / 64.0 > hypergeometric_cost * (static_cast<double>(options) - 1.0);
    return plan;
}

void split_row(Stream& stream, const SubsetPlan& plan, std::span<const Cell> counts, std::span<Cell> first,
               std::span<Cell> rest, std::vector<std::uint64_t>& bitmap) {
    if (plan.sequential) {
        count_sequentially(stream, plan, counts, first, rest);
        return;
    }
    const std::size_t needed = plan.total / 64 + 3;
    if (bitmap.size() < needed) bitmap.resize(needed);
    mark_and_count(stream, plan, counts, first, rest, bitmap.data());
}

TableSampler::TableSampler(std::span<const Cell> group_totals, std::span<const Cell> option_totals)
    : group_totals_(group_totals.begin(), group_totals.end()),
      option_totals_(option_totals.begin(), option_totals.end()) {
    if (options() < groups()) {
        divide(option_totals, groups(), 0, options());
        return;
    }
    divide(group_totals, options(), 0, groups());
    if (groups() == 2 && options() == 2) cell_law_ = law_of_cell(group_totals[0], option_totals);
}

void TableSampler::divide(std::span<const Cell> totals, std::size_t columns, std::size_t begin,
                          std::size_t end) {
    if (end - begin < 2) return;
    const std::size_t middle = begin + (end - begin) / 2;
    const auto sum = [&](std::size_t from, std::size_t to) {
        const auto part = totals.subspan(from, to - from);
        return std::accumulate(part.begin(), part.end(), Cell{0});
    };
    divisions_.push_back({begin, middle, plan_subset(sum(begin, end), sum(begin, middle), columns)});
    divide(totals, columns, begin, middle);
    divide(totals, columns, middle, end);
}

void TableSampler::sample_rows(Stream& stream, std::span<const Cell> column_totals, std::span<Cell> table,
                               std::vector<std::uint64_t>& bitmap) const {
    const std::size_t k = column_totals.size();
    std::copy(column_totals.begin(), column_totals.end(), table.begin());
    for (const Division& division : divisions_) {
        const std::span<Cell> first = table.subspan(division.begin * k, k);
        split_row(stream, division.plan, first, first, table.subspan(division.middle * k, k), bitmap);
    }
}

void TableSampler::sample(Stream& stream, std::span<Cell> table, TableScratch& scratch) const {
    if (table.empty()) return;
    if (cell_law_) {
        const Cell cell = cell_law_->lowest + cell_law_->law.draw(stream);
        table[0] = cell;
        table[1] = group_totals_[0] - cell;
        table[2] = option_totals_[0] - cell;
        table[3] = option_totals_[1] - table[1];
    } else if (options() < groups()) {
        scratch.turned.resize(table.size());
        sample_rows(stream, group_totals_, scratch.turned, scratch.bitmap);
        for (std::size_t k = 0; k < options(); ++k) {
            for (std::size_t g = 0; g < groups(); ++g)
                table[g * options() + k] = scratch.turned[k * groups() + g];
        }
    } else {
        sample_rows(stream, option_totals_, table, scratch.bitmap);
    }
}

}  // namespace crystal
