#pragma once
// The inner loops of clustering, written once for any type V of four double lanes, as divergence_lanes.hpp
// is.
#include <cstddef>
#include <limits>

#include "clustering_paths.hpp"
#include "divergence_lanes.hpp"

namespace crystal::clustering {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

// Eight rows side by side: option k of row l at [8 k + l].
template <class V>
void pack(const double* const* rows, std::size_t options, double* packed) {
    const std::size_t whole = options / 4 * 4;
    for (std::size_t half = 0; half < abreast; half += 4)
        for (std::size_t k = 0; k < whole; k += 4) {
            V block[4];
            for (std::size_t l = 0; l < 4; ++l) block[l] = V::load(rows[half + l] + k);
            V::transpose(block);
            for (std::size_t l = 0; l < 4; ++l) block[l].store(packed + abreast * (k + l) + half);
        }
    for (std::size_t k = whole; k < options; ++k)
        for (std::size_t l = 0; l < abreast; ++l) packed[abreast * k + l] = rows[l][k];
}

template <class V>
void cheapest(const double* const* rows, const double* slopes, const double* biases, std::size_t options,
              std::size_t centroids, double* packed, double* gap, double* label) {
    pack<V>(rows, options, packed);
    V best[2] = {V::all(never), V::all(never)}, second[2] = {best[0], best[1]};
    V index[2] = {V::all(0.0), V::all(0.0)};
    for (std::size_t c = 0; c < centroids; c += 4) {
        const double* slope = slopes + c * options;
        V sum[4][2];
        for (std::size_t i = 0; i < 4; ++i) sum[i][0] = sum[i][1] = V::all(biases[c + i]);
        for (std::size_t k = 0; k < options; ++k) {
            const V low = V::load(packed + abreast * k), high = V::load(packed + abreast * k + 4);
            for (std::size_t i = 0; i < 4; ++i) {
                const V g = V::all(slope[4 * k + i]);
                sum[i][0] = fma(low, g, sum[i][0]);
                sum[i][1] = fma(high, g, sum[i][1]);
            }
        }
        for (std::size_t i = 0; i < 4; ++i)
            for (std::size_t h = 0; h < 2; ++h) {
                const V lower = greater_mask(best[h], sum[i][h]);
                second[h] = min(second[h], max(best[h], sum[i][h]));
                index[h] = select(lower, V::all(static_cast<double>(c + i)), index[h]);
                best[h] = min(best[h], sum[i][h]);
            }
    }
    for (std::size_t h = 0; h < 2; ++h) {
        (second[h] - best[h]).store(gap + 4 * h);
        index[h].store(label + 4 * h);
    }
}

template <class V>
void add(const double* row, double weight, std::size_t options, double* sum) {
    const V w = V::all(weight);
    std::size_t k = 0;
    for (; k + 4 <= options; k += 4) (V::load(sum + k) + w * V::load(row + k)).store(sum + k);
    for (; k < options; ++k) sum[k] += weight * row[k];
}

template <class V>
double product(const double* a, const double* b, std::size_t count) {
    V sum = V::all(0.0);
    std::size_t k = 0;
    for (; k + 4 <= count; k += 4) sum = fma(V::load(a + k), V::load(b + k), sum);
    double parts[4], rest = 0.0;
    sum.store(parts);
    for (; k < count; ++k) rest += a[k] * b[k];
    return (parts[0] + parts[1]) + (parts[2] + parts[3]) + rest;
}

template <class V>
double information(const double* row, std::size_t options) {
    V sum = V::all(0.0), rest = sum;
    std::size_t k = 0;
    for (; k + 4 <= options; k += 4) {
        const V x = V::load(row + k);
        sum = fma(x, divergence::log2_lanes(x), sum);
    }
    for (; k < options; ++k) {
        const V x = V::all(row[k]);
        rest = fma(x, divergence::log2_lanes(x), rest);
    }
    double parts[4], end[4];
    sum.store(parts);
    rest.store(end);
    return (parts[0] + parts[1]) + (parts[2] + parts[3]) + end[0];
}

// How elements are read and written: four at once, or one at the end of a line, by the same arithmetic.
template <class V>
struct Four {
    static V get(const double* x) { return V::load(x); }
    static void put(V value, double* x) { value.store(x); }
};

template <class V>
struct One {
    static V get(const double* x) { return V::all(*x); }
    static void put(V value, double* x) {
        double lanes[4];
        value.store(lanes);
        *x = lanes[0];
    }
};

// value(width, i) over a line: the least, and the first place where it stands.
template <class V, class Value>
Near least(std::size_t count, Value value) {
    constexpr std::size_t chains = 4, stride = 4 * chains;
    V best[chains], at[chains], here = V::all(0.0);
    for (std::size_t h = 0; h < chains; ++h) best[h] = V::all(never), at[h] = here;
    std::size_t i = 0;
    for (; i + stride <= count; i += stride) {
        for (std::size_t h = 0; h < chains; ++h) {
            const V x = value(Four<V>{}, i + 4 * h);
            at[h] = select(greater_mask(best[h], x), here, at[h]);
            best[h] = min(best[h], x);
        }
        here = here + V::all(static_cast<double>(stride));
    }
    Near result{never, count};
    for (std::size_t h = 0; h < chains; ++h) {
        double distance[4], index[4];
        best[h].store(distance);
        at[h].store(index);
        for (std::size_t l = 0; l < 4; ++l) {
            const std::size_t place = static_cast<std::size_t>(index[l]) + 4 * h + l;
            if (distance[l] < result.distance || (distance[l] == result.distance && place < result.index))
                result = {distance[l], place};
        }
    }
    for (; i < count; ++i) {
        double x;
        One<V>::put(value(One<V>{}, i), &x);
        if (x < result.distance) result = {x, i};
    }
    return result;
}

template <class V>
Near nearest(const double* row, const double* barred, std::size_t count) {
    return least<V>(count,
                    [=](auto width, std::size_t i) { return width.get(row + i) + width.get(barred + i); });
}

template <class V>
Near nearer(const double* row, const double* barred, std::size_t count, double* line) {
    return least<V>(count, [=](auto width, std::size_t i) {
        const V x = min(width.get(line + i), width.get(row + i));
        width.put(x, line + i);
        return x + width.get(barred + i);
    });
}

template <class V, class Pair>
void join_with(const double* from, std::size_t count, double* into, Pair pair) {
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) Four<V>::put(pair(V::load(from + i), V::load(into + i)), into + i);
    for (; i < count; ++i) One<V>::put(pair(V::all(from[i]), V::all(into[i])), into + i);
}

template <class V>
void join(Join how, const double* from, double from_size, double into_size, std::size_t count, double* into) {
    if (how == Join::larger) return join_with<V>(from, count, into, [](V a, V b) { return max(a, b); });
    const V a_size = V::all(from_size), b_size = V::all(into_size), total = V::all(from_size + into_size);
    join_with<V>(from, count, into, [=](V a, V b) { return (a_size * a + b_size * b) / total; });
}

template <class V>
constexpr Functions functions_of() {
    return {cheapest<V>, add<V>, product<V>, information<V>, nearest<V>, nearer<V>, join<V>};
}

}  // namespace
}  // namespace crystal::clustering
