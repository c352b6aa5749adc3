#include "crystal/ragged.hpp"

#include <limits>
#include <stdexcept>
#include <string>

namespace crystal {

void check_ragged(const RaggedView& ragged) {
    if (ragged.offsets.empty()) throw std::invalid_argument("offsets need at least one entry");
    if (ragged.rows() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("there are more sequences than 31 bits can number: split them");
    }
    std::int64_t before = 0;
    bool descends = false;
    for (const std::int64_t offset : ragged.offsets) {
        descends |= offset < before;
        before = offset;
    }
    if (descends) {
        std::size_t row = 0;
        for (std::int64_t least = 0; ragged.offsets[row] >= least; ++row) least = ragged.offsets[row];
        throw std::invalid_argument("offsets[" + std::to_string(row) +
                                    "] = " + std::to_string(ragged.offsets[row]) + " is below " +
                                    (row == 0 ? "zero" : "the offset before it"));
    }
    const std::size_t elements = ragged.bytes.size() / ragged.width;
    if (static_cast<std::size_t>(before) > elements) {
        throw std::invalid_argument("the last offset is " + std::to_string(before) + ", but there are " +
                                    std::to_string(elements) + " values");
    }
}

}  // namespace crystal
