#include "crystal/small_pairs.hpp"

#include <bit>

#include "crystal/clones.hpp"

namespace crystal {
namespace {

// One function from the random numbers to the sum, so that popcount is an instruction where the machine has
// it.
template <class Option>
CRYSTAL_CLONES std::uint64_t draw_marks(Stream& stream, const SubsetPlan& plan, const Option* options,
                                        std::size_t count, const std::uint64_t* values) {
    const std::uint64_t marks = marked_word(stream, plan);
    std::uint64_t sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
        sum += values[options[k].values + static_cast<std::size_t>(std::popcount(marks & options[k].mask))];
    }
    return sum;
}

}  // namespace

std::optional<SmallPair> SmallPair::make(const TableSampler& sampler, const Value& value) {
    SmallPair pair;
    const std::vector<Cell>& totals = sampler.option_totals();
    if (pair.law_ = sampler.cell_law(); pair.law_) {
        const CellLaw& law = *pair.law_;
        for (Cell cell = law.lowest; cell <= law.highest; ++cell) {
            const Cell beside = law.group_total - cell;
            pair.values_.push_back(value(0, cell, totals[0] - cell) + value(1, beside, totals[1] - beside));
        }
        return pair;
    }
    pair.plan_ = sampler.only_plan();
    if (pair.plan_.total > 64) return std::nullopt;
    std::uint32_t at = 0;
    for (std::size_t k = 0; k < totals.size(); ++k) {
        pair.options_.push_back({low_bits(totals[k]) << at, pair.values_.size()});
        for (Cell marked = 0; marked <= totals[k]; ++marked) {
            const Cell rest = totals[k] - marked;
            if (marked > pair.plan_.taken || rest > pair.plan_.total - pair.plan_.taken) {
                pair.values_.push_back(0);  // more than the group has: never drawn
                continue;
            }
            pair.values_.push_back(pair.plan_.swapped ? value(k, rest, marked) : value(k, marked, rest));
        }
        at += totals[k];
    }
    return pair;
}

std::uint64_t SmallPair::draw(Stream& stream) const {
    if (law_) return values_[law_->law.draw(stream)];
    return draw_marks(stream, plan_, options_.data(), options_.size(), values_.data());
}

}  // namespace crystal
