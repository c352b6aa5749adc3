"""The rule that joins states, and the results of a joined state, the same for splits, ranks and backends.

The functions take the array library (``numpy`` or ``torch``) as their first argument and work in the
precision of the state they get. A state is (floats, counts) with the fields of ``STATE_FLOATS`` and
``STATE_COUNTS`` along the first axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .token_fields import EMPTY, IGNORED, INVALID, LARGEST, LOWEST_EXPONENT

_LN2 = math.log(2.0)
_LOG2E = 1.0 / _LN2


# NaN and infinities travel through on purpose.
@np.errstate(all="ignore")
def merge(xp: Any, ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> tuple[Any, Any]:
    """Merge two states of disjoint parts of the same rows.

    Moving a state by delta = shift - shift' <= 0 with a = 2^delta: u' = a (u + 2 delta t + delta^2 s),
    t' = a (t + delta s), s' = a s, q' = a^2 q. Both move to the larger shift and are added. Of equal maxima
    the smaller id wins, so the order of the parts does not matter for it.
    """
    (maximum, shift, s, t, u, q, chosen, above), (best, greater, equal, status) = ours
    (maximum2, shift2, s2, t2, u2, q2, chosen2, above2), (best2, greater2, equal2, status2) = theirs
    joint = xp.maximum(shift, shift2)
    # Two shifts of +inf leave NaN here, which is what a row with an infinite logit becomes in the end.
    delta = xp.clip(shift - joint, LOWEST_EXPONENT, None)
    delta2 = xp.clip(shift2 - joint, LOWEST_EXPONENT, None)
    a, a2 = xp.exp2(delta), xp.exp2(delta2)
    floats = (
        xp.maximum(maximum, maximum2),
        joint,
        a * s + a2 * s2,
        a * (t + delta * s) + a2 * (t2 + delta2 * s2),
        a * (u + delta * (2.0 * t + delta * s)) + a2 * (u2 + delta2 * (2.0 * t2 + delta2 * s2)),
        a * a * q + a2 * a2 * q2,
        xp.where(xp.isnan(chosen), chosen2, chosen),
        a * above + a2 * above2,
    )
    first = (best2 < 0) | ((best >= 0) & (best < best2))
    take = (maximum > maximum2) | ((maximum == maximum2) & first)
    counts = (xp.where(take, best, best2), greater + greater2, equal + equal2, status | status2)
    return xp.stack(floats), xp.stack(counts)


@np.errstate(all="ignore")
def finish(xp: Any, floats: Any, counts: Any, temperature: float) -> tuple[Any, Any]:
    """Turn the state of whole rows into ``RESULT_FLOATS`` and ``RESULT_COUNTS`` along the first axis.

    lse = max / T + ln2 (log2 s - r), log p = (x_c - max) / T - ln2 (log2 s - r), H = ln2 (log2 s - t / s),
    varentropy = ln2^2 (u / s - (t / s)^2), collision = q / s^2, top1 = 2^r / s, where
    r = max log2(e) / T - shift is the rounding of the shift: 0 but for the last digit.
    """
    maximum, shift, s, t, u, q, chosen, above = floats
    best, greater, equal, status = counts
    broken = xp.isnan(s) | (maximum > LARGEST)
    empty = (status == 0) & ~broken & (s == 0)
    status = xp.where((status == 0) & broken, INVALID, xp.where(empty, EMPTY, status))
    good = status == 0
    safe = xp.where(good, s, xp.ones_like(s))
    spread = xp.log2(safe) - (maximum * (_LOG2E / temperature) - shift)
    mean = t / safe
    # What rounding pushed beyond the range of an entropy, a variance or a log-probability goes back into it.
    variance = xp.clip(u / safe - mean * mean, 0.0, None)
    nan = xp.full_like(s, math.nan)
    known = good & ~xp.isnan(chosen) & (greater >= 0)
    results = (
        xp.where(
            empty, xp.full_like(s, -math.inf), xp.where(good, maximum / temperature + _LN2 * spread, nan)
        ),
        xp.where(good, xp.clip((chosen - maximum) / temperature - _LN2 * spread, None, 0.0), nan),
        xp.where(good, xp.clip(_LN2 * (xp.log2(safe) - mean), 0.0, None), nan),
        xp.where(good, _LN2 * _LN2 * variance, nan),
        xp.where(good, q / (safe * safe), nan),
        xp.where(good, xp.exp2(-spread), nan),
        xp.where(known, above / safe, nan),
    )
    none = xp.full_like(best, -1)
    places = (
        xp.where(good, best, none),
        xp.where(known, greater, none),
        xp.where(known, equal, none),
        status,
    )
    return xp.stack(results), xp.stack(places)


def is_ignored(status: Any) -> Any:
    """Return which rows were not read because their token id is the ignored one."""
    return (status & IGNORED) != 0
