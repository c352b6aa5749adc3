#pragma once
// How many random bytes fall below each of a few bounds: many samples of a coarse law at once.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace crystal {

inline constexpr std::size_t byte_lanes = 32;
inline constexpr std::size_t most_bytes = 1024;

// Samples side by side; what lies beyond the last one, up to a multiple of the lanes, is 255.
struct alignas(byte_lanes) ByteSamples {
    std::array<std::uint8_t, most_bytes> bytes;
};

// For each `last`, the number of the first `count` bytes that are at most that; padding counts as 255.
void count_at_most(const ByteSamples& samples, std::size_t count, std::span<const std::uint8_t> last,
                   std::uint32_t* counts);

}  // namespace crystal
