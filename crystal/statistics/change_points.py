"""Where a long ladder changes: one cut, its p-value, where else it may lie, and whether it is a cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.resampling import permutation_test, simulate_counts, stream_key
from crystal.statistics.arrays import Counts, Floats, as_counts
from crystal.statistics.drift import drift_gain
from crystal.statistics.smoothing import smoothed

ORDER_CHECKPOINTS = 10
"""Below so many checkpoints permuting their order cannot reach a small p."""


@dataclass(frozen=True)
class ChangePoint:
    """The cut of a ladder with the largest G."""

    position: int
    """The change lies between checkpoints ``position - 1`` and ``position``."""
    low: int
    high: int
    """First and last cut that the data do not exclude."""
    cuts: tuple[int, ...]
    """All of them: a set, which may have gaps."""
    g: float
    """G of the cut, nats, summed over the blocks."""
    p: float
    """Permuting the samples' checkpoint labels within each block: does anything change anywhere?"""
    order_p: float | None
    """Permuting the order of the checkpoints: does it change in *this* order? None below 10 checkpoints."""
    drift: float
    """G of a drift linear in the logarithm of the step, with as many parameters less the cut."""
    gradual: bool
    """The drift fits no worse: then the cut is only where half of it has happened."""


def cut_g(counts: npt.ArrayLike) -> Floats:
    """Return G = 2 sum n ln(n N / (row column)) of every cut, checkpoints before against those after.

    Parameters
    ----------
    counts : array_like, int64 [..., B, S, K]
        Counts of B blocks (prompts) at S checkpoints.

    Returns
    -------
    ndarray, float64 [..., S - 1]
        Nats, summed over blocks; entry t - 1 cuts before checkpoint t.

    Examples
    --------
    >>> cut_g([[[10, 0], [10, 0], [0, 10]]]).round(2).tolist()
    [10.46, 38.19]
    """
    n = as_counts(counts)
    if n.ndim < 3:
        raise SettingsError(
            "counts have the wrong shape", where="counts", expected="[blocks, checkpoints, options]"
        )
    before = np.cumsum(n, axis=-2)[..., :-1, :].astype(np.float64)
    whole = n.sum(axis=-2, keepdims=True).astype(np.float64)
    after = whole - before
    total = 0.0
    for part, sign in ((before, 1.0), (after, 1.0), (whole, -1.0)):
        total = total + sign * (_xlogx(part).sum(axis=-1) - _xlogx(part.sum(axis=-1)))
    result: Floats = np.maximum(2 * np.asarray(total), 0.0).sum(axis=-2)
    return result


def _xlogx(x: Floats) -> Floats:
    result: Floats = x * np.log(np.where(x > 0, x, 1.0))
    return result


def find_change_point(
    counts: npt.ArrayLike,
    steps: npt.ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    permutations: int = 19_999,
    exceedances: int = 20,
    draws: int = 400,
    order_draws: int = 999,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> ChangePoint | None:
    """Find the cut with the largest G, its p, the cuts that cannot be excluded, and whether it is a drift.

    ``p`` is that of max_t G (size-weighted) under permuted checkpoint labels within each block. The set of
    cuts: all t with max G - G_t at most the 1 - alpha quantile of max G - G_true over data drawn from the
    fitted cut. The drift is a multinomial logit linear in ln(1 + step - first step), or in the rank of the
    checkpoint where steps do not rise.

    Parameters
    ----------
    counts : array_like, int64 [B, S, K]
        Counts of B blocks at S checkpoints in order.
    steps : array_like, float64 [S], optional
        Training steps.
    alpha : float
        One minus the level of the set.
    permutations, exceedances : int
        Most draws of the permutation test, and the exceedances at which it stops.
    draws : int
        Simulated data sets behind the set of cuts.
    order_draws : int
        Permuted orders, from 10 checkpoints.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).

    Returns
    -------
    ChangePoint or None
        None with fewer than 2 checkpoints or without samples.

    Examples
    --------
    >>> counts = [[[30, 5], [28, 7], [6, 29], [4, 31]]]
    >>> change = find_change_point(counts, [0, 10, 100, 1000])
    >>> change.position, change.p < 0.01, change.order_p is None
    (2, True, True)
    """
    n = as_counts(counts, 3)
    checkpoints = n.shape[1]
    if checkpoints < 2 or n.sum() == 0:
        return None
    test = permutation_test(
        n, "max_cut_g", draws=permutations, exceedances=exceedances, seed=seed, key=key, threads=threads
    )
    g = cut_g(n)
    position = int(g.argmax()) + 1
    slack = _slack(n, position, alpha, draws=draws, seed=seed, key=stream_key("cut", key), threads=threads)
    cuts = tuple(int(t) + 1 for t in np.flatnonzero(g >= g.max() - slack))
    order_p = None
    if checkpoints >= ORDER_CHECKPOINTS:
        order_p = _order_test(n, float(g.max()), order_draws, seed, stream_key("order", key))
    drift = drift_gain(n, _places(steps, checkpoints))
    return ChangePoint(
        position=position,
        low=cuts[0],
        high=cuts[-1],
        cuts=cuts,
        g=float(g.max()),
        p=test.p,
        order_p=order_p,
        drift=drift,
        gradual=drift >= float(g.max()),
    )


def _places(steps: npt.ArrayLike | None, checkpoints: int) -> Floats:
    rank = np.arange(checkpoints, dtype=np.float64)
    if steps is None:
        return rank
    x = np.asarray(steps, dtype=np.float64)
    if x.shape != (checkpoints,) or not np.all(np.isfinite(x)):
        raise SettingsError("every checkpoint has one step", where="steps", expected=str(checkpoints))
    return np.log1p(x - x[0]) if np.all(np.diff(x) > 0) else rank


def _slack(
    counts: Counts, position: int, alpha: float, *, draws: int, seed: int, key: int, threads: int
) -> float:
    """Return how far G of the true cut may lie below the largest, if the fitted cut is the truth."""
    blocks, checkpoints, options = counts.shape
    sides = np.stack([counts[:, :position].sum(axis=1), counts[:, position:].sum(axis=1)], axis=1)
    fit = smoothed(sides)
    rows = np.repeat(fit, [position, checkpoints - position], axis=1)
    drawn = simulate_counts(
        rows.reshape(-1, options),
        counts.sum(axis=2).ravel(),
        draws=draws,
        seed=seed,
        key=key,
        threads=threads,
    )
    g = cut_g(drawn.reshape(draws, blocks, checkpoints, options))
    return float(np.quantile(g.max(axis=1) - g[:, position - 1], 1 - alpha))


def _order_test(counts: Counts, observed: float, draws: int, seed: int, key: int) -> float:
    """Permute whole checkpoints. Raw Philox words, so that an order depends on nothing but seed and key."""
    generator = np.random.Philox(key=[seed, key])
    words = generator.random_raw(draws * counts.shape[1]).reshape(draws, counts.shape[1])
    orders = np.argsort(words, axis=1, kind="stable")
    at_least = sum(float(cut_g(counts[:, order]).max()) >= observed - 1e-9 for order in orders)
    return (at_least + 1) / (draws + 1)
