#include "crystal/discrete_law.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace crystal {
namespace {

constexpr std::uint64_t one = std::uint64_t{1} << 63;

}  // namespace

DiscreteLaw::DiscreteLaw(std::span<const double> weights) : cumulative_(weights.size()) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::uint64_t reached = 0;
    std::size_t last = 0;
    for (std::size_t k = 0; k < weights.size(); ++k) {
        const auto width = static_cast<std::uint64_t>(std::ldexp(weights[k] / sum, 63));
        reached = std::min(one, reached + width);
        cumulative_[k] = reached;
        if (weights[k] > 0.0) last = k;
    }
    for (std::size_t k = last; k < weights.size(); ++k) cumulative_[k] = one;
    const std::size_t entries = std::bit_ceil(4 * weights.size());
    index_shift_ = 63U - static_cast<unsigned>(std::bit_width(entries) - 1);
    index_.resize(entries);
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < entries; ++i) {
        while (cumulative_[value] <= static_cast<std::uint64_t>(i) << index_shift_) ++value;
        index_[i] = value;
    }
}

}  // namespace crystal
