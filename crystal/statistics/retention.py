"""Retention: mass that a later checkpoint keeps on the options that hold 0.9 of an earlier one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Counts, Floats, as_counts, as_probabilities
from crystal.statistics.estimate import Estimate
from crystal.statistics.special import normal_quantile, t_quantile

MASS = 0.9
_ROUNDING = 1e-9
"""Shares that fall short of the wanted mass by this little have reached it."""


def retained_options(values: npt.ArrayLike, mass: float = MASS) -> npt.NDArray[np.bool_]:
    """Return the smallest option set that holds ``mass``, options tied at its edge all in.

    Parameters
    ----------
    values : array_like, [..., K]
        Counts or probabilities.
    mass : float
        In (0, 1].

    Returns
    -------
    ndarray, bool [..., K]
        Empty where a row has no mass.

    Examples
    --------
    >>> retained_options([0.5, 0.3, 0.1, 0.1]).tolist()
    [True, True, True, True]
    """
    _check_mass(mass)
    x = np.asarray(values, dtype=np.float64)
    edge = _edges(x, mass)
    result: npt.NDArray[np.bool_] = (x >= edge[..., None]) & (x > 0)
    return result


def _edges(values: Floats, mass: float) -> Floats:
    """The smallest value that is still in the set: float64 [...]."""
    falling = -np.sort(-values, axis=-1)
    total = np.cumsum(falling, axis=-1)
    wanted = mass * total[..., -1:]
    at = (total >= wanted - _ROUNDING * np.maximum(total[..., -1:], 1e-300)).argmax(axis=-1)
    result: Floats = np.take_along_axis(falling, at[..., None], -1)[..., 0]
    # Equal probabilities that were rounded differently are ties too.
    return result * (1 - _ROUNDING)


def retention_exact(before: npt.ArrayLike, after: npt.ArrayLike, mass: float = MASS) -> Estimate:
    """Return the mean over prompts of P_after(S) - P_before(S) for exact distributions, S of ``before``.

    Parameters
    ----------
    before, after : array_like, float64 [P, K]
        Distributions of the same prompts.
    mass : float
        Share that S holds.

    Returns
    -------
    Estimate
        In [-1, 1 - mass]; exact.

    Examples
    --------
    >>> round(retention_exact([[0.9, 0.1, 0.0]], [[0.5, 0.3, 0.2]]).value, 3)
    -0.4
    """
    p, q = as_probabilities(before, "before", 2), as_probabilities(after, "after", 2)
    _same_shape(p.shape, q.shape)
    inside = retained_options(p, mass)
    change = np.where(inside, q - p, 0.0).sum(axis=1)
    return Estimate.of_exact(float(change.mean()))


def retention_change(
    before: npt.ArrayLike, after: npt.ArrayLike, mass: float = MASS, *, alpha: float = 0.05
) -> Estimate:
    """Estimate the change of retention dR, both checkpoints scored on the same leave-one-out sets.

    S_-i is the smallest option set that holds ``mass`` of the earlier samples without sample i, ties at the edge
    all in; dR = mean_i [P_after(S_-i) - 1(x_i in S_-i)], averaged over prompts. Escape is dR < 0; mass that moves
    into the set is concentration.

    Limits: per prompt Newcombe's hybrid score interval for the difference of the two shares (Newcombe 1998),
    combined over prompts by MOVER (Zou and Donner 2008); on a side where the delete-one-sample jackknife, which
    knows that the sets themselves vary, is wider, its limit is taken.

    Parameters
    ----------
    before, after : array_like, int64 [P, K]
        Counts of the same prompts at the two checkpoints.
    mass : float
        Share that the sets hold, in (0, 1].
    alpha : float
        One minus the level.

    Returns
    -------
    Estimate
        In [-1, 1]. No value with a prompt of fewer than 2 earlier samples or none later. ``p`` is not given:
        it is that of ``permutation_test(..., "retention")``.

    Examples
    --------
    >>> kept = retention_change([[30, 20, 0, 0]], [[25, 25, 0, 0]])
    >>> gone = retention_change([[30, 20, 0, 0]], [[5, 5, 20, 20]])
    >>> kept.value, gone.high < -0.5
    (0.0, True)
    """
    _check_mass(mass)
    a, b = as_counts(before, 2), as_counts(after, 2)
    _same_shape(a.shape, b.shape)
    sizes, later = a.sum(axis=1), b.sum(axis=1)
    if a.shape[0] == 0 or np.any(sizes < 2) or np.any(later < 1):
        return Estimate.unknown("fewer than 2 valid samples")
    prompts = a.shape[0]
    z = normal_quantile(1 - alpha / 2)
    value = down = up = variance = bottom = 0.0
    for x, y in zip(a, b, strict=True):
        n, m = int(x.sum()), int(y.sum())
        weight, own = _scores(x, mass)
        kept = float(y / m @ weight)
        value += (kept - own) / prompts
        (own_low, own_high), (kept_low, kept_high) = _wilson(own, n, z), _wilson(kept, m, z)
        down += (kept - kept_low) ** 2 + (own_high - own) ** 2
        up += (kept_high - kept) ** 2 + (own - own_low) ** 2
        for part, size in _jackknife_parts(x, y, weight, own, mass):
            variance += part
            bottom += part**2 / max(size - 1, 1)
    half = 0.0
    if variance > 0:
        half = t_quantile(1 - alpha / 2, variance**2 / bottom) * math.sqrt(variance) / prompts
    return Estimate(
        value=value,
        low=max(-1.0, value - max(math.sqrt(down) / prompts, half)),
        high=min(1.0, value + max(math.sqrt(up) / prompts, half)),
        estimator="leave-one-out, MOVER of Newcombe widened by jackknife",
    )


def _scores(before: Counts, mass: float) -> tuple[Floats, float]:
    """How often each option is in the leave-one-out sets, and the earlier samples' own share: means over i.

    The later share in the sets is then ``q @ weight``. The set without sample i depends on i only through the
    count of its option, so there is one edge a distinct count.
    """
    values, first = np.unique(before, return_index=True)
    if values[0] == 0:
        values, first = values[1:], first[1:]
    without = np.repeat(before[None].astype(np.float64), values.size, axis=0)
    without[np.arange(values.size), first] -= 1
    edges = _edges(without, mass)[:, None]
    of_value = before == values[:, None]
    samples = of_value.sum(axis=1) * values
    weight = samples @ (before >= edges)
    # An option drops out of its own samples' sets where one sample less takes it below the edge.
    drops = (values[:, None] >= edges) & (values[:, None] - 1 < edges)
    weight = weight - (values[:, None] * (of_value & drops)).sum(axis=0)
    own = float(samples @ (values - 1 >= edges[:, 0]))
    n = float(before.sum())
    return weight / n, own / n


def _jackknife_parts(
    before: Counts, after: Counts, weight: Floats, own: float, mass: float
) -> list[tuple[float, int]]:
    """Variance of one prompt's dR from deleting each earlier, and each later, sample; with the sample sizes."""
    n, m = int(before.sum()), int(after.sum())
    q = after / m
    kept = float(q @ weight)
    parts = []
    if n > 2:
        # Options with equal counts on both sides change it equally.
        pairs, times = np.unique(np.stack([before, after])[:, before > 0], axis=1, return_counts=True)
        left = np.empty(times.size)
        for index, pair in enumerate(pairs.T):
            rest = before.copy()
            rest[int(np.flatnonzero((before == pair[0]) & (after == pair[1]))[0])] -= 1
            weight_left, own_left = _scores(rest, mass)
            left[index] = float(q @ weight_left) - own_left - (kept - own)
        parts.append((_spread(left, times * pairs[0] / n, n), n))
    if m > 1:
        # The later share is linear in q: without a sample of option k it moves by (kept - weight_k)/(m - 1).
        parts.append((_spread((kept - weight) / (m - 1), q, m), m))
    return parts


def _spread(change: Floats, share: Floats, n: int) -> float:
    mean = float(share @ change)
    return (n - 1) * float(share @ (change - mean) ** 2)


def _wilson(share: float, n: int, z: float) -> tuple[float, float]:
    """Wilson's score limits for a share of n trials, which need not be a whole number of successes."""
    bottom = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / bottom
    half = z / bottom * math.sqrt(max(share * (1 - share), 0.0) / n + z * z / (4 * n * n))
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def _check_mass(mass: float) -> None:
    if not 0 < mass <= 1:
        raise SettingsError("a retained mass is a share", where="mass", expected="(0, 1]", got=str(mass))


def _same_shape(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    if a != b:
        raise SettingsError("the two checkpoints need the same prompts and options", expected=str(a), got=str(b))
