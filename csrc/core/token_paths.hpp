#pragma once
// What each path provides and the dispatch calls.
#include <cstddef>
#include <cstdint>

#include "crystal/token_stats.hpp"

namespace crystal::tokens {

struct Sums {
    double maximum, shift, s, t, u, q, above;
    std::int64_t best, greater, equal;
};

using RowFunction = Sums (*)(const void* x, std::size_t count, float scale, float chosen);

// Temperatures T, T/2, T/4: their places in the grid, and log2(e) / T.
struct CurveChain {
    float scale;
    int steps;
    std::size_t places[3];
};

struct CurveGrid {
    const CurveChain* chain;
    std::size_t chains;
    const double* temperature;
    std::size_t temperatures;
};

// Adds a row to sums [temperatures, 3], which are zero, and returns its largest logit.
using CurveFunction = double (*)(const void* x, std::size_t count, const CurveGrid& grid, double* sums);

// Moves sums to a maximum that is larger by -delta.
void move_curves(const CurveGrid& grid, double delta, double* sums);

CurveFunction scalar_curve(LogitType type);
CurveFunction avx2_curve(LogitType type);

// See token_divergence.hpp: the sums of one pair of rows, without the chosen logits.
struct PairSums {
    double forward, backward, square, js, apart, more, noise, highest, lowest;
};

using PairFunction = PairSums (*)(const void* p, const void* q, std::size_t count, double p_level,
                                  double q_level, double temperature);

PairFunction scalar_pair(LogitType type);
PairFunction avx2_pair(LogitType type);

RowFunction scalar_row(LogitType type, TokenLevel level);

// nullptr where the build has no such instructions.
RowFunction avx2_row(LogitType type, TokenLevel level);
RowFunction avx512_row(LogitType type, TokenLevel level);

// The row of an available path.
RowFunction row_on(TokenPath path, LogitType type, TokenLevel level);

}  // namespace crystal::tokens
