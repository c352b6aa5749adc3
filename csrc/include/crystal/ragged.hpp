#pragma once
// Sequences of different lengths that lie behind one another.
#include <cstddef>
#include <cstdint>
#include <span>

namespace crystal {

// Sequence i is the elements [offsets[i], offsets[i + 1]) of an array whose elements are `width` bytes each.
struct RaggedView {
    std::span<const std::uint8_t> bytes;
    std::span<const std::int64_t> offsets;
    std::size_t width = 1;

    std::size_t rows() const noexcept { return offsets.size() - 1; }
    const std::uint8_t* data(std::size_t row) const noexcept {
        return bytes.data() + static_cast<std::size_t>(offsets[row]) * width;
    }
    std::size_t size(std::size_t row) const noexcept {
        return static_cast<std::size_t>(offsets[row + 1] - offsets[row]) * width;
    }
    // The bytes from its first on to the end of all.
    std::size_t room(std::size_t row) const noexcept {
        return bytes.size() - static_cast<std::size_t>(offsets[row]) * width;
    }
};

// Throws std::invalid_argument, which says what is wrong, unless every sequence lies inside the bytes and
// rows can be numbered with 31 bits.
void check_ragged(const RaggedView& ragged);

}  // namespace crystal
