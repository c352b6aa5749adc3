"""Intervals by test inversion: the values of a quantity that make the data unsurprising.

A one-parameter family of distributions runs through the data; at each of a few of its members the statistic
is simulated with the sample sizes at hand; the limits are the values of the quantity at which the observed
statistic sits at alpha/2 of the simulated ones, ties counted half (mid-p).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from crystal.statistics.arrays import Floats
from crystal.statistics.special import normal_quantile

GRID_POINTS = 17
REACH = 6.0
"""Standard errors that the grid covers on each side."""
CORRECTION_ERROR = 0.4
"""What of a bias correction may be wrong where much is unseen, at most."""
FEW_PROMPTS = 4
"""So many prompts have errors of their own beside which that of the correction is not seen."""
_TIES = 2.0**40
_FEW = 5.0


def with_correction(limit: float, centre: float, plugin: float, prompts: int, unseen: float) -> float:
    """Return a limit moved out by the error of the bias correction, which no number of prompts lessens.

    The family that is inverted over says how far the plug-in is off, by a guess about the options unseen. It
    guesses them too even: with 30 prompts the truth lay between the limits and the plug-in in up to 58 % of
    draws (100 options, 20 samples). The limit on the plug-in's side gets the root of the sum of squares of
    its distance and of a share of the correction, min(.4, sqrt(unseen)) sqrt(1 - 4/prompts).

    Parameters
    ----------
    limit : float
        The limit on the side of the plug-in.
    centre : float
        The value that it belongs to.
    plugin : float
        The plug-in estimate.
    prompts : int
        How many the value is a mean over.
    unseen : float
        Share of the probability that the samples have not seen, in [0, 1].

    Returns
    -------
    float

    Examples
    --------
    >>> with_correction(0.7, 0.4, 1.4, 4, 1.0)
    0.7
    >>> round(with_correction(0.7, 0.4, 1.4, 10**9, 1.0), 3)
    0.9
    """
    share = min(CORRECTION_ERROR, math.sqrt(unseen)) * math.sqrt(max(0.0, 1 - FEW_PROMPTS / prompts))
    side = 1.0 if plugin > centre else -1.0
    distance = side * (limit - centre)
    moved = math.hypot(distance, share * (plugin - centre)) if distance >= 0 else distance
    return limit + side * (moved - distance)


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


def search(
    targets: Floats,
    tails: Callable[[list[int]], Floats],
    draws: int,
    alpha: float,
    *,
    centre: float,
    error: float,
    wanted: Sequence[bool] = (True, True, True),
) -> tuple[float, float, float]:
    """Return what :func:`invert` does, from the few members that its limits lie between.

    Tails rise along the family, nearly straight on the normal scale. So each crossing is looked for between
    two neighbours, first where a normal law puts it, then where a line through what is known does.

    Parameters
    ----------
    targets : ndarray, float64 [T]
        Values of the quantity, ascending.
    tails : callable
        From indices of members, ascending, to their upper tails: costly.
    draws : int
        Draws behind each tail.
    alpha : float
        One minus the level.
    centre, error : float
        About where the tail is 1/2, and how far from there it is that of a standard deviation.
    wanted : sequence of bool
        Which of the lower limit, the median-unbiased value and the upper limit are asked for; the others
        say nothing.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> grid = np.linspace(-3.0, 3.0, 17)
    >>> from crystal.statistics.special import normal_cdf
    >>> shape = np.array([normal_cdf(x) for x in grid])
    >>> asked = []
    >>> def tails(at):
    ...     asked.extend(at)
    ...     return shape[at]
    >>> limits = search(grid, tails, 10**6, 0.05, centre=0.0, error=1.0)
    >>> len(asked), [round(limit, 6) for limit in limits]
    (6, [-1.959964, -0.0, 1.959964])
    """
    levels = np.array([alpha / 2, 0.5, 1 - alpha / 2])[np.array(wanted)]
    scores = [normal_quantile(level) for level in levels]
    last = len(targets) - 1
    known: dict[int, float] = {}
    pending = set()
    for score in scores:
        after = int(np.clip(np.searchsorted(targets, centre + score * error), 1, last))
        pending |= {after - 1, after}
    while pending:
        asked = sorted(pending)
        known.update(zip(asked, tails(asked).tolist(), strict=True))
        pending = {_next(known, float(level), last) for level in levels} - {-1}
        # Where the tail stays on one side of 1/2 the levels hang on that end of the family; where too few
        # draws are left to tell how it goes on, the other end is looked at as well.
        if not pending:
            ends = {0} if min(known.values()) > 0.5 else {last} if max(known.values()) < 0.5 else set()
            still = max(min(known.values()), 1 - max(known.values())) > 1 - _FEW / draws
            pending = ({0, last} if still else ends) - known.keys()
    at = sorted(known)
    return invert(targets[at], np.array([known[i] for i in at]), draws, alpha)


def _next(known: dict[int, float], level: float, last: int) -> int:
    """Return the member to ask next for where the tail crosses a level, -1 where its neighbours are known."""
    at = sorted(known)
    low = max((i for i in at if known[i] < level), default=None)
    high = min((i for i in at if low is None or i > low), default=None)
    if low is None:
        return _beyond(known, level, at[:2], -1, last) if at[0] > 0 else -1
    if high is None:
        return _beyond(known, level, at[-2:], 1, last) if low < last else -1
    if high == low + 1:
        return -1
    return int(np.clip(round(_straight(known, level, low, high)), low + 1, high - 1))


def _beyond(known: dict[int, float], level: float, ends: list[int], step: int, last: int) -> int:
    """Return a member beyond all known ones: at least one further, at most twice as far as a line says."""
    edge = ends[0] if step < 0 else ends[-1]
    guess = _straight(known, level, *ends) if len(ends) == 2 else edge
    wanted = np.floor(guess) if step < 0 else np.ceil(guess)
    wanted = min(wanted, edge - 1) if step < 0 else max(wanted, edge + 1)
    return int(np.clip(wanted, max(0, edge - 6), min(last, edge + 6)))


def _straight(known: dict[int, float], level: float, first: int, second: int) -> float:
    """Return where a line through two tails on the normal scale reaches a level."""
    a, b, wanted = (
        normal_quantile(float(np.clip(p, 1e-4, 1 - 1e-4))) for p in (known[first], known[second], level)
    )
    return first + (second - first) * (wanted - a) / (b - a) if b > a else (first + second) / 2
