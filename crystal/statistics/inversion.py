"""Intervals by test inversion: which values of a quantity would have made the data unsurprising?

A one-parameter family of distributions runs through the data; at each of a few of its members the statistic is
simulated with the sample sizes at hand; the limits are the values of the quantity at which the observed
statistic sits at alpha/2 of the simulated ones, ties counted half (mid-p).
"""

from __future__ import annotations

import numpy as np

from crystal.statistics.arrays import Floats
from crystal.statistics.special import normal_quantile

GRID_POINTS = 17
REACH = 6.0
"""Standard errors that the grid covers on each side."""
_TIES = 2.0**40


def upper_tail(simulated: Floats, observed: float) -> Floats:
    """Return the mid-p of a statistic at least as large as the observed one.

    Compared on a 2^-40 grid, so that sums taken in another order still count as ties.

    Parameters
    ----------
    simulated : ndarray, float64 [T, draws]
        The statistic under each of T members of the family.
    observed : float
        The statistic of the data.

    Returns
    -------
    ndarray, float64 [T]
        Shares in [0, 1].

    Examples
    --------
    >>> upper_tail(np.array([[0.0, 1.0, 2.0, 3.0]]), 2.0).tolist()
    [0.375]
    """
    grid, at = np.rint(simulated * _TIES), np.rint(observed * _TIES)
    result: Floats = (grid > at).mean(axis=1) + 0.5 * (grid == at).mean(axis=1)
    return result


def invert(targets: Floats, tail: Floats, draws: int, alpha: float) -> tuple[float, float]:
    """Return where the upper tail crosses alpha/2 and 1 - alpha/2.

    The tail is made monotone (the mean of its running maximum and of its reverse running minimum) and
    interpolated linearly on the normal scale, where it is nearly a straight line.

    Parameters
    ----------
    targets : ndarray, float64 [T]
        Values of the quantity, ascending.
    tail : ndarray, float64 [T]
        :func:`upper_tail` at each.
    draws : int
        Draws behind each tail.
    alpha : float
        One minus the level.

    Returns
    -------
    tuple of float
        The limits; an end of ``targets`` where the tail does not cross.

    Examples
    --------
    >>> low, high = invert(np.array([0.0, 1.0, 2.0]), np.array([0.01, 0.5, 0.99]), 1000, 0.1)
    >>> round(low, 2), round(high, 2)
    (0.29, 1.71)
    """
    monotone = 0.5 * (np.maximum.accumulate(tail) + np.minimum.accumulate(tail[::-1])[::-1])
    edge = 0.5 / draws
    scale = np.array([normal_quantile(p) for p in np.clip(monotone, edge, 1 - edge)])
    at = [normal_quantile(alpha / 2), normal_quantile(1 - alpha / 2)]
    # np.interp wants strictly rising abscissae; flat stretches get a slope too small to matter.
    scale = scale + np.arange(scale.size) * 1e-12
    low, high = np.interp(at, scale, targets)
    return float(low), float(high)
