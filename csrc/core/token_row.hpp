#pragma once
// The state of one row, written once for any type V of eight or sixteen float lanes. All paths are this text
// with types whose operations round alike (each multiply-add once), and add the same sixteen columns whatever
// a vector holds of them, so their results are equal bytes.
//
// Chunks of 64 logits stay in registers or in the first cache between their maximum and their sums: where the
// maximum is larger than the row's (about log(chunks) times a row), what was summed moves to it. Columns are
// summed in float32 over at most 2,048 logits, then in float64.
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
constexpr float distant = 1073741824.0F;  // 2^30

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

// 2^f for f from -0.5 to 0.5, relative error 1.7e-7. N vectors go through each step together: one alone would
// wait for itself at every step, and the processor sees only some sixty instructions ahead.
template <int N, class V>
inline void exp2_fractions(const V* f, V* p) {
    const V c5 = V::all(0x1.5bb994p-10F), c4 = V::all(0x1.3cea84p-7F), c3 = V::all(0x1.c6b754p-5F);
    const V c2 = V::all(0x1.ebf9bcp-3F), c1 = V::all(0x1.62e42ap-1F), c0 = V::all(1.0F);
    for (int k = 0; k < N; ++k) p[k] = fma(c5, f[k], c4);
    for (int k = 0; k < N; ++k) p[k] = fma(p[k], f[k], c3);
    for (int k = 0; k < N; ++k) p[k] = fma(p[k], f[k], c2);
    for (int k = 0; k < N; ++k) p[k] = fma(p[k], f[k], c1);
    for (int k = 0; k < N; ++k) p[k] = fma(p[k], f[k], c0);
}

// 2^f with the exponent raised by the integer in the low bits of `shifted`.
template <class V>
inline V exp2_fraction(V f, V shifted) {
    V p;
    exp2_fractions<1>(&f, &p);
    return add_exponent(p, shifted);
}

// The nearest integer to d, as a path likes to hold it: here in the low bits of a number from 2^23 to 2^24,
// from where it can be added to an exponent. A path that has instructions for these three has its own.
template <class V>
inline V nearest(V d) {
    return d + V::all(12582912.0F);
}
template <class V>
inline V without(V d, V integer) {
    return d - (integer - V::all(12582912.0F));
}
template <class V>
inline V times_power(V p, V integer) {
    return add_exponent(p, integer);
}

// 2^d for -125 <= d <= 0, relative error below 2e-7; a NaN becomes any number.
template <int N, class V>
inline void exp2_each(const V* d, V* e) {
    V integer[N], f[N];
    for (int k = 0; k < N; ++k) integer[k] = nearest(d[k]);
    for (int k = 0; k < N; ++k) f[k] = without(d[k], integer[k]);
    exp2_fractions<N>(f, e);
    for (int k = 0; k < N; ++k) e[k] = times_power(e[k], integer[k]);
}

template <class V>
inline V exp2_lanes(V d) {
    V e;
    exp2_each<1>(&d, &e);
    return e;
}

// Sixteen columns in one or two vectors.
template <class V>
inline double column_sum(const V* columns) {
    if constexpr (V::lanes == 16)
        return sum(columns[0]);
    else
        return sum(columns[0] + columns[1]);
}

template <class V, bool Standard, bool All>
struct LaneSums {
    static constexpr int parts = 16 / V::lanes;
    V s[parts], t[parts], u[parts], q[parts], above[parts];

    LaneSums() { clear(); }

    void clear() {
        for (int i = 0; i < parts; ++i) s[i] = t[i] = u[i] = q[i] = above[i] = V::all(0.0F);
    }

    void empty_into(Sums& row) {
        row.s += column_sum(s);
        row.t += column_sum(t);
        if constexpr (Standard) {
            row.u += column_sum(u);
            row.q += column_sum(q);
        }
        if constexpr (All) row.above += column_sum(above);
        clear();
    }
};

template <class V, class Source, bool Standard, bool All>
Sums row_sums(const typename Source::Logit* x, std::size_t count, float scale, float chosen) {
    constexpr std::size_t chunk = 64, block = 2048;
    constexpr int parts = 16 / V::lanes, vectors = chunk / V::lanes, abreast = V::abreast;
    float maximum = -largest_logit;
    V top = V::all(maximum), shift = V::all(maximum * scale);
    bool far = true;  // from here on the rounding of maximum * scale could exceed the exponents there are
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
        V z[vectors], peak[parts];
        Source::template load<V>(at, z);
        Source::template load<V>(at + chunk / 2, z + vectors / 2);
        bool higher = false;
        for (int h = 0; h < parts; ++h) {
            peak[h] = max(max(z[h], z[h + parts]), max(z[h + 2 * parts], z[h + 3 * parts]));
            higher |= any_greater(peak[h], V::all(maximum));
        }
        if (higher) {
            lanes.empty_into(row);
            in_block = 0;
            for (int h = 0; h < parts; ++h) {
                const float part = largest(peak[h]);  // NaN where all lanes are
                if (part > maximum) maximum = part;
            }
            best_chunk = i;
            const float scaled = maximum * scale;
            far = scaled <= -distant || scaled >= distant;
            const double moved =
                far ? static_cast<double>(maximum) * static_cast<double>(scale) : static_cast<double>(scaled);
            move_sums(row, row.shift - moved);
            row.shift = moved;
            shift = V::all(scaled);
            top = V::all(maximum);
        }
        for (int k = 0; k < vectors; k += abreast) {
            V d[abreast], e[abreast];
            for (int j = 0; j < abreast; ++j) d[j] = far ? (z[k + j] - top) * c : fms(z[k + j], c, shift);
            for (int j = 0; j < abreast; ++j) d[j] = max_second_nan(lowest, d[j]);
            exp2_each<abreast>(d, e);
            for (int j = 0; j < abreast; ++j) {
                const int lane = (k + j) % parts;
                lanes.s[lane] = lanes.s[lane] + e[j];
                if constexpr (Standard) {
                    const V ed = e[j] * d[j];
                    lanes.t[lane] = lanes.t[lane] + ed;
                    lanes.u[lane] = fma(ed, d[j], lanes.u[lane]);
                    lanes.q[lane] = fma(e[j], e[j], lanes.q[lane]);
                    const auto beyond = greater_mask(z[k + j], token);
                    greater = count_up(greater, beyond);
                    if constexpr (All) {
                        lanes.above[lane] = lanes.above[lane] + (e[j] & beyond);
                        equal = count_up(equal, equal_mask(z[k + j], token));
                    }
                } else {
                    lanes.t[lane] = fma(e[j], d[j], lanes.t[lane]);
                }
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
    if (row.t != row.t) {
        row.s = row.t;
        if (Standard) row.u = row.q = row.t;
        if (All) row.above = row.t;
    }
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
