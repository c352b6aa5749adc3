#pragma once
// Sums of every row at many temperatures, from one read: entropy, energy and heat capacity follow from them.
#include <cstddef>
#include <span>

#include "crystal/token_stats.hpp"

namespace crystal {

// Temperatures [count] for all rows alike, or [count, rows].
struct TokenTemperatures {
    std::span<const double> values;
    std::size_t count;
    bool per_row;
};

// maximum [rows] is the largest logit; sums [3, count, rows] are sum e, sum e d and sum e d^2 with
// d = x - maximum and e = exp(d / T). An ignored or empty row has zeros, a NaN among the logits gives NaN.
struct TokenCurves {
    std::span<double> maximum, sums;
};

// Fills `out`. The bytes depend neither on the threads nor on the path. Logits that come from memory are
// kept, 1,024 at a time, until every temperature has had them. Of temperatures T, T/2 and T/4 the exponential
// is taken once, the others are its square and its fourth power.
void token_curves(const TokenRows& rows, const TokenTemperatures& temperatures, TokenPath path,
                  std::size_t threads, TokenCurves out, StopFlag stop);

}  // namespace crystal
