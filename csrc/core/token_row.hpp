#pragma once
// The state of one row, written once for any type V of eight or sixteen float lanes. All paths are this text
// with types whose operations round alike (each multiply-add once), and add the same sixteen columns whatever
// a vector holds of them, so their results are equal bytes.
//
// A chunk of 64 logits is summed at once where all its exponents lie below the largest logit's and within the
// table's range, which one look at the bits of all of them tells. Any other chunk is looked at again: where
// it has a larger logit (a few times a row), what was summed moves to that. Columns are summed in float32
// over at most 2,048 logits, then in float64.
//
// Everything here has to be private to the file that includes it: the AVX2 file is compiled with other flags,
// and a function that two files share might be kept from the wrong one.
#include "token_formats.hpp"

namespace crystal::tokens {
namespace {

constexpr float distant = 8192.0F;

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

// 2^d from a table and a parabola. With n the multiple of 1/16 nearest to d - 23/16, y = d - n lies within
// 1/32 of 23/16, and A (y^2 + B) is 2^y to a relative 6.8e-7: near 1 / ln2 = 1.4427 a parabola without a
// linear term has the value, the slope and the curvature of 2^y. Adding `to_grid`, whose last bit is worth
// 1/16, leaves n in the last bits: four of them choose A 2^(n mod 1) from `powers`, and those above, shifted,
// are its exponent.
//
// The largest logit's d is `summit`, where the parabola is right; its sum with `to_grid` is 786432, the first
// number beyond the 2,048 whose upper bits are those of `inside`: what has them needs neither a look at the
// maximum nor a clamp. `unit` keeps the smallest of them, 2^-128, a normal number.
constexpr float summit = 0x1.71509p+0F, parabola = 0x1.0a5f5p+1F, to_grid = 786430.5625F, on_grid = 786432.0F;
constexpr std::uint32_t inside = 0x493FF800U;
constexpr double unit = 0.0625;
// 2^(j/16) A / unit as bits, less what j itself adds to them.
alignas(64) constexpr std::uint32_t powers[16] = {
    0x41272EAD, 0x41269589, 0x41265049, 0x412662A5, 0x4126D07D, 0x41279DDE, 0x4128CF04, 0x412A6858,
    0x412C6E77, 0x412EE634, 0x4130EA4A, 0x412E9F6D, 0x412C9541, 0x412ACEA2, 0x41294E8F, 0x41281827};

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
    static_assert(V::abreast % parts == 0);
    V s[parts], t[parts], u[parts], q[parts], above[parts];

    LaneSums() { clear(); }

    void clear() {
        for (int i = 0; i < parts; ++i) s[i] = t[i] = u[i] = q[i] = above[i] = V::all(0.0F);
    }

    // Adds vectors of logits z with exponents d and sums grid = d + to_grid. They take each step together:
    // one alone would wait for itself at every step, and a processor looks only so far ahead.
    template <int Abreast, class Counter>
    void add(const V* z, const V* d, const V* grid, const typename V::Table& table, V token, Counter& greater,
             Counter& equal) {
        V e[Abreast];
        for (int j = 0; j < Abreast; ++j) e[j] = d[j] - (grid[j] - V::all(on_grid));
        for (int j = 0; j < Abreast; ++j) e[j] = fma(e[j], e[j], V::all(parabola));
        for (int j = 0; j < Abreast; ++j) e[j] = power(table, grid[j]) * e[j];
        for (int j = 0; j < Abreast; ++j) {
            const int lane = j % parts;
            s[lane] = s[lane] + e[j];
            if constexpr (Standard) {
                const V ed = e[j] * d[j];
                t[lane] = t[lane] + ed;
                u[lane] = fma(ed, d[j], u[lane]);
                q[lane] = fma(e[j], e[j], q[lane]);
                const auto beyond = greater_mask(z[j], token);
                greater = count_up(greater, beyond);
                if constexpr (All) {
                    above[lane] = above[lane] + (e[j] & beyond);
                    equal = count_up(equal, equal_mask(z[j], token));
                }
            } else {
                t[lane] = fma(e[j], d[j], t[lane]);
            }
        }
    }

    void empty_into(Sums& row) {
        row.s += unit * column_sum(s);
        row.t += unit * column_sum(t);
        if constexpr (Standard) {
            row.u += unit * column_sum(u);
            row.q += unit * unit * column_sum(q);
        }
        if constexpr (All) row.above += unit * column_sum(above);
        clear();
    }
};

// The largest logit in each of the sixteen columns; a NaN counts only where it comes last.
template <class V>
struct Peak {
    static constexpr int parts = 16 / V::lanes;
    V columns[parts];

    explicit Peak(const V* z) {
        for (int h = 0; h < parts; ++h) columns[h] = z[h];
        take(z);
    }
    void take(const V* z) {
        for (int h = 0; h < parts; ++h)
            columns[h] =
                max(columns[h], max(max(z[h], z[h + parts]), max(z[h + 2 * parts], z[h + 3 * parts])));
    }
    bool above(float x) const {
        bool any = false;
        for (int h = 0; h < parts; ++h) any |= any_greater(columns[h], V::all(x));
        return any;
    }
    float value() const {
        float result = largest(columns[0]);
        for (int h = 1; h < parts; ++h) {
            const float x = largest(columns[h]);
            result = x > result || result != result ? x : result;
        }
        return result;
    }
};

// Makes exponents of logits: d = c x - shift, where the shift is c maximum less `summit`, rounded. Where that
// rounding would show, the difference from the maximum comes first, and the shift is -summit.
template <class V>
struct Exponents {
    V c, shift, top, lowest;
    double level;  // what exponents are measured from
    bool far;

    Exponents(float maximum, float scale) : c(V::all(scale)) { centre(maximum, scale); }

    void centre(float maximum, float scale) {
        const double exact = static_cast<double>(maximum) * static_cast<double>(scale);
        far = !(exact > -distant && exact < distant);
        level = exact - static_cast<double>(summit);
        const float rounded = far ? -summit : static_cast<float>(level);
        if (!far) level = static_cast<double>(rounded);
        shift = V::all(rounded);
        top = V::all(maximum);
        lowest = V::all(far ? -120.0F / scale : (rounded - 120.0F) / scale);
    }
    V of(V z) const { return fms(z, c, shift); }
    // At least -120, whatever the logit; NaN for NaN.
    V bounded(V z) const { return of(max_second_nan(lowest, far ? z - top : z)); }
};

template <class V, class Source, bool Standard, bool All>
Sums row_sums(const typename Source::Logit* x, std::size_t count, float scale, float chosen) {
    constexpr std::size_t chunk = 64, block = 2048;
    constexpr int vectors = chunk / V::lanes, abreast = V::abreast;
    float maximum = -largest_logit, below = maximum;
    Exponents<V> exponents(maximum, scale);
    Sums row{maximum, exponents.level, 0, 0, 0, 0, 0, -1, 0, 0};
    LaneSums<V, Standard, All> lanes;
    typename V::Counter greater = V::no_count(), equal = V::no_count();
    const typename V::Table table = V::table(powers);
    const V token = V::all(chosen);
    typename Source::Logit rest[chunk];
    std::size_t in_block = 0, best_chunk = count;
    for (std::size_t i = 0; i < count; i += chunk) {
        const typename Source::Logit* at = x + i;
        if (count - i < chunk) {
            for (std::size_t j = 0; j < chunk; ++j) rest[j] = j < count - i ? at[j] : Source::minus_infinity;
            at = rest;
        }
        V z[vectors], d[vectors], grid[vectors];
        Source::template load<V>(at, z);
        Source::template load<V>(at + chunk / 2, z + vectors / 2);
        typename V::Bits outside = V::no_bits();
        for (int k = 0; k < vectors; ++k) d[k] = exponents.of(z[k]);
        for (int k = 0; k < vectors; ++k) grid[k] = d[k] + V::all(to_grid);
        for (int k = 0; k < vectors; ++k) outside = collect(outside, grid[k], inside);
        if (exponents.far || V::any(outside)) [[unlikely]] {
            const Peak<V> here(z);
            if (here.above(maximum)) {
                lanes.empty_into(row);
                in_block = 0;
                // Most raises come where a row begins: looking ahead saves them there.
                Peak<V> ahead = here;
                for (std::size_t j = i + chunk; j < block && j + chunk <= count; j += chunk) {
                    Source::template load<V>(x + j, d);
                    Source::template load<V>(x + j + chunk / 2, d + vectors / 2);
                    ahead.take(d);
                }
                maximum = ahead.value();
                below = ::nextafterf(maximum, -INFINITY);
                best_chunk = count;
                exponents.centre(maximum, scale);
                move_sums(row, row.shift - exponents.level);
                row.shift = exponents.level;
            }
            if (i < best_chunk && here.above(below)) best_chunk = i;
            for (int k = 0; k < vectors; ++k) {
                d[k] = exponents.bounded(z[k]);
                grid[k] = d[k] + V::all(to_grid);
            }
        }
        for (int k = 0; k < vectors; k += abreast)
            lanes.template add<abreast>(z + k, d + k, grid + k, table, token, greater, equal);
        in_block += chunk;
        if (in_block >= block) {
            lanes.empty_into(row);
            in_block = 0;
        }
    }
    lanes.empty_into(row);
    move_sums(row, -static_cast<double>(summit));  // a state's exponents are 0 at the largest logit
    row.shift += static_cast<double>(summit);
    row.maximum = static_cast<double>(maximum);
    row.greater = V::total(greater);
    row.equal = V::total(equal);
    // Padding is -inf: it is never greater, but it equals a chosen -inf.
    if (All && chosen == -INFINITY) row.equal -= static_cast<std::int64_t>((chunk - count % chunk) % chunk);
    if (All && row.s != row.s) row.above = row.s;  // a NaN is not above anything
    // Nothing raised the maximum and nothing is NaN: the row is empty.
    if (best_chunk == count && row.s == row.s) row.s = row.t = row.u = row.q = row.above = 0.0;
    for (std::size_t j = best_chunk; j < count && row.best < 0; ++j)
        if (Source::value(x[j]) == maximum) row.best = static_cast<std::int64_t>(j);
    return row;
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
