#pragma once
// The sums of one pair of rows, written once for any type V of eight lanes, like token_row.hpp and private to
// the file that includes it for the same reason. The formulae are those of kernels/divergence_sums.py.
#include "token_exponential.hpp"
#include "token_formats.hpp"

namespace crystal::tokens {
namespace {

// A number as the sum of two floats: what is taken from a logit must not be rounded to a float.
template <class V>
struct Level {
    V high, low;

    explicit Level(double level)
        : high(V::all(static_cast<float>(level))),
          low(V::all(static_cast<float>(level - static_cast<double>(static_cast<float>(level))))) {}
    V from(V x) const { return (x - high) - low; }
};

// For v >= 0: s = exp(-v), h = 1 - s and f = exp(-v) - 1 + v, each with its own relative error below 1e-6.
// With v = n ln2 + r and k = 2^-n, exp(-r) = 1 - r + w, where w = r^2 (1/2 - r/6 + ...) is the f of r.
template <class V>
struct Decay {
    V s, h, f;

    explicit Decay(V v) {
        const V one = V::all(1.0F), magic = V::all(12582912.0F), bounded = min(v, V::all(40.0F));
        const V shifted = fma(bounded, V::all(-0x1.715476p+0F), magic);
        const V r = fma(shifted - magic, V::all(0x1.62e43p-1F), bounded);
        const V k = add_exponent(one, shifted);
        V w = fma(V::all(0x1.6c6bap-10F), r, V::all(-0x1.12102cp-7F));
        w = fma(w, r, V::all(0x1.5555bep-5F));
        w = fma(w, r, V::all(-0x1.5554d8p-3F));
        w = fma(w, r, V::all(0.5F));
        w = w * (r * r);
        s = fma(k, w - r, k);
        h = fma(k, r - w, one - k);
        f = fma(k, w, (k - one) - fms(k, r, v));
    }
};

// (z + (1 - z) log(1 - z)) / z^2 for z in [0, 1/2], relative error 1.4e-6.
template <class V>
inline V mean_series(V z) {
    V p = fma(V::all(0x1.8c974ap-4F), z, V::all(-0x1.4b9898p-6F));
    p = fma(p, z, V::all(0x1.0e06bp-4F));
    p = fma(p, z, V::all(0x1.4cfe84p-4F));
    p = fma(p, z, V::all(0x1.558608p-3F));
    return fma(p, z, V::all(0x1.ffffd2p-2F));
}

template <class V>
struct PairLanes {
    V forward, backward, square, js, apart, more, noise;

    PairLanes() { clear(); }
    void clear() { forward = backward = square = js = apart = more = noise = V::all(0.0F); }
    void empty_into(PairSums& row) {
        row.forward += sum(forward);
        row.backward += sum(backward);
        row.square += sum(square);
        row.js += sum(js);
        row.apart += sum(apart);
        row.more += sum(more);
        row.noise -= sum(noise);
        clear();
    }
};

template <class V, class Source>
PairSums pair_sums(const void* p_row, const void* q_row, std::size_t count, double p_level, double q_level,
                   double temperature) {
    using Logit = typename Source::Logit;
    constexpr std::size_t chunk = 32, block = 2048;
    const auto* p = static_cast<const Logit*>(p_row);
    const auto* q = static_cast<const Logit*>(q_row);
    const Level<V> p_from(p_level), q_from(q_level), gap(p_level - q_level);
    const V scale = V::all(static_cast<float>(1.4426950408889634 / temperature));
    const V half = V::all(static_cast<float>(0.5 / temperature)), zero = V::all(0.0F);
    // Below 2^-80 a probability counts as 0: nothing here then comes near the slow numbers below 2^-126.
    const V lowest = V::all(-80.0F), tiny = V::all(0x1p-80F), floor = V::all(-largest_logit);
    PairSums row{};
    PairLanes<V> lanes;
    V top = zero, bottom = zero;
    Logit p_rest[chunk], q_rest[chunk];
    for (std::size_t i = 0; i < count; i += chunk) {
        const Logit *p_at = p + i, *q_at = q + i;
        if (count - i < chunk) {
            for (std::size_t j = 0; j < chunk; ++j) {
                p_rest[j] = j < count - i ? p_at[j] : Source::minus_infinity;
                q_rest[j] = j < count - i ? q_at[j] : Source::minus_infinity;
            }
            p_at = p_rest;
            q_at = q_rest;
        }
        V xs[4], ys[4];
        Source::template load<V>(p_at, xs);
        Source::template load<V>(q_at, ys);
        for (int k = 0; k < 4; ++k) {
            const V x = max(xs[k], floor), y = max(ys[k], floor), d = x - y;
            top = max(d, top);
            bottom = min(d, bottom);
            const V w = gap.from(d);
            const V larger = exp2_lanes(max(max(p_from.from(x), q_from.from(y)) * scale, lowest)) - tiny;
            const V v = magnitude(w) * half;
            const Decay<V> decay(v);
            const V square = decay.h * decay.h;
            const V steep = decay.f + decay.f, flat = (decay.s + decay.s) * fms(v, decay.h, decay.f);
            const V g = fma(decay.h, decay.s, decay.h), z = V::all(0.5F) * g, part = larger * g;
            const V mean = mean_series(z) * (z * z);
            const V js = fms(V::all(0.5F), flat + square, mean);
            const V more = greater_mask(w, zero);
            lanes.forward = fma(larger, select(more, steep, flat), lanes.forward);
            lanes.backward = fma(larger, select(more, flat, steep), lanes.backward);
            lanes.square = fma(larger, square, lanes.square);
            lanes.js = fma(larger, js, lanes.js);
            lanes.apart = lanes.apart + part;
            lanes.more = lanes.more + (part & more);
            const V smaller = (larger * decay.s) * decay.s;
            const V shared = fms(smaller, smaller, smaller);  // negative, as the sum is
            const V a = power_below(x), b = power_below(y);
            lanes.noise = fma(shared * a, a, lanes.noise);
            lanes.noise = fma(shared * b, b, lanes.noise);
        }
        if ((i + chunk) % block == 0) lanes.empty_into(row);
    }
    lanes.empty_into(row);
    row.highest = static_cast<double>(largest(top));
    row.lowest = -static_cast<double>(largest(zero - bottom));
    return row;
}

template <class V>
PairFunction pair_function(LogitType type) {
    if (type == LogitType::float32) return pair_sums<V, Float32>;
    return type == LogitType::float16 ? pair_sums<V, Float16> : pair_sums<V, Bfloat16>;
}

}  // namespace
}  // namespace crystal::tokens
