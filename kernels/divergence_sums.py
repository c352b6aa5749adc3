"""The divergence of two rows of logits as sums: their fields, the rule that joins them, and the results.

Rows x and y at temperature T have p_i = exp((x_i - L_p) / T), with the level L_p = T logsumexp(x / T), and
q_i likewise. All sums are over functions of w_i = (x_i - y_i - (L_p - L_q)) / T = log(p_i / q_i) that are at
least 0 and small where w_i is small, so nothing cancels. With |w| = 2 v, s = exp(-v), h = 1 - s and
f = exp(-v) - 1 + v, which has a series for small v, both exp(-|w|) - 1 + |w| = 2 f + h^2 and
1 - exp(-|w|) - |w| exp(-|w|) = 2 s (v h - f) + h^2 follow without a difference of near numbers. They weigh
with M, the larger of p_i and q_i, so that nothing overflows where the other is 0.

Given both levels, the sums of parts of a vocabulary are the sums of the whole: they are just added. The array
library (``numpy`` or ``torch``) is the first argument.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .token_fields import EMPTY, IGNORED, INVALID, LARGEST

# With M, v, s, h, f of each id as above and g = h (1 + s) = 1 - exp(-|w|):
#   forward   sum M 2f where p > q, M 2s(vh - f) elsewhere: with `square`, KL(p|q) up to the levels' rounding
#   backward  the same with p and q exchanged: with `square`, KL(q|p)
#   square    sum M h^2 = sum (sqrt p - sqrt q)^2
#   js        the Jensen-Shannon divergence
#   apart     sum M g = sum |p - q|;    more: its part where p > q
#   noise     sum m (1 - m) (2^2e(x) + 2^2e(y)), m the smaller of p and q, e the binary exponent
#   highest, lowest   of x - y and 0, with -inf read as -LARGEST
#   p_chosen, q_chosen   the logits of the chosen id, NaN where another part has them
SUMS = ("forward", "backward", "square", "js", "apart", "more", "noise",
        "highest", "lowest", "p_chosen", "q_chosen")  # fmt: skip
ADDED = 7

DIVERGENCES = ("kl", "kl_reverse", "js", "tv", "hellinger", "noise_floor", "log_ratio")

# A difference of logits beyond this has -inf on one side.
INFINITE_GAP = LARGEST / 2

# Half the spacing of numbers in [1, 2): what rounding a logit costs at most, over its power of two.
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}

_LN2 = math.log(2.0)


@np.errstate(all="ignore")
def level_of(xp: Any, floats: Any, counts: Any, temperature: float) -> tuple[Any, Any]:
    """Return T logsumexp(x / T) in float64 and the status of rows, from their states."""
    maximum, shift, s = floats[0], floats[1], floats[2]
    status = counts[3]
    broken = xp.isnan(s) | (maximum > LARGEST)
    empty = (status == 0) & ~broken & (s == 0)
    status = xp.where((status == 0) & broken, INVALID, xp.where(empty, EMPTY, status))
    good = status == 0
    spread = xp.log2(xp.where(good, s, xp.ones_like(s))) - (maximum / (_LN2 * temperature) - shift)
    return xp.where(good, maximum + (_LN2 * temperature) * spread, xp.zeros_like(s)), status


def levels_of(xp: Any, p: tuple[Any, Any], q: tuple[Any, Any], temperature: float) -> tuple[Any, Any]:
    """Return levels [2, rows] and the status of both sides together from the states of whole rows."""
    (p_level, p_status), (q_level, q_status) = (level_of(xp, *side, temperature) for side in (p, q))
    return xp.stack((p_level, q_level)), p_status | q_status


def given_levels(xp: Any, p: Any, q: Any, ignored: Any, temperature: float) -> tuple[Any, Any]:
    """Return levels [2, rows] and status from logsumexp of both sides, float64 [rows], and ignored rows."""
    invalid = xp.isnan(p) | xp.isnan(q) | (p == math.inf) | (q == math.inf)
    empty = (p == -math.inf) | (q == -math.inf)
    status = xp.where(ignored, IGNORED, xp.where(invalid, INVALID, 0) | xp.where(empty, EMPTY, 0))
    levels = xp.stack((p, q)) * temperature
    return xp.where(status == 0, levels, xp.zeros_like(levels)), status


def merge(xp: Any, ours: Any, theirs: Any) -> Any:
    """Merge the sums of two disjoint parts of the same rows, taken with the same levels."""
    added = ours[:ADDED] + theirs[:ADDED]
    ends = xp.stack((xp.maximum(ours[7], theirs[7]), xp.minimum(ours[8], theirs[8])))
    chosen = xp.where(xp.isnan(ours[9:]), theirs[9:], ours[9:])
    return xp.concatenate((added, ends, chosen))


@np.errstate(all="ignore")
def finish(xp: Any, sums: Any, levels: Any, status: Any, temperature: float, dtype: str) -> Any:
    """Return ``DIVERGENCES`` [7, rows] in float64 from the sums of whole rows.

    Rounded levels leave the sums with a q that adds up to 1 + u instead of 1; u = sum(q - p) says exactly how
    much, and each divergence is a known function of it: KL(p|q) = b + log(1 + u) - u with
    b = forward + square, KL(q|p) = (b' + u) / (1 + u) - log(1 + u) with b' = backward + square,
    H^2 = (square - (r - 1)^2) / 2r with r = sqrt(1 + u), and JS = js - u^2 / 8 up to higher orders.
    """
    forward, backward, square, js, apart, more, noise, highest, lowest, p_chosen, q_chosen = sums
    u = apart - 2.0 * more
    log = xp.log1p(u)
    inf = xp.full_like(u, math.inf)
    root = xp.sqrt(1.0 + u)
    kl = xp.where(highest > INFINITE_GAP, inf, forward + square + (log - u))
    reverse = backward + square + (u - (1.0 + u) * log)
    kl_reverse = xp.where(lowest < -INFINITE_GAP, inf, reverse / (1.0 + u))
    squared = (square - (u / (1.0 + root)) ** 2) / (2.0 * root)
    spacing = 2.0 * ROUNDING[dtype] / temperature
    masked = xp.full_like(u, -math.inf)
    chosen = [xp.where(side <= -LARGEST, masked, side) for side in (p_chosen, q_chosen)]
    # The two logits first: they are nearly equal, and -inf - -inf is the NaN that it should be.
    log_ratio = ((chosen[0] - chosen[1]) - (levels[0] - levels[1])) / temperature + log
    results = xp.stack(
        (
            xp.clip(kl, 0.0, None),
            xp.clip(kl_reverse, 0.0, None),
            xp.clip(js - u * u / 8.0, 0.0, _LN2),
            xp.clip(apart / 2.0, 0.0, 1.0),
            xp.sqrt(xp.clip(squared, 0.0, 1.0)),
            noise * spacing**2 / 24.0,
            log_ratio,
        )
    )
    return xp.where(status == 0, results, xp.full_like(results, math.nan))
