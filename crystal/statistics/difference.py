"""Differences between two checkpoints, and what they would be over prompts that nobody asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.statistics.arrays import Floats
from crystal.statistics.estimate import Estimate
from crystal.statistics.jackknife import Jackknife
from crystal.statistics.special import normal_cdf, normal_quantile, t_quantile, t_survival

PROMPTS_FOR_JACKKNIFE = 8
_CELLS = 1 << 21


def studentised_difference(
    before: Jackknife,
    after: Jackknife,
    *,
    alpha: float = 0.05,
    ratio: float = 1.0,
    limits: tuple[Estimate, Estimate] | None = None,
) -> Estimate:
    """Return ``after - ratio * before``: Student's interval on jackknife variances, widened where naive.

    The two checkpoints are independent samples: variances add, and Satterthwaite's rule gives the degrees
    of freedom. A jackknife variance is too small where a side has all but frozen (it covered 73 % for two
    options and 20 samples), so with the sides' own intervals the limits are widened to those of the hybrid
    rule (MOVER: Zou and Donner 2008), low = d - sqrt((after - after.low)^2 + ratio^2 (before.high -
    before)^2). ``p`` inverts the interval: the two-sided test that the difference is 0, below alpha only if
    the limits exclude 0. Label permutation would test that the distributions are equal, which is another
    question.

    Parameters
    ----------
    before, after : Jackknife
        Of the same quantity at the two checkpoints.
    alpha : float
        One minus the level; that of ``limits`` too.
    ratio : float
        1 for a plain difference; .5 asks whether a quantity has halved.
    limits : tuple of two Estimate, optional
        The two sides with their own intervals; the value is then the difference of theirs.

    Returns
    -------
    Estimate
        In the unit of the quantity. No value where a side has none, no limits where a side has none.

    Examples
    --------
    >>> from crystal.statistics.jackknife import entropy_jackknife
    >>> change = studentised_difference(entropy_jackknife([[25, 25]]), entropy_jackknife([[45, 5]]))
    >>> change.high < 0 and change.p < 0.01
    True
    """
    centre = after.value - ratio * before.value
    value = centre
    if limits is not None:
        if limits[0].value is None or limits[1].value is None:
            return Estimate.unknown(next(side.reason or "" for side in limits if side.value is None))
        value = limits[1].value - ratio * limits[0].value
    if not math.isfinite(centre):
        return Estimate.unknown("fewer than 2 valid samples")
    name = "jackknife, studentised"
    found: list[tuple[float, float, float]] = []
    parts = (ratio**2 * before.variance, after.variance)
    variance = sum(parts)
    if variance > 0:
        bottom = sum(
            part**2 / side.freedom for part, side in zip(parts, (before, after), strict=True) if part > 0
        )
        freedom = variance**2 / bottom if bottom > 0 else math.inf
        error = math.sqrt(variance)
        half = t_quantile(1 - alpha / 2, freedom) * error
        found.append((centre - half, centre + half, 2 * t_survival(abs(centre) / error, freedom)))
    if limits is not None:
        hybrid = _hybrid(limits, ratio, alpha)
        if hybrid is None:
            reason = next(side.reason for side in limits if side.low is None or side.high is None)
            return Estimate(value=value, estimator="difference", reason=reason)
        found.append(hybrid)
        name = "difference, studentised jackknife and MOVER"
    if not found:
        return Estimate(value=value, estimator=name, reason="the samples do not vary")
    low, high = min(x[0] for x in found), max(x[1] for x in found)
    return Estimate(value=value, low=low, high=high, estimator=name, p=min(1.0, max(x[2] for x in found)))


def _hybrid(
    limits: tuple[Estimate, Estimate], ratio: float, alpha: float
) -> tuple[float, float, float] | None:
    """Low, high and p by the hybrid rule; None where a side lacks a limit."""
    before, after = limits
    if (
        before.value is None
        or before.low is None
        or before.high is None
        or after.value is None
        or after.low is None
        or after.high is None
    ):
        return None
    value = after.value - ratio * before.value
    down = math.hypot(after.value - after.low, ratio * (before.high - before.value))
    up = math.hypot(after.high - after.value, ratio * (before.value - before.low))
    towards_zero = down if value > 0 else up
    if towards_zero > 0:
        p = 2 * normal_cdf(normal_quantile(alpha / 2) * abs(value) / towards_zero)
    else:
        p = 1.0 if value == 0 else 0.0
    return value - down, value + up, p


def prompt_jackknife(
    statistic: Callable[[npt.NDArray[Any]], Floats], counts: npt.NDArray[Any], *, alpha: float = 0.05
) -> tuple[float, float] | None:
    """Return limits for prompts that nobody asked: delete one prompt, t with m - 1 degrees of freedom.

    The interval is centred on the jackknife's own value m T - (m-1) mean T_-x, since some statistics
    (promptability) grow with the number of prompts. A bootstrap over m prompts would cover far too little.

    Parameters
    ----------
    statistic : callable
        From counts, or distributions, of S sets of prompts [S, m, ...] to a number each [S]; NaN where there
        is none.
    counts : ndarray [m, ...]
        One entry a prompt.
    alpha : float
        One minus the level.

    Returns
    -------
    tuple of float, or None
        None with fewer than 8 prompts, and where a leave-one-out value is missing.

    Examples
    --------
    >>> limits = prompt_jackknife(lambda sets: sets.mean(axis=1), np.arange(8.0))
    >>> [round(limit, 2) for limit in limits]
    [1.45, 5.55]
    """
    prompts = len(counts)
    if prompts < PROMPTS_FOR_JACKKNIFE:
        return None
    whole = float(statistic(counts[None])[0])
    others = np.arange(prompts - 1) + (np.arange(prompts - 1) >= np.arange(prompts)[:, None])
    most = max(1, _CELLS // counts.size)
    left: Floats = np.concatenate(
        [statistic(counts[others[start : start + most]]) for start in range(0, prompts, most)]
    )
    return _limits(whole, left, alpha)


def mean_jackknife(values: Floats, *, alpha: float = 0.05) -> tuple[float, float] | None:
    """Return what :func:`prompt_jackknife` does of a mean over prompts, from their values float64 [m].

    Examples
    --------
    >>> mean_jackknife(np.arange(8.0)) == prompt_jackknife(lambda sets: sets.mean(axis=1), np.arange(8.0))
    True
    """
    prompts = len(values)
    if prompts < PROMPTS_FOR_JACKKNIFE:
        return None
    return _limits(float(values.mean()), (values.sum() - values) / (prompts - 1), alpha)


def _limits(whole: float, left: Floats, alpha: float) -> tuple[float, float] | None:
    """Return the limits from the statistic of all prompts and that of each set without one."""
    if not (math.isfinite(whole) and np.all(np.isfinite(left))):
        return None
    prompts = len(left)
    centre = prompts * whole - (prompts - 1) * float(left.mean())
    error = math.sqrt((prompts - 1) / prompts * float(((left - left.mean()) ** 2).sum()))
    half = t_quantile(1 - alpha / 2, prompts - 1) * error
    return centre - half, centre + half
