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
constexpr double hypergeometric_cost = 120.0;
constexpr std::uint32_t most_bits = 6;

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
    words[used] = 0;  // read, but not used, by an option that ends with the last word
    std::uint32_t at = 0;
    for (std::size_t k = 0; k < counts.size(); ++k) {
        const std::uint32_t count = counts[k];
        Cell chosen = 0;
        std::uint32_t left = count;
        while (left > 0) {
            const std::uint32_t take = std::min<std::uint32_t>(left, 64);
            const std::uint64_t* word = words + at / 64;
            const std::uint32_t shift = at % 64;
            const std::uint64_t window = (word[0] >> shift) | (word[1] << 1 << (63 - shift));
            chosen += static_cast<Cell>(std::popcount(window << (64 - take)));
            at += take;
            left -= take;
        }
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
    plan.sequential = best + n / 64.0 > hypergeometric_cost * static_cast<double>(options);
    return plan;
}

void split_row(Stream& stream, const SubsetPlan& plan, std::span<const Cell> counts, std::span<Cell> first,
               std::span<Cell> rest, std::vector<std::uint64_t>& bitmap) {
    if (plan.sequential) {
        count_sequentially(stream, plan, counts, first, rest);
        return;
    }
    const std::size_t needed = plan.total / 64 + 2;
    if (bitmap.size() < needed) bitmap.resize(needed);
    mark_and_count(stream, plan, counts, first, rest, bitmap.data());
}

TableSampler::TableSampler(std::span<const Cell> group_totals, std::span<const Cell> option_totals)
    : groups_(group_totals.size()), option_totals_(option_totals.begin(), option_totals.end()) {
    divide(group_totals, 0, groups_);
}

void TableSampler::divide(std::span<const Cell> group_totals, std::size_t begin, std::size_t end) {
    if (end - begin < 2) return;
    const std::size_t middle = begin + (end - begin) / 2;
    const auto sum = [&](std::size_t from, std::size_t to) {
        const auto part = group_totals.subspan(from, to - from);
        return std::accumulate(part.begin(), part.end(), Cell{0});
    };
    divisions_.push_back({begin, middle, plan_subset(sum(begin, end), sum(begin, middle), options())});
    divide(group_totals, begin, middle);
    divide(group_totals, middle, end);
}

void TableSampler::sample(Stream& stream, std::span<Cell> table, std::vector<std::uint64_t>& bitmap) const {
    const std::size_t k = options();
    std::copy(option_totals_.begin(), option_totals_.end(), table.begin());
    for (const Division& division : divisions_) {
        const std::span<Cell> first = table.subspan(division.begin * k, k);
        split_row(stream, division.plan, first, first, table.subspan(division.middle * k, k), bitmap);
    }
}

}  // namespace crystal
