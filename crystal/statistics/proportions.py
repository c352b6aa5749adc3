"""Shares of trials, averaged over prompts: Wilson's limits, which hold near 0 and 1, combined."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.statistics.arrays import Floats, as_counts
from crystal.statistics.estimate import Estimate
from crystal.statistics.special import normal_quantile


def wilson_limits(successes: npt.ArrayLike, n: npt.ArrayLike, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Return Wilson's two-sided score limits of binomial shares (Wilson 1927).

    Parameters
    ----------
    successes, n : array_like, float64 [...]
        0 <= successes <= n, whole or not; limits are 0 and 1 where n is 0.
    alpha : float
        One minus the level.

    Returns
    -------
    tuple of ndarray, float64 [...]
        Lower and upper limits, in [0, 1].

    Examples
    --------
    >>> low, high = wilson_limits(0, 10)
    >>> float(low), round(float(high), 3)
    (0.0, 0.278)
    """
    x, trials = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    z = normal_quantile(1 - alpha / 2)
    scale = trials + z * z
    centre = (x + z * z / 2) / scale
    half = z / scale * np.sqrt(np.maximum(x * (1 - x / np.maximum(trials, 1)), 0.0) + z * z / 4)
    low = np.where(x <= 0, 0.0, np.maximum(centre - half, 0.0))
    high = np.where(x >= trials, 1.0, np.minimum(centre + half, 1.0))
    return low, high


def mean_share(trials: npt.ArrayLike, alpha: float = 0.05) -> Estimate:
    """Estimate the mean over prompts of a share, prompts weighted equally.

    Wilson's limits of each prompt are combined by the method of variance estimates recovery: the distances
    from share to limit add in squares (Zou and Donner 2008).

    Parameters
    ----------
    trials : array_like, int64 [P, 2]
        Successes and failures of each prompt; prompts without trials are left out.
    alpha : float
        One minus the level.

    Returns
    -------
    Estimate
        A probability; no value without trials.

    Examples
    --------
    >>> mean_share([[8, 2], [6, 4]]).value
    0.7
    """
    share, below, above = _recovered(trials, alpha)
    if not share.size:
        return Estimate.unknown("no samples")
    value = float(share.mean())
    return Estimate(
        value=value,
        low=max(0.0, value - _root(below)),
        high=min(1.0, value + _root(above)),
        estimator="mean share, Wilson",
    )


def mean_share_difference(before: npt.ArrayLike, after: npt.ArrayLike, alpha: float = 0.05) -> Estimate:
    """Estimate the change of a mean share, by Newcombe's hybrid of two score intervals (Newcombe 1998).

    Parameters
    ----------
    before, after : array_like, int64 [P, 2]
        Successes and failures of the same prompts.
    alpha : float
        One minus the level.

    Returns
    -------
    Estimate
        ``after - before``, in [-1, 1].

    Examples
    --------
    >>> change = mean_share_difference([[50, 50]], [[80, 20]])
    >>> round(change.value, 3), change.low > 0
    (0.3, True)
    """
    first, first_below, first_above = _recovered(before, alpha)
    second, second_below, second_above = _recovered(after, alpha)
    if not first.size or not second.size:
        return Estimate.unknown("no samples")
    value = float(second.mean() - first.mean())
    return Estimate(
        value=value,
        low=max(-1.0, value - math.hypot(_root(first_above), _root(second_below))),
        high=min(1.0, value + math.hypot(_root(first_below), _root(second_above))),
        estimator="difference of shares, Newcombe",
    )


def _recovered(trials: npt.ArrayLike, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Shares of the prompts that have trials, and the distances to their lower and upper limits."""
    table = as_counts(trials, 2)
    n = table.sum(axis=1)
    table, n = table[n > 0], n[n > 0]
    share: Floats = table[:, 0] / n
    low, high = wilson_limits(table[:, 0], n, alpha)
    return share, share - low, high - share


def _root(distances: Floats) -> float:
    return math.sqrt(float((distances**2).sum())) / len(distances)
