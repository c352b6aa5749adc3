"""Sums over a grid of temperatures: the rule that joins them, and the curves that follow from them.

A row, or any part of it, is its largest logit m and, for every temperature T, s = sum e, t = sum e d and
u = sum e d^2 with d = x - m and e = exp(d / T). The functions take the array library (``numpy`` or ``torch``)
first and work in the precision of the sums.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .token_fields import EMPTY, IGNORED, INVALID, LARGEST

# Differences below this have weight 0 at every temperature, and their square is finite in float32.
LOWEST_DIFFERENCE = -1e15


# NaN and infinities travel through on purpose.
@np.errstate(all="ignore")
def merge_curves(xp: Any, ours: tuple[Any, Any], theirs: tuple[Any, Any], temperatures: Any) -> Any:
    """Merge the sums of disjoint parts of the same rows: maximum [rows], sums [3, temperatures, rows].

    `temperatures` is [temperatures, 1] or [temperatures, rows]. Moving by delta = m - m' <= 0 with
    a = exp(delta / T): u' = a (u + 2 delta t + delta^2 s), t' = a (t + delta s), s' = a s.
    """
    joint = xp.maximum(ours[0], theirs[0])
    total: Any = 0.0
    for maximum, (s, t, u) in (ours, theirs):
        # Two maxima of +inf leave NaN here, which is what such a row becomes in the end.
        delta = xp.clip(maximum - joint, LOWEST_DIFFERENCE, None)
        a = xp.exp(delta / temperatures)
        total = total + xp.stack([a * s, a * (t + delta * s), a * (u + delta * (2.0 * t + delta * s))])
    return joint, total


@np.errstate(all="ignore")
def finish_curves(
    xp: Any, maximum: Any, sums: Any, temperatures: Any, ignored: Any
) -> tuple[Any, Any, Any, Any]:
    """Return entropy, energy and heat capacity [temperatures, rows] and status [rows].

    S = log s - t / (T s), E = -(m + t / s), C = (u / s - (t / s)^2) / T^2.
    """
    s, t, u = sums
    broken = xp.isnan(t).any(0) | (maximum > LARGEST)
    empty = ~broken & (s == 0).any(0)
    status = xp.where(ignored, IGNORED, xp.where(broken, INVALID, xp.where(empty, EMPTY, 0)))
    good = (status == 0)[None]
    nan = xp.full_like(s, math.nan)
    s = xp.where(good, s, nan)
    mean = t / s
    entropy = xp.clip(xp.log(s) - mean / temperatures, 0.0, None)
    capacity = xp.clip(u / s - mean * mean, 0.0, None) / temperatures**2
    return entropy, -(maximum + mean), capacity, status
