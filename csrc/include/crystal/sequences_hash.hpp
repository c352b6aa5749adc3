#pragma once
// Hashes for tables that live for one call. They say where to look, and whoever finds something compares it;
// their values are in no file, so they may change between releases.
#include <array>
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

// Sequences are read in blocks of four words, the last of them from the end. A sequence shorter than a block
// is one block all the same, where what is not its own counts as zero, by a mask and not by branches: samples
// are short and of all lengths, so a branch on the length is a coin that the processor has to guess.
inline constexpr std::size_t kBlockBytes = 32;
inline constexpr auto kBlockMask = [] {
    std::array<std::uint8_t, 2 * kBlockBytes> mask{};
    for (std::size_t i = 0; i < kBlockBytes; ++i) mask[i] = 0xff;
    return mask;
}();

// Of [at, at + size), where `room` bytes at `at` may be read.
inline std::uint64_t quick_hash(const std::uint8_t* at, std::size_t size, std::size_t room) noexcept {
    using namespace hash_constants;
    std::uint64_t one = kTwo ^ (size * kSeven), two = kFive;
    const auto absorb = [&](auto&& word) {
        one = fold(word(0) ^ kThree, word(8) ^ one);
        two = fold(word(16) ^ kSeven, word(24) ^ two);
    };
    const auto block = [&](const std::uint8_t* from) {
        absorb([&](std::size_t i) { return load_word<std::uint64_t>(from + i); });
    };
    if (size >= kBlockBytes) {
        const std::uint8_t* const last = at + size - kBlockBytes;
        for (; at < last; at += kBlockBytes) block(at);
        block(last);
    } else {
        std::array<std::uint8_t, kBlockBytes> copy{};
        if (room < kBlockBytes && size > 0) std::memcpy(copy.data(), at, size);
        const std::uint8_t* const from = room < kBlockBytes ? copy.data() : at;
        const std::uint8_t* const mask = kBlockMask.data() + kBlockBytes - size;
        absorb([&](std::size_t i) {
            return load_word<std::uint64_t>(from + i) & load_word<std::uint64_t>(mask + i);
        });
    }
    return fold(fold(one ^ kFive, two) ^ kThree, kSeven);
}

// Whether two sequences of one size are equal, where at least a block may be read at both.
inline bool same_blocks(const std::uint8_t* a, const std::uint8_t* b, std::size_t size) noexcept {
    const auto differ = [&](std::size_t i) {
        return load_word<std::uint64_t>(a + i) ^ load_word<std::uint64_t>(b + i);
    };
    if (size < kBlockBytes) {
        const std::uint8_t* const mask = kBlockMask.data() + kBlockBytes - size;
        const auto masked = [&](std::size_t i) { return differ(i) & load_word<std::uint64_t>(mask + i); };
        return (masked(0) | masked(8) | masked(16) | masked(24)) == 0;
    }
    for (std::size_t at = 0, last = size - kBlockBytes; at < last; at += kBlockBytes) {
        if ((differ(at) | differ(at + 8) | differ(at + 16) | differ(at + 24)) != 0) return false;
    }
    const std::size_t last = size - kBlockBytes;
    return (differ(last) | differ(last + 8) | differ(last + 16) | differ(last + 24)) == 0;
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
