"""Intervals by test inversion: the values of a quantity that make the data unsurprising.

A one-parameter family of distributions runs through the data; at each of a few of its members the statistic
is simulated with the sample sizes at hand; the limits are the values of the quantity at which the observed
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


def invert(targets: Floats, tail: Floats, draws: int, alpha: float) -> tuple[float, float, float]:
    """Return where the upper tail crosses alpha/2, 1/2 and 1 - alpha/2.

    The tail is made monotone (the mean of its running maximum and of its reverse running minimum) and
    interpolated linearly on the normal scale, where it is nearly a straight line. Data may be more even
    than any member makes likely (5, 5, 5 and 5 of 20 samples); no member would then be accepted. So where
    the best member has a tail T < 1/2, the limit on the other side is where the tail has fallen to alpha T.

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
        Lower limit, median-unbiased value, upper limit; an end of ``targets`` where the tail does not
        cross.

    Examples
    --------
    >>> limits = invert(np.array([0.0, 1.0, 2.0]), np.array([0.01, 0.5, 0.99]), 1000, 0.1)
    >>> [round(limit, 2) for limit in limits]
    [0.29, 1.0, 1.71]
    """
    monotone = 0.5 * (np.maximum.accumulate(tail) + np.minimum.accumulate(tail[::-1])[::-1])
    edge = 0.5 / draws
    scale = np.array([normal_quantile(p) for p in np.clip(monotone, edge, 1 - edge)])
    # np.interp wants strictly rising abscissae; flat stretches get a slope too small to matter.
    scale = scale + np.arange(scale.size) * 1e-12
    lower = max(min(alpha / 2, alpha * float(monotone[-1])), 1.5 * edge)
    upper = min(max(1 - alpha / 2, 1 - alpha * (1 - float(monotone[0]))), 1 - 1.5 * edge)
    at = [normal_quantile(lower), 0.0, normal_quantile(upper)]
    low, middle, high = np.interp(at, scale, targets)
    if monotone[-1] <= 1.5 * edge:
        low = targets[0]
    if monotone[0] >= 1 - 1.5 * edge:
        high = targets[-1]
    return float(low), float(middle), float(high)
