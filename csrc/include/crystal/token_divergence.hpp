#pragma once
// Two reads of two rows of logits: their levels, then the sums from which all divergences follow.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crystal/token_stats.hpp"

namespace crystal {

// sums [11, rows] are forward, backward, square, js, apart, more, noise, highest, lowest, p_chosen, q_chosen;
// levels [2, rows] are temperature times logsumexp of both sides. See kernels/divergence_sums.py.
struct TokenDivergences {
    std::span<double> sums;
    std::span<double> levels;
    std::span<std::int64_t> status;
};

inline constexpr std::size_t divergence_sums = 11;
inline constexpr std::int64_t token_empty = 1, token_invalid = 2;

// Fills `out` for two sides of one shape, type, tokens and first id. Where `given` is false the levels and
// the status are read from the rows first; where it is true the caller has put those of the whole vocabulary
// into `out`. The bytes depend neither on the threads nor on the path. A row whose status is not 0 has no
// sums.
void token_divergences(const TokenRows& p, const TokenRows& q, double temperature, bool given, TokenPath path,
                       std::size_t threads, TokenDivergences out, StopFlag stop);

}  // namespace crystal
