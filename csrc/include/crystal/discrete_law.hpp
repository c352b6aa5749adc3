#pragma once
// One draw from a fixed law on 0 .. n - 1.
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/philox.hpp"

namespace crystal {

// A uniform finds its value in the cumulative weights, as 63-bit whole numbers so that the smallest weight
// keeps its own precision, from a place that an index gives (Chen and Asau 1974).
class DiscreteLaw {
  public:
    // `weights` are finite, not negative and not all zero.
    explicit DiscreteLaw(std::span<const double> weights);

    std::uint32_t draw(Stream& stream) const {
        const std::uint64_t u = stream.next64() >> 1;
        std::uint32_t value = index_[u >> index_shift_];
        while (cumulative_[value] <= u) ++value;
        return value;
    }

  private:
    std::vector<std::uint64_t> cumulative_;  // upper ends; the last possible value's is 2^63
    std::vector<std::uint32_t> index_;       // the first value that the uniform's upper bits allow
    unsigned index_shift_;
};

}  // namespace crystal
