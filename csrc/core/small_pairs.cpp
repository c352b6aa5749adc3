#include "crystal/small_pairs.hpp"

#include <bit>

#include "crystal/clones.hpp"

namespace crystal {
namespace {

// Popcount is an instruction in one of the clones, so the whole draw is in their reach.
template <class Option>
inline std::uint64_t add_values(std::uint64_t marks, std::span<const Option> options,
                                const std::uint64_t* values) {
    std::uint64_t sum = 0;
    for (const Option& option : options) {
        sum += values[option.values + static_cast<std::size_t>(std::popcount(marks & option.mask))];
    }
    return sum;
}

}  // namespace

SmallPair::SmallPair(const SubsetPlan& plan, std::span<const Cell> option_totals,
                     const std::function<std::uint64_t(std::size_t, Cell, Cell)>& value)
    : plan_(plan) {
    std::uint32_t at = 0;
    for (std::size_t k = 0; k < option_totals.size(); ++k) {
        const Cell total = option_totals[k];
        options_.push_back({low_bits(total) << at, values_.size()});
        for (Cell marked = 0; marked <= total; ++marked) {
            const Cell rest = total - marked;
            values_.push_back(plan.swapped ? value(k, rest, marked) : value(k, marked, rest));
        }
        at += total;
    }
}

CRYSTAL_CLONES std::uint64_t SmallPair::draw(Stream& stream) const {
    return add_values<Option>(marked_word(stream, plan_), options_, values_.data());
}

}  // namespace crystal
