#pragma once
// The sums of one row over a grid of temperatures, written once for any type V of eight lanes, like
// token_row.hpp and private to the file that includes it for the same reason.
#include "token_exponential.hpp"
#include "token_formats.hpp"

namespace crystal::tokens {
namespace {

// 2^(x c) for x c <= 0, as exp2_lanes; the product is rounded nowhere.
template <class V>
inline V exp2_scaled(V x, V c) {
    const V magic = V::all(12582912.0F);
    const V shifted = fma(x, c, magic);
    return exp2_fraction(fms(x, c, shifted - magic), shifted);
}

// Adds a block of d = x - maximum to the sums at T, T/2, ... of a chain.
template <class V, int Steps>
void add_block(const float* block, std::size_t size, const CurveChain& chain, double* sums) {
    V s[Steps], t[Steps], u[Steps];
    for (int k = 0; k < Steps; ++k) s[k] = t[k] = u[k] = V::all(0.0F);
    const V c = V::all(chain.scale), lowest = V::all(-125.0F / chain.scale), floor = V::all(0x1p-62F);
    for (std::size_t i = 0; i < size; i += 8) {
        const V d = max_second_nan(lowest, V::load(block + i));
        const V square = d * d;
        V e = exp2_scaled(d, c);
        for (int k = 0; k < Steps; ++k) {
            if (k > 0) {  // kept above the numbers whose square would not be normal
                e = max_second_nan(floor, e);
                e = e * e;
            }
            s[k] = s[k] + e;
            t[k] = fma(e, d, t[k]);
            u[k] = fma(e, square, u[k]);
        }
    }
    for (int k = 0; k < Steps; ++k) {
        double* place = sums + 3 * chain.places[k];
        place[0] += sum(s[k]);
        place[1] += sum(t[k]);
        place[2] += sum(u[k]);
    }
}

template <class V>
void add_chain(const float* block, std::size_t size, const CurveChain& chain, double* sums) {
    if (chain.steps == 1) return add_block<V, 1>(block, size, chain, sums);
    if (chain.steps == 2) return add_block<V, 2>(block, size, chain, sums);
    add_block<V, 3>(block, size, chain, sums);
}

template <class V, class Source>
double curve_row(const void* logits, std::size_t count, const CurveGrid& grid, double* sums) {
    constexpr std::size_t chunk = 32, block = 1024;
    const auto* x = static_cast<const typename Source::Logit*>(logits);
    float maximum = -largest_logit;
    bool empty = true;
    typename Source::Logit rest[chunk];
    alignas(32) float d[block];
    for (std::size_t begin = 0; begin < count; begin += block) {
        const std::size_t size = count - begin < block ? count - begin : block;
        V peak = V::all(-INFINITY);
        for (std::size_t i = 0; i < size; i += chunk) {
            const typename Source::Logit* at = x + begin + i;
            if (size - i < chunk) {
                for (std::size_t j = 0; j < chunk; ++j)
                    rest[j] = j < size - i ? at[j] : Source::minus_infinity;
                at = rest;
            }
            V z[4];
            Source::template load<V>(at, z);
            for (int k = 0; k < 4; ++k) z[k].store(d + i + 8 * k);
            peak = max(peak, max(max(z[0], z[1]), max(z[2], z[3])));
        }
        const std::size_t padded = (size + chunk - 1) / chunk * chunk;
        const float top = largest(peak);
        if (top > maximum) {
            move_curves(grid, static_cast<double>(maximum) - static_cast<double>(top), sums);
            maximum = top;
            empty = false;
        }
        const V m = V::all(maximum);
        for (std::size_t i = 0; i < padded; i += 8) (V::load(d + i) - m).store(d + i);
        for (std::size_t j = 0; j < grid.chains; ++j) {
            // What is below 2^-60 of the largest term is lost in any case; the first chain reads all of it
            // and so finds every NaN.
            if (j > 0 && (top - maximum) * grid.chain[j].scale < -60.0F) continue;
            add_chain<V>(d, padded, grid.chain[j], sums);
        }
    }
    // The bits of some NaN survive the addition to the exponent as a number; their d does not.
    const double nan = count > 0 ? sums[3 * grid.chain[0].places[0] + 1] : 0.0;
    if (nan != nan || empty)
        for (std::size_t i = 0; i < 3 * grid.temperatures; ++i) sums[i] = nan != nan ? nan : 0.0;
    return static_cast<double>(maximum);
}

template <class V>
CurveFunction curve_function(LogitType type) {
    if (type == LogitType::float32) return curve_row<V, Float32>;
    return type == LogitType::float16 ? curve_row<V, Float16> : curve_row<V, Bfloat16>;
}

}  // namespace
}  // namespace crystal::tokens
