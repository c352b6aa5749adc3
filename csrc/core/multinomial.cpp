#include "crystal/multinomial.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "crystal/variates.hpp"

namespace crystal {
namespace {

constexpr std::uint64_t one = std::uint64_t{1} << 63;
// A binomial costs about as much as this many searches.
constexpr std::size_t searches_per_binomial = 24;

}  // namespace

Multinomial::Multinomial(std::span<const double> probabilities, std::uint32_t size)
    : size_(size), conditional_(size > searches_per_binomial * probabilities.size()) {
    const std::size_t options = probabilities.size();
    const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
    if (conditional_) {
        shares_.resize(options);
        double rest =
            0.0;  // summed from the end, so that small probabilities after a large one keep their share
        for (std::size_t k = options; k-- > 0;) {
            rest += probabilities[k];
            shares_[k] = rest > 0.0 ? probabilities[k] / rest : 0.0;
        }
        return;
    }
    cumulative_.resize(options);
    std::uint64_t reached = 0;
    std::size_t last = 0;
    for (std::size_t k = 0; k < options; ++k) {
        const auto width = static_cast<std::uint64_t>(std::ldexp(probabilities[k] / sum, 63));
        reached = std::min(one, reached + width);
        cumulative_[k] = reached;
        if (probabilities[k] > 0.0) last = k;
    }
    for (std::size_t k = last; k < options; ++k) cumulative_[k] = one;
    const std::size_t entries = std::bit_ceil(4 * options);
    index_shift_ = 63U - static_cast<unsigned>(std::bit_width(entries) - 1);
    index_.resize(entries);
    std::uint32_t option = 0;
    for (std::size_t i = 0; i < entries; ++i) {
        while (cumulative_[option] <= static_cast<std::uint64_t>(i) << index_shift_) ++option;
        index_[i] = option;
    }
}

void Multinomial::sample_by_search(Stream& stream, std::span<Cell> counts) const {
    for (std::uint32_t i = 0; i < size_; ++i) {
        const std::uint64_t u = stream.next64() >> 1;
        std::uint32_t option = index_[u >> index_shift_];
        while (cumulative_[option] <= u) ++option;
        ++counts[option];
    }
}

void Multinomial::sample(Stream& stream, std::span<Cell> counts) const {
    std::fill(counts.begin(), counts.end(), Cell{0});
    if (!conditional_) {
        sample_by_search(stream, counts);
        return;
    }
    std::int64_t left = size_;
    for (std::size_t k = 0; k < shares_.size() && left > 0; ++k) {
        const std::int64_t drawn = binomial(stream, left, shares_[k]);
        counts[k] = static_cast<Cell>(drawn);
        left -= drawn;
    }
}

}  // namespace crystal
