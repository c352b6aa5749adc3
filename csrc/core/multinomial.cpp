#include "crystal/multinomial.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "crystal/variates.hpp"

namespace crystal {
namespace {

constexpr double values_of_a_byte = 256.0;

// Rough costs in nanoseconds; they choose between exact methods, so they may be wrong without harm.
constexpr double binomial_cost = 60.0;
constexpr double byte_cost = 0.25;
constexpr double compare_cost = 0.02;
constexpr double redraw_cost = 6.0;
constexpr std::size_t comparisons_per_look_up = 2;

constexpr std::uint32_t nobody = 0xFFFFFFFF;

bool few(std::uint32_t size, std::size_t options) {
    const auto k = static_cast<double>(options);
    const double redrawn = std::min(k / 2.0 / values_of_a_byte, 1.0);
    const double each = byte_cost + compare_cost * std::min(k, values_of_a_byte) + redraw_cost * redrawn;
    return size * each < binomial_cost * (k - 1.0);
}

}  // namespace

Multinomial::Multinomial(std::span<const double> probabilities, std::uint32_t size) : size_(size) {
    if (few(size, probabilities.size())) {
        share_bytes(probabilities);
        return;
    }
    shares_.resize(probabilities.size());
    double rest = 0.0;  // summed from the end, so that small probabilities after a large one keep their share
    for (std::size_t k = probabilities.size(); k-- > 0;) {
        rest += probabilities[k];
        shares_[k] = rest > 0.0 ? probabilities[k] / rest : 0.0;
    }
}

void Multinomial::share_bytes(std::span<const double> probabilities) {
    const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
    std::vector<double> lacking(probabilities.size());
    std::uint32_t given = 0;
    for (std::size_t k = 0; k < probabilities.size(); ++k) {
        const double values = probabilities[k] / sum * values_of_a_byte;
        const double own = std::floor(values);
        lacking[k] = values - own;  // exact
        if (own < 1.0) continue;
        given += static_cast<std::uint32_t>(own);
        last_.push_back(static_cast<std::uint8_t>(given - 1));
        options_.push_back(static_cast<std::uint32_t>(k));
    }
    if (given < 256) rest_.emplace(lacking);
    if (size_ >= comparisons_per_look_up * last_.size()) return;
    owners_.assign(256, nobody);
    for (std::size_t i = 0, value = 0; i < last_.size(); ++i) {
        for (; value <= last_[i]; ++value) owners_[value] = options_[i];
    }
}

void Multinomial::draw_bytes(Stream& even, std::uint32_t size, std::size_t options,
                             std::vector<ByteSamples>& bytes) {
    bytes.resize(few(size, options) ? (size + most_bytes - 1) / most_bytes : 0);
    for (ByteSamples& samples : bytes) {
        const std::uint32_t part = std::min<std::uint32_t>(size, most_bytes);
        even.bytes(std::span(samples.bytes).first(part));
        const auto end = samples.bytes.begin() + static_cast<std::ptrdiff_t>(part);
        std::fill(end, end + static_cast<std::ptrdiff_t>((byte_lanes - part % byte_lanes) % byte_lanes),
                  std::uint8_t{255});
        size -= part;
    }
}

void Multinomial::sample(std::span<const ByteSamples> bytes, Stream& uneven, std::span<Cell> counts) const {
    std::fill(counts.begin(), counts.end(), Cell{0});
    if (shares_.empty()) {
        count_bytes(bytes, uneven, counts);
        return;
    }
    std::int64_t left = size_;
    for (std::size_t k = 0; k < shares_.size() && left > 0; ++k) {
        const std::int64_t drawn = binomial(uneven, left, shares_[k]);
        counts[k] = static_cast<Cell>(drawn);
        left -= drawn;
    }
}

void Multinomial::count_bytes(std::span<const ByteSamples> bytes, Stream& uneven,
                              std::span<Cell> counts) const {
    std::array<std::uint32_t, 256> at_most;
    std::uint32_t left = size_, again = 0;
    for (const ByteSamples& samples : bytes) {
        const std::uint32_t part = std::min<std::uint32_t>(left, most_bytes);
        if (!owners_.empty()) {
            for (const std::uint8_t value : std::span(samples.bytes).first(part)) {
                if (owners_[value] == nobody) {
                    ++again;
                } else {
                    ++counts[owners_[value]];
                }
            }
        } else {
            count_at_most(samples, part, last_, at_most.data());
            std::uint32_t before = 0;
            for (std::size_t i = 0; i < options_.size(); ++i) {
                counts[options_[i]] += at_most[i] - before;
                before = at_most[i];
            }
            again += part - before;
        }
        left -= part;
    }
    for (; again > 0; --again) ++counts[rest_->draw(uneven)];
}

}  // namespace crystal
