#pragma once
// Multinomial counts of a fixed size from fixed probabilities.
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/random_tables.hpp"

namespace crystal {

// Few samples: each finds its option in the cumulative probabilities (63-bit whole numbers, so that the
// smallest probability keeps its own precision) from a place that an index gives (Chen and Asau 1974). Many
// samples: one binomial for each option, of what the options before left over. Both need no more than the
// numbers themselves.
class Multinomial {
  public:
    // `probabilities` are finite, not negative and not all zero; their sum is taken for 1.
    Multinomial(std::span<const double> probabilities, std::uint32_t size);

    void sample(Stream& stream, std::span<Cell> counts) const;

  private:
    void sample_by_search(Stream& stream, std::span<Cell> counts) const;

    std::uint32_t size_;
    bool conditional_;
    std::vector<double> shares_;             // of an option among itself and those after it
    std::vector<std::uint64_t> cumulative_;  // upper ends, the last possible option's is 2^63
    std::vector<std::uint32_t> index_;       // first option that the uniform's upper bits allow
    unsigned index_shift_ = 63;
};

}  // namespace crystal
