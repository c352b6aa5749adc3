#pragma once
// Fixed-seed hashes. A hash is an order and a place in a table, never an identity: whoever uses one compares
// the keys themselves as well. No defence against keys made to collide: such an input is slow, never wrong.
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace crystal {

struct Hash128 {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    auto operator<=>(const Hash128&) const = default;
};

// The same 128 bits on every machine and in every release of a file format that orders by them.
Hash128 hash_bytes(std::span<const std::uint8_t> bytes) noexcept;

inline Hash128 hash_text(std::string_view text) noexcept {
    return hash_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// A bijection of 64 bits in which every input bit reaches every output bit.
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ULL;
    x ^= x >> 29;
    x *= 0xa0761d6478bd642fULL;
    return x ^ (x >> 32);
}

__extension__ typedef unsigned __int128 Product128;

// The place of a hash in [0, size): its top bits decide, so `size` need not be a power of two.
inline std::size_t place(std::uint64_t hash, std::size_t size) noexcept {
    return static_cast<std::size_t>((static_cast<Product128>(hash) * size) >> 64);
}

// Both halves of one 64 x 64 bit product, folded: the quick hash of a packed row key.
inline std::uint64_t hash_pair(std::uint64_t first, std::uint64_t second, std::uint64_t seed) noexcept {
    const Product128 product = static_cast<Product128>(first ^ seed) * (second ^ 0x9e3779b97f4a7c15ULL);
    return (static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product)) *
           0xd1342543de82ef95ULL;
}

}  // namespace crystal
