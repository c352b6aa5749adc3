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

RowFunction scalar_row(LogitType type, TokenLevel level);

// nullptr where the build has no AVX2.
RowFunction avx2_row(LogitType type, TokenLevel level);

}  // namespace crystal::tokens
