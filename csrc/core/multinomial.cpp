#include "crystal/multinomial.hpp"

#include <algorithm>

#include "crystal/variates.hpp"

namespace crystal {
namespace {

// A binomial costs about as much as this many single draws.
constexpr std::size_t draws_per_binomial = 16;

}  // namespace

Multinomial::Multinomial(std::span<const double> probabilities, std::uint32_t size) : size_(size) {
    if (size <= draws_per_binomial * probabilities.size()) {
        law_.emplace(probabilities);
        return;
    }
    shares_.resize(probabilities.size());
    double rest = 0.0;  // summed from the end, so that small probabilities after a large one keep their share
    for (std::size_t k = probabilities.size(); k-- > 0;) {
        rest += probabilities[k];
        shares_[k] = rest > 0.0 ? probabilities[k] / rest : 0.0;
    }
}

void Multinomial::sample(Stream& stream, std::span<Cell> counts) const {
    std::fill(counts.begin(), counts.end(), Cell{0});
    if (law_) {
        for (std::uint32_t i = 0; i < size_; ++i) ++counts[law_->draw(stream)];
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
