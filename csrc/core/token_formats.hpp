#pragma once
// The formats of logits: float32, bfloat16 and float16, one by one and thirty-two at a time.
// Private to the file that includes it, for the reason that token_row.hpp gives.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "token_paths.hpp"

namespace crystal::tokens {
namespace {

constexpr float largest_logit = 1e30F;

template <class Logit>
inline Logit read_logit(const void* x) {
    Logit value;
    __builtin_memcpy(&value, x, sizeof value);
    return value;
}

struct Float32 {
    using Logit = float;
    static constexpr Logit minus_infinity = -INFINITY;
    static float value(Logit x) { return x; }
    template <class V>
    static void load(const Logit* x, V* z) {
        for (int k = 0; k < 32 / V::lanes; ++k) z[k] = V::load(x + V::lanes * k);
    }
};

struct Bfloat16 {
    using Logit = std::uint16_t;
    static constexpr Logit minus_infinity = 0xFF80;
    static float value(Logit x) {
        const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
        return read_logit<float>(&bits);
    }
    template <class V>
    static void load(const Logit* x, V* z) {
        V::load_bfloat16(x, z);
    }
};

struct Float16 {
    using Logit = std::uint16_t;
    static constexpr Logit minus_infinity = 0xFC00;
    static float value(Logit x) {
        const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x8000U) << 16, magnitude = x & 0x7FFFU;
        std::uint32_t bits;
        if (magnitude >= 0x7C00U) {
            bits = sign | 0x7F800000U | (magnitude & 0x3FFU) << 13;
        } else if (magnitude >= 0x400U) {
            bits = sign | ((magnitude << 13) + 0x38000000U);
        } else {
            const float small = static_cast<float>(magnitude) * 0x1p-24F;  // subnormal, or zero
            bits = sign | read_logit<std::uint32_t>(&small);
        }
        return read_logit<float>(&bits);
    }
    template <class V>
    static void load(const Logit* x, V* z) {
        for (int k = 0; k < 32 / V::lanes; ++k) z[k] = V::load_float16(x + V::lanes * k);
    }
};

inline float logit_at(LogitType type, const void* logits, std::ptrdiff_t place) {
    if (type == LogitType::float32) return static_cast<const float*>(logits)[place];
    const std::uint16_t bits = static_cast<const std::uint16_t*>(logits)[place];
    return type == LogitType::float16 ? Float16::value(bits) : Bfloat16::value(bits);
}

}  // namespace
}  // namespace crystal::tokens
