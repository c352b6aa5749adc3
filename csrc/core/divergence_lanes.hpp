#pragma once
// The arithmetic, written once for any type V of four double lanes. The scalar and the AVX2 path are this
// text with two types whose operations round alike, so their results are equal bytes. As in token_row.hpp,
// everything is private to the file that includes it.
//
// With s = p + q and d = p - q, JSD = (sum p log2 p + sum q log2 q + sum s - sum s log2 s) / 2: one logarithm
// an option, for the other sums belong to the rows. It is exact to about 1e-15, which is nothing where
// JSD is large and everything where it is tiny. Below `near` it is taken again as a sum of terms that are all
// positive: JSD = sum d r G(r^2), r = d / s, where G is half of sum_k u^(k-1) / (2k (2k-1)) / ln 2.
#include <cstddef>

#include "divergence_paths.hpp"

namespace crystal::divergence {
namespace {

constexpr double near_js = 0x1p-8, near_hellinger = 0x1p-10, tiny = 0x1p-1022, series_end = 0.25;
// Options summed before the sum is added to the total: rounding grows with this and with K / this.
constexpr std::size_t stretch = 128;

template <class V>
inline V horner(V u, const double* coefficients, int count) {
    V value = V::all(coefficients[count - 1]);
    for (int i = count - 2; i >= 0; --i) value = fma(value, u, V::all(coefficients[i]));
    return value;
}

// log2 of 0 <= s < 2 sqrt 2 to 3e-16 absolutely or relatively; some finite number for 0. s = 2^(1-n) m with m
// between sqrt(1/2) and sqrt 2, and log2 m = t P(t^2) with t = (m-1)/(m+1); P is near-minimax, 2e-16.
template <class V>
inline V log2_lanes(V s) {
    constexpr double P[] = {0x1.71547652b82ffp+1, 0x1.ec709dc39ca40p-1, 0x1.2776c516a083cp-1,
                            0x1.a61756810b0f8p-2, 0x1.484fa9965bc9cp-2, 0x1.0bb80a92c80ccp-2,
                            0x1.f17dfd13ae0efp-3};
    V n;
    const V twice = s.split(n);  // 2 m; n comes as 2^52 + n
    const V t = (twice - V::all(2.0)) / (twice + V::all(2.0));
    return fma(t, horner(t * t, P, 7), V::all(0x1p52 + 1.0) - n);
}

// G to 2e-16 for u up to 1/4, near-minimax.
template <class V>
inline V series(V u) {
    constexpr double G[] = {0x1.71547652b82fep-2, 0x1.ec709dc3a192ap-5,   0x1.89f3b1675640ep-6,
                            0x1.a61763cade19ap-7, 0x1.06a24ae08f44cp-7,   0x1.662af3f34e634p-8,
                            0x1.03546b8c66a82p-8, 0x1.91aa28847fd6ap-9,   0x1.063bd51067f09p-9,
                            0x1.afbdf279813aap-9, -0x1.caa29eb2486dep-10, 0x1.5cd8037ccc50ap-8};
    return horner(u, G, 12);
}

template <class V>
V near_equal(const double* row, const double* packed, std::size_t options) {
    V total = V::all(0.0);
    for (std::size_t k = 0; k < options; ++k) {
        const V p = V::all(row[k]), q = V::load(packed + lanes * k);
        const V s = max(p + q, V::all(tiny)), d = p - q, r = d / s, u = r * r;
        V term = d * r * series(u);
        const V far = greater_mask(u, V::all(series_end));
        if (any(far)) {
            const V a = magnitude(r), one = V::all(1.0);
            const V wide =
                fma(max(p, q), log2_lanes(one + a), min(p, q) * log2_lanes(max(one - a, V::all(tiny))));
            term = select(far, V::all(0.5) * wide, term);
        }
        total = total + term;
    }
    return total;
}

template <class V>
void js_lanes(const double* row, const double* packed, std::size_t options, double row_constant,
              const double* column_constants, double* out) {
    V total[2] = {V::all(0.0), V::all(0.0)};
    for (std::size_t begin = 0; begin < options; begin += stretch) {
        const std::size_t end = options - begin < stretch ? options : begin + stretch;
        V sum[2] = {V::all(0.0), V::all(0.0)};
        for (std::size_t k = begin; k < end; ++k) {
            const V p = V::all(row[k]);
            for (std::size_t h = 0; h < 2; ++h) {
                const V s = p + V::load(packed + lanes * k + 4 * h);
                sum[h] = fma(s, log2_lanes(s), sum[h]);
            }
        }
        for (std::size_t h = 0; h < 2; ++h) total[h] = total[h] + sum[h];
    }
    for (std::size_t h = 0; h < 2; ++h) {
        const V constants = V::all(row_constant) + V::load(column_constants + 4 * h);
        V value = V::all(0.5) * (constants - total[h]);
        const V near = greater_mask(V::all(near_js), value);
        if (any(near)) value = select(near, near_equal<V>(row, packed + 4 * h, options), value);
        min(value, V::all(1.0)).store(out + 4 * h);
    }
}

template <class V>
double constant_of(const double* row, std::size_t options) {
    V total = V::all(0.0);
    for (std::size_t begin = 0; begin < options; begin += stretch) {
        const std::size_t end = options - begin < stretch ? options : begin + stretch;
        V sum = V::all(0.0);
        for (std::size_t k = begin; k < end; ++k) {
            const V p = V::all(row[k]);
            sum = sum + fma(p, log2_lanes(p), p);
        }
        total = total + sum;
    }
    double result[4];
    total.store(result);
    return result[0];
}

template <class V>
std::size_t hellinger_lanes(double mass, const double* masses, std::size_t columns, double* out) {
    std::size_t marked = 0;
    for (std::size_t j = 0; j < columns; j += 4) {
        double product[4] = {0.0, 0.0, 0.0, 0.0}, other[4] = {0.0, 0.0, 0.0, 0.0};
        const std::size_t count = columns - j < 4 ? columns - j : 4;
        const bool whole = count == 4;
        if (!whole)
            for (std::size_t i = 0; i < count; ++i) product[i] = out[j + i], other[i] = masses[j + i];
        const V m = V::all(mass) + V::load(whole ? masses + j : other);
        const V square = V::all(0.5) * m - V::load(whole ? out + j : product);
        const V near = greater_mask(V::all(near_hellinger), square);
        V value = min(root(max(square, V::all(0.0))), V::all(1.0));
        if (any(near)) value = select(near, V::all(-1.0), value);
        value.store(product);
        for (std::size_t i = 0; i < count; ++i) {
            out[j + i] = product[i];
            marked += product[i] < 0.0 ? 1 : 0;
        }
    }
    return marked;
}

// sum (sqrt p - sqrt q)^2 / 2 as (p - q)^2 / (sqrt p + sqrt q)^2, which no rounding of a root disturbs.
template <class V>
double hellinger_square(const double* p, const double* q, std::size_t options) {
    V sum = V::all(0.0);
    for (std::size_t k = 0; k < options; k += 4) {
        double left[4] = {0.0, 0.0, 0.0, 0.0}, right[4] = {0.0, 0.0, 0.0, 0.0};
        const bool whole = options - k >= 4;
        if (!whole)
            for (std::size_t i = 0; i < options - k; ++i) left[i] = p[k + i], right[i] = q[k + i];
        const V a = V::load(whole ? p + k : left), b = V::load(whole ? q + k : right);
        const V ratio = (a - b) / max(root(a) + root(b), V::all(tiny));
        sum = fma(ratio, ratio, sum);
    }
    double result[4];
    sum.store(result);
    return 0.5 * ((result[0] + result[1]) + (result[2] + result[3]));
}

template <class V>
constexpr Functions functions_of() {
    return {constant_of<V>, js_lanes<V>, hellinger_lanes<V>, hellinger_square<V>};
}

}  // namespace
}  // namespace crystal::divergence
