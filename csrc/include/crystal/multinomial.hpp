#pragma once
// Multinomial counts of a fixed size from fixed probabilities.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crystal/discrete_law.hpp"
#include "crystal/random_tables.hpp"

namespace crystal {

// Few samples are drawn one by one; of many, each option gets a binomial share of what the options before it
// left.
class Multinomial {
  public:
    // `probabilities` are finite, not negative and not all zero; their sum is taken for 1.
    Multinomial(std::span<const double> probabilities, std::uint32_t size);

    void sample(Stream& stream, std::span<Cell> counts) const;

  private:
    std::uint32_t size_;
    std::optional<DiscreteLaw> law_;
    std::vector<double> shares_;  // of an option among itself and those after it
};

}  // namespace crystal
