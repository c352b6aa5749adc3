#pragma once
// Hashes for tables that live for one call. They say where to look, and whoever finds something compares it;
// their values are in no file, so they may change between releases.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "crystal/bytes.hpp"
#include "crystal/hash.hpp"

namespace crystal {

// Both halves of a 64 x 64 bit product, folded: every bit of either factor reaches most bits of the result.
constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
    const Product128 product = static_cast<Product128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

namespace hash_constants {
// Binary digits of the square roots of 2, 3, 5 and 7 after the point, made odd.
inline constexpr std::uint64_t kTwo = 0x6a09e667f3bcc909ULL;
inline constexpr std::uint64_t kThree = 0xbb67ae8584caa73bULL;
inline constexpr std::uint64_t kFive = 0x3c6ef372fe94f82bULL;
inline constexpr std::uint64_t kSeven = 0xa54ff53a5f1d36f1ULL;
}  // namespace hash_constants

// Reads of short sequences overlap instead of looping over bytes; none leaves [at, at + size).
inline std::uint64_t quick_hash(const std::uint8_t* at, std::size_t size) noexcept {
    using namespace hash_constants;
    std::uint64_t state = kTwo ^ (size * kSeven);
    std::uint64_t a = 0, b = 0;
    if (size > 16) {
        const std::uint8_t* const last = at + size - 16;
        if (size > 64) {
            // Two independent chains keep the multiplier busy on long sequences.
            std::uint64_t other = kFive;
            for (; at + 16 < last; at += 32) {
                state = fold(load_word<std::uint64_t>(at) ^ kThree, load_word<std::uint64_t>(at + 8) ^ state);
                other = fold(load_word<std::uint64_t>(at + 16) ^ kSeven,
                             load_word<std::uint64_t>(at + 24) ^ other);
            }
            state ^= other;
        }
        for (; at < last; at += 16) {
            state = fold(load_word<std::uint64_t>(at) ^ kThree, load_word<std::uint64_t>(at + 8) ^ state);
        }
        a = load_word<std::uint64_t>(last);
        b = load_word<std::uint64_t>(last + 8);
    } else if (size >= 8) {
        a = load_word<std::uint64_t>(at);
        b = load_word<std::uint64_t>(at + size - 8);
    } else if (size >= 4) {
        a = load_word<std::uint32_t>(at);
        b = load_word<std::uint32_t>(at + size - 4);
    } else if (size > 0) {
        a = (std::uint64_t{at[0]} << 16) | (std::uint64_t{at[size / 2]} << 8) | at[size - 1];
    }
    return fold(fold(a ^ kFive, b ^ state) ^ kThree, kSeven);
}

// memcmp for sequences that are short: no call, sixteen bytes a step.
inline bool same_bytes(const std::uint8_t* a, const std::uint8_t* b, std::size_t size) noexcept {
    if (size > 256) return std::memcmp(a, b, size) == 0;
    const auto differ = [&](std::size_t i) {
        return load_word<std::uint64_t>(a + i) ^ load_word<std::uint64_t>(b + i);
    };
    if (size >= 16) {
        const std::size_t last = size - 16;
        for (std::size_t i = 0; i < last; i += 16) {
            if ((differ(i) | differ(i + 8)) != 0) return false;
        }
        return (differ(last) | differ(last + 8)) == 0;
    }
    if (size >= 8) return (differ(0) | differ(size - 8)) == 0;
    if (size >= 4) {
        return load_word<std::uint32_t>(a) == load_word<std::uint32_t>(b) &&
               load_word<std::uint32_t>(a + size - 4) == load_word<std::uint32_t>(b + size - 4);
    }
    for (std::size_t i = 0; i < size; ++i) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

}  // namespace crystal
