#include "crystal/retention.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace crystal {

std::int64_t retention_need(std::int64_t before, double mass) {
    return before < 1 ? 0
                      : static_cast<std::int64_t>(std::ceil(mass * static_cast<double>(before - 1) - 1e-9));
}

namespace {

// Calls visit(value, earlier samples, later samples) for every number of earlier samples that an option has,
// from the highest down, until it returns false. Few distinct numbers are counted, many sorted.
template <class Visit>
void visit_levels(std::span<const Cell> before, std::span<const Cell> after,
                  std::vector<std::uint64_t>& scratch, Visit&& visit) {
    const std::size_t highest = *std::max_element(before.begin(), before.end());
    if (highest <= 4 * before.size() + 32) {
        scratch.assign(highest + 1,
                       0);  // options above, later samples below; a block has fewer than 2^32 of either
        for (std::size_t k = 0; k < before.size(); ++k)
            scratch[before[k]] += std::uint64_t{1} << 32 | after[k];
        for (std::size_t value = highest; value > 0; --value) {
            const std::uint64_t here = scratch[value];
            if (here != 0 && !visit(value, value * (here >> 32), here & 0xFFFFFFFFU)) return;
        }
        return;
    }
    scratch.clear();
    for (std::size_t k = 0; k < before.size(); ++k)
        scratch.push_back(std::uint64_t{before[k]} << 32 | after[k]);
    std::sort(scratch.begin(), scratch.end(), std::greater<>());
    for (std::size_t i = 0; i < scratch.size();) {
        const std::uint64_t value = scratch[i] >> 32;
        std::uint64_t earlier = 0, later = 0;
        for (; i < scratch.size() && scratch[i] >> 32 == value; ++i) {
            earlier += value;
            later += scratch[i] & 0xFFFFFFFFU;
        }
        if (value == 0 || !visit(value, earlier, later)) return;
    }
}

}  // namespace

// A set with ties all in is {options with at least t samples} for some threshold t. With C(t) its earlier
// samples and A(t) its later ones, the highest t with C(t) >= need is `high`, the highest with C(t) >= need +
// 1 is `low`. Taking a sample from an option of v samples lowers C(t) by one for t < v, by v at t = v, and
// not above.
std::int64_t retention_score(std::span<const Cell> before, std::span<const Cell> after, std::int64_t need,
                             std::vector<std::uint64_t>& scratch) {
    if (need <= 0) return 0;  // the empty set holds nothing of either side
    std::int64_t high = 0, low = 0;
    std::int64_t before_high = 0, after_high = 0, after_low = 0, after_below_high = 0;
    std::int64_t sum_before = 0, sum_after = 0;
    visit_levels(before, after, scratch,
                 [&](std::uint64_t level, std::uint64_t earlier, std::uint64_t later) {
                     const auto value = static_cast<std::int64_t>(level);
                     sum_before += static_cast<std::int64_t>(earlier);
                     sum_after += static_cast<std::int64_t>(later);
                     if (high > 0 && value == high - 1) after_below_high = sum_after;
                     if (high == 0 && sum_before >= need) {
                         high = value;
                         before_high = sum_before;
                         after_high = after_below_high = sum_after;
                     }
                     if (low == 0 && sum_before > need) {
                         low = value;
                         after_low = sum_after;
                     }
                     return low == 0 || value >= high;
                 });
    std::int64_t score = 0;
    std::int64_t outside = 0, all_after = 0;
    for (const Cell count : after) all_after += count;
    for (std::size_t k = 0; k < before.size(); ++k) {
        const std::int64_t value = before[k];
        if (value < high) {
            outside += value;
        } else if (value == high && before_high - value >= need) {
            score += value * (after_high - after[k]);  // the set does without this option
        } else {
            score += value * ((value > low ? after_low : after_below_high) - all_after);
        }
    }
    return score + outside * after_high;  // without one of the others the set stays as it is
}

}  // namespace crystal
