#pragma once
// Exact de-duplication of ragged data: which sequences are equal, where each was first seen, how often.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crystal/column.hpp"
#include "crystal/threads.hpp"

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

struct SequenceOptions {
    // False: two sequences are one if 128 bits of hash agree (nobody has seen that happen by chance). True:
    // only if all their bytes agree.
    bool verify = true;
    // False: no id for each sequence, and no 4 bytes of memory for it.
    bool inverse = true;
    std::size_t threads = 1;
    StopFlag stop = nullptr;
};

// Distinct sequences are numbered in the order in which they first appear, whatever the number of threads.
struct SequenceCounts {
    Column<std::int32_t> inverse;  // the number of each sequence
    Column<std::int64_t> first;    // where each distinct sequence first appears, ascending
    Column<std::int64_t> counts;   // how often it appears
};

// Whether so many sequences are equal that it pays to find them and to handle each distinct one once.
bool many_equal(const RaggedView& ragged);

SequenceCounts count_sequences(const RaggedView& ragged, const SequenceOptions& options);

}  // namespace crystal
