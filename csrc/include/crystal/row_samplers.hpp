#pragma once
// Multinomial counts of many rows, each of its own probabilities and size.
#include <optional>
#include <span>
#include <vector>

#include "crystal/multinomial.hpp"

namespace crystal {

// A replicate draws its rows in ascending order, so that its numbers depend on nothing else.
class RowSamplers {
  public:
    // Probabilities [rows, options] and sizes [rows]; those of a row without samples are not looked at.
    RowSamplers(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                std::size_t options)
        : options_(options), sizes_(sizes) {
        for (std::size_t row = 0; row < sizes.size(); ++row) {
            std::optional<Multinomial>& sampler = samplers_.emplace_back();
            if (sizes[row] == 0) continue;
            sampler.emplace(probabilities.subspan(row * options, options), static_cast<Cell>(sizes[row]));
        }
    }

    void draw(std::size_t row, MultinomialStreams& streams, std::vector<ByteSamples>& bytes,
              std::span<Cell> counts) const {
        if (!samplers_[row]) {
            std::fill(counts.begin(), counts.end(), Cell{0});
            return;
        }
        Multinomial::draw_bytes(streams.even, static_cast<Cell>(sizes_[row]), options_, bytes);
        samplers_[row]->sample(bytes, streams.uneven, counts);
    }

  private:
    std::size_t options_;
    std::span<const std::int64_t> sizes_;
    std::vector<std::optional<Multinomial>> samplers_;
};

}  // namespace crystal
