#include "crystal/retention.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace crystal {

std::int64_t retention_need(std::int64_t before, double mass) {
    return before < 1 ? 0
                      : static_cast<std::int64_t>(std::ceil(mass * static_cast<double>(before - 1) - 1e-9));
}

// A set with ties all in is {options with at least t samples} for some threshold t. With C(t) its earlier
// samples and A(t) its later ones, the highest t with C(t) >= need is `high`, the highest with C(t) >= need +
// 1 is `low`. Taking a sample from an option of v samples lowers C(t) by one for t < v, by v at t = v, and
// not above.
std::int64_t retention_score(std::span<const Cell> before, std::span<const Cell> after, std::int64_t need,
                             std::vector<std::uint64_t>& scratch) {
    if (need <= 0) return 0;  // the empty set holds nothing of either side
    scratch.clear();
    std::int64_t all_before = 0;
    std::int64_t all_after = 0;
    for (std::size_t k = 0; k < before.size(); ++k) {
        all_before += before[k];
        all_after += after[k];
        if (before[k] > 0) scratch.push_back(static_cast<std::uint64_t>(before[k]) << 32 | after[k]);
    }
    std::sort(scratch.begin(), scratch.end(), std::greater<>());
    const auto level = [&](std::size_t i) { return static_cast<std::int64_t>(scratch[i] >> 32); };
    const auto later = [&](std::size_t i) { return static_cast<std::int64_t>(scratch[i] & 0xFFFFFFFFU); };

    std::int64_t high = 0, low = 0;
    std::int64_t before_high = 0, after_high = 0, after_low = 0, after_below_high = 0;
    std::int64_t sum_before = 0, sum_after = 0;
    for (std::size_t i = 0; i < scratch.size();) {
        const std::int64_t value = level(i);
        for (; i < scratch.size() && level(i) == value; ++i) {
            sum_before += value;
            sum_after += later(i);
        }
        if (high > 0 && value >= high - 1) after_below_high = sum_after;
        if (high == 0 && sum_before >= need) {
            high = value;
            before_high = sum_before;
            after_high = after_below_high = sum_after;
        }
        if (low == 0 && sum_before > need) {
            low = value;
            after_low = sum_after;
        }
        if (low > 0 && value < high) break;
    }
    std::int64_t score = (all_before - before_high) * after_high;  // options outside leave the set as it is
    for (std::size_t i = 0; i < scratch.size() && level(i) >= high; ++i) {
        const std::int64_t value = level(i);
        if (value == high && before_high - value >= need) {
            score += value * (after_high - later(i));  // the set does without this option
        } else {
            score += value * ((value > low ? after_low : after_below_high) - all_after);
        }
    }
    return score;
}

}  // namespace crystal
