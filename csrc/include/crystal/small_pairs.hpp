#pragma once
// The most common block, two groups with at most 64 samples together: its marks fit one word, and a statistic
// that adds over options is looked up by the marks under each option's mask, without making the table.
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "crystal/random_tables.hpp"

namespace crystal {

class SmallPair {
  public:
    static constexpr std::uint32_t most_samples = 64;

    // value(option, first, second) is what an option adds with so many samples in the two groups.
    SmallPair(const SubsetPlan& plan, std::span<const Cell> option_totals,
              const std::function<std::uint64_t(std::size_t, Cell, Cell)>& value);

    // The statistic's sum in a random table; takes the same random numbers as TableSampler::sample.
    std::uint64_t draw(Stream& stream) const;

  private:
    struct Option {
        std::uint64_t mask;
        std::size_t values;  // where values_ has the option's, by marks
    };
    SubsetPlan plan_;
    std::vector<Option> options_;
    std::vector<std::uint64_t> values_;
};

}  // namespace crystal
