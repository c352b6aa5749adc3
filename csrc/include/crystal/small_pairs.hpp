#pragma once
// The most common blocks, scored without making their table: two groups whose statistic adds over options.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "crystal/random_tables.hpp"

namespace crystal {

class SmallPair {
  public:
    // What an option adds with so many samples in the first and in the second group.
    using Value = std::function<std::uint64_t(std::size_t, Cell, Cell)>;

    // For a block with at most 64 samples, whose marks fit one word, or with two options, whose one free cell
    // has a tabulated law; nothing for others.
    static std::optional<SmallPair> make(const TableSampler& sampler, const Value& value);

    // The statistic's sum in a random table; takes the same random numbers as TableSampler::sample.
    std::uint64_t draw(Stream& stream) const;

  private:
    SmallPair() = default;

    struct Option {
        std::uint64_t mask;
        std::size_t values;  // where values_ has the option's, by marks
    };
    SubsetPlan plan_;
    std::vector<Option> options_;
    std::shared_ptr<const CellLaw> law_;
    std::vector<std::uint64_t> values_;
};

}  // namespace crystal
