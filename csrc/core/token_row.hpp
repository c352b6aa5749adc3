#pragma once
// The state of one row, written once for any type V of eight float lanes. The scalar and the AVX2 path are
// this text with two types whose operations round alike (each multiply-add once), so their results are equal
// bytes.
//
// Chunks of 32 logits stay in registers: their maximum is compared with the row's; where it is larger (about
// log(chunks) times a row), what was summed moves to the new maximum. Lanes are summed in float32 over at
// most 2,048 logits, then in float64.
//
// Everything here has to be private to the file that includes it: the AVX2 file is compiled with other flags,
// and a function that two files share might be kept from the wrong one.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "token_paths.hpp"

namespace crystal::tokens {
namespace {

constexpr float largest_logit = 1e30F;

// Moves float64 sums from `shift` to a shift that is larger by -delta.
inline void move_sums(Sums& row, double delta) {
    if (!(delta >= -2000.0)) delta = delta < 0 ? -2000.0 : delta;  // -inf would meet 0; NaN goes on
    const double a = ::exp2(delta);
    row.u = a * (row.u + delta * (2.0 * row.t + delta * row.s));
    row.t = a * (row.t + delta * row.s);
    row.s = a * row.s;
    row.q = a * a * row.q;
    row.above = a * row.above;
}

// 2^f with the exponent raised by the integer in the low bits of `shifted`; f is -0.5 to 0.5.
template <class V>
inline V exp2_fraction(V f, V shifted) {
    V p = fma(V::all(0x1.5bb994p-10F), f, V::all(0x1.3cea84p-7F));
    p = fma(p, f, V::all(0x1.c6b754p-5F));
    p = fma(p, f, V::all(0x1.ebf9bcp-3F));
    p = fma(p, f, V::all(0x1.62e42ap-1F));
    p = fma(p, f, V::all(1.0F));
    return add_exponent(p, shifted);
}

// 2^d for d <= 0, relative error below 2e-7; d below -125 counts as -125, NaN stays NaN. Adding 1.5 * 2^23
// rounds to an integer that then sits in the low bits, from where it is added to the exponent.
template <class V>
inline V exp2_lanes(V d) {
    const V magic = V::all(12582912.0F);
    const V shifted = d + magic;
    return exp2_fraction(d - (shifted - magic), shifted);
}

template <class V, bool Standard, bool All>
struct LaneSums {
    V s[2], t[2], u[2], q[2], above[2];

    LaneSums() { clear(); }

    void clear() {
        for (int i = 0; i < 2; ++i) s[i] = t[i] = u[i] = q[i] = above[i] = V::all(0.0F);
    }

    void empty_into(Sums& row) {
        row.s += sum(s[0] + s[1]);
        row.t += sum(t[0] + t[1]);
        if constexpr (Standard) {
            row.u += sum(u[0] + u[1]);
            row.q += sum(q[0] + q[1]);
        }
        if constexpr (All) row.above += sum(above[0] + above[1]);
        clear();
    }
};

template <class V, class Source, bool Standard, bool All>
Sums row_sums(const typename Source::Logit* x, std::size_t count, float scale, float chosen) {
    constexpr std::size_t chunk = 32, block = 2048;
    float maximum = -largest_logit;
    V shift = V::all(maximum * scale);
    Sums row{maximum, static_cast<double>(maximum * scale), 0, 0, 0, 0, 0, -1, 0, 0};
    LaneSums<V, Standard, All> lanes;
    typename V::Counter greater = V::no_count(), equal = V::no_count();
    const V c = V::all(scale), token = V::all(chosen), lowest = V::all(-125.0F);
    typename Source::Logit rest[chunk];
    std::size_t in_block = 0, best_chunk = count;
    for (std::size_t i = 0; i < count; i += chunk) {
        const typename Source::Logit* at = x + i;
        if (count - i < chunk) {
            for (std::size_t j = 0; j < chunk; ++j) rest[j] = j < count - i ? at[j] : Source::minus_infinity;
            at = rest;
        }
        V z[4];
        Source::template load<V>(at, z);
        const V peak = max(max(z[0], z[1]), max(z[2], z[3]));
        if (any_greater(peak, V::all(maximum))) {
            lanes.empty_into(row);
            in_block = 0;
            maximum = largest(peak);
            best_chunk = i;
            const float moved = maximum * scale;
            move_sums(row, row.shift - static_cast<double>(moved));
            row.shift = static_cast<double>(moved);
            shift = V::all(moved);
        }
        for (int k = 0; k < 4; ++k) {
            const V d = max_second_nan(lowest, fms(z[k], c, shift));
            const V e = exp2_lanes(d);
            const int lane = k & 1;
            lanes.s[lane] = lanes.s[lane] + e;
            if constexpr (Standard) {
                const V ed = e * d;
                lanes.t[lane] = lanes.t[lane] + ed;
                lanes.u[lane] = fma(ed, d, lanes.u[lane]);
                lanes.q[lane] = fma(e, e, lanes.q[lane]);
                const V beyond = greater_mask(z[k], token);
                greater = count_up(greater, beyond);
                if constexpr (All) {
                    lanes.above[lane] = lanes.above[lane] + (e & beyond);
                    equal = count_up(equal, equal_mask(z[k], token));
                }
            } else {
                lanes.t[lane] = fma(e, d, lanes.t[lane]);
            }
        }
        in_block += chunk;
        if (in_block >= block) {
            lanes.empty_into(row);
            in_block = 0;
        }
    }
    lanes.empty_into(row);
    row.maximum = static_cast<double>(maximum);
    row.greater = V::total(greater);
    row.equal = V::total(equal);
    // Padding is -inf: it is never greater, but it equals a chosen -inf.
    if (All && chosen == -INFINITY) row.equal -= static_cast<std::int64_t>((chunk - count % chunk) % chunk);
    // The bits of some NaN survive the addition to the exponent as a number; their d does not.
    if (row.t != row.t) row.s = row.t;
    // Nothing raised the maximum and nothing is NaN: the row is empty.
    if (best_chunk == count && row.s == row.s) row.s = row.t = row.u = row.q = row.above = 0.0;
    for (std::size_t j = best_chunk; j < count && row.best < 0; ++j)
        if (Source::value(x[j]) == maximum) row.best = static_cast<std::int64_t>(j);
    return row;
}

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
        for (int k = 0; k < 4; ++k) z[k] = V::load(x + 8 * k);
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
        V::load_bfloat16(x + 16, z + 2);
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
        for (int k = 0; k < 4; ++k) z[k] = V::load_float16(x + 8 * k);
    }
};

inline float logit_at(LogitType type, const void* logits, std::ptrdiff_t place) {
    if (type == LogitType::float32) return static_cast<const float*>(logits)[place];
    const std::uint16_t bits = static_cast<const std::uint16_t*>(logits)[place];
    return type == LogitType::float16 ? Float16::value(bits) : Bfloat16::value(bits);
}

template <class V, class Source, bool Standard, bool All>
Sums row_of(const void* x, std::size_t count, float scale, float chosen) {
    return row_sums<V, Source, Standard, All>(static_cast<const typename Source::Logit*>(x), count, scale,
                                              chosen);
}

template <class V, class Source>
RowFunction row_at(TokenLevel level) {
    if (level == TokenLevel::core) return row_of<V, Source, false, false>;
    return level == TokenLevel::standard ? row_of<V, Source, true, false> : row_of<V, Source, true, true>;
}

template <class V>
RowFunction row_function(LogitType type, TokenLevel level) {
    if (type == LogitType::float32) return row_at<V, Float32>(level);
    return type == LogitType::float16 ? row_at<V, Float16>(level) : row_at<V, Bfloat16>(level);
}

}  // namespace
}  // namespace crystal::tokens
