#include "crystal/hash.hpp"

#include <cstring>

#include "crystal/bytes.hpp"

namespace crystal {
namespace {

// Binary digits of pi after the point, and odd multipliers: constants with nothing up the sleeve.
constexpr std::uint64_t kSeedA = 0x243f6a8885a308d3ULL;
constexpr std::uint64_t kSeedB = 0x13198a2e03707344ULL;
constexpr std::uint64_t kMulA = 0xa4093822299f31d1ULL;
constexpr std::uint64_t kMulB = 0x082efa98ec4e6c89ULL;

struct State {
    std::uint64_t a, b;

    // For a given state a bijection of the two words, and for given words one of the state: no step loses
    // anything.
    void absorb(std::uint64_t first, std::uint64_t second) noexcept {
        a = (a ^ first) * kMulA;
        b = (b ^ second) * kMulB;
        a ^= a >> 32;
        b ^= b >> 29;
        a += std::rotl(b, 23);
        b ^= std::rotl(a, 41);
    }
};

}  // namespace

Hash128 hash_bytes(std::span<const std::uint8_t> bytes) noexcept {
    State state{kSeedA, kSeedB};
    const std::uint8_t* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left > 16; left -= 16, at += 16) {
        state.absorb(load_word<std::uint64_t>(at), load_word<std::uint64_t>(at + 8));
    }
    std::uint8_t tail[16] = {};
    if (left > 0) std::memcpy(tail, at, left);
    state.absorb(load_word<std::uint64_t>(tail), load_word<std::uint64_t>(tail + 8));
    // The size tells a text from the same text with zero bytes after it.
    state.b ^= static_cast<std::uint64_t>(bytes.size());
    state.a = mix64(state.a + std::rotl(state.b, 17));
    state.b = mix64(state.b ^ state.a);
    state.a = mix64(state.a + state.b);
    return {state.a, state.b};
}

}  // namespace crystal
