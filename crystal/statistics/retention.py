"""Retention: mass that a later checkpoint keeps on the options that hold 0.9 of an earlier one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.resampling import simulate_counts, stream_key
from crystal.statistics import large_samples
from crystal.statistics.arrays import Counts, Floats, as_counts, as_probabilities
from crystal.statistics.estimate import Estimate
from crystal.statistics.proportions import wilson_limits
from crystal.statistics.smoothing import smoothed_groups
from crystal.statistics.special import normal_quantile

MASS = 0.9
_MOST_SAMPLES = 1 << 23
"""Samples that are drawn in one call, give or take one row of at most as many."""
_ROUNDING = 1e-9
"""Shares that fall short of the wanted mass by this little have reached it."""
_SURE, _STEPS = 6.0, 2.0
"""Standard deviations, and samples, by which a set is clear of any other: four of data drawn twice over."""
_FEWEST_DRAWS = 64


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
    """Return the smallest value that is still in the set: float64 [...]."""
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
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    mass: float = MASS,
    *,
    alpha: float = 0.05,
    draws: int = 200,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
    fit: Floats | None = None,
) -> Estimate:
    """Estimate the change of retention dR, both checkpoints scored on the same leave-one-out sets.

    S_-i is the smallest option set that holds ``mass`` of the earlier samples without sample i, ties at the
    edge all in; dR = mean_i [P_after(S_-i) - 1(x_i in S_-i)], averaged over prompts. Escape is dR < 0; mass
    that moves into the set is concentration.

    Limits: per prompt Newcombe's hybrid score interval for the difference of the two shares (Newcombe
    1998), combined over prompts by MOVER (Zou and Donner 2008). It takes the sets as given and covers 60 to
    90 % of the expected dR, so it is widened, on each side where that is wider, to value -+ z sd, with sd
    the spread of dR over data sets drawn from the smoothed fit. (The delete-one jackknife is useless here:
    a set jumps when one sample goes, and its interval came out two to seven times as wide.)

    Parameters
    ----------
    before, after : array_like, int64 [P, K]
        Counts of the same prompts at the two checkpoints.
    mass : float
        Share that the sets hold, in (0, 1].
    alpha : float
        One minus the level.
    draws : int
        Simulated data sets behind the spread.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).
    fit : ndarray, float64 [P, 2, K], optional
        :func:`smoothed_groups` of the pairs of counts, where it is at hand.

    Returns
    -------
    Estimate
        In [-1, 1]. No value with a prompt of fewer than 2 earlier samples or none later. ``p`` is not
        given: it is that of ``permutation_test(..., "retention")``.

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
    kept, own = leave_one_out_retention(a, b, mass)
    value = float((kept - own).mean())
    kept_low, kept_high = wilson_limits(kept * later, later, alpha)
    own_low, own_high = wilson_limits(own * sizes, sizes, alpha)
    down = float(((kept - kept_low) ** 2 + (own_high - own) ** 2).sum())
    up = float(((kept_high - kept) ** 2 + (own - own_low) ** 2).sum())
    rows = smoothed_groups(np.stack([a, b], axis=1)) if fit is None else fit
    half = z * _spread(rows, sizes, later, mass, draws, seed, key, threads)
    return Estimate(
        value=value,
        low=max(-1.0, value - max(math.sqrt(down) / prompts, half)),
        high=min(1.0, value + max(math.sqrt(up) / prompts, half)),
        estimator="leave-one-out, MOVER of Newcombe widened by simulation",
    )


def _spread(
    rows: Floats, sizes: Counts, later: Counts, mass: float, draws: int, seed: int, key: int, threads: int
) -> float:
    """Return the standard deviation of the mean dR over data sets drawn from the smoothed fit.

    Where the set is sure at the fit and not at a truth nearby, dR varies more than the fit shows. So data are
    drawn twice, from the fit and from what was drawn; that variance is twice the sampling one where nothing
    jumps, and its half counts where it is larger.
    """
    if large_samples.enough(np.minimum(sizes, later), rows.shape[2]):
        return _known_spread(rows, sizes, later, mass, draws, seed, key, threads)
    prompts = len(rows)
    sizes = np.concatenate([sizes, later])
    both = np.concatenate([rows[:, 0], rows[:, 1]])
    drawn = _drawn(both, sizes, draws, seed, key, threads)
    again = drawn_again(drawn, sizes, seed, key, threads)
    spread = []
    for counts in (drawn, again):
        kept, own = leave_one_out_retention(counts[:, :prompts], counts[:, prompts:], mass)
        spread.append(float((kept - own).mean(axis=1).std(ddof=1)))
    return max(spread[0], spread[1] / math.sqrt(2))


def _known_spread(
    rows: Floats, sizes: Counts, later: Counts, mass: float, draws: int, seed: int, key: int, threads: int
) -> float:
    """Return the same for many samples, drawing what only drawing can tell: the sets.

    Prompts are independent, and so are the two checkpoints. Given the sets, the later share is binomial;
    where the set is that of nearly any data set, so is the earlier one. Variances of many prompts add up, so
    that each needs fewer draws.
    """
    draws = max(_FEWEST_DRAWS, math.ceil(draws / len(rows)))
    p, q = rows[:, 0], rows[:, 1]
    inside, sure = _sure_sets(p, sizes, mass)
    own, kept = (p * inside).sum(axis=1), (q * inside).sum(axis=1)
    once = own * (1 - own) / sizes + kept * (1 - kept) / later
    twice = once.copy()
    if not sure.all():
        open_, n, m = p[~sure], sizes[~sure], later[~sure]
        drawn = _drawn(open_, n, draws, seed, key, threads)
        for found, counts, weight in (
            (once, drawn, 1.0),
            (twice, drawn_again(drawn, n, seed, key, threads), 0.5),
        ):
            held, stays = leave_one_out_retention(counts, q[~sure], mass)
            found[~sure] = weight * (held - stays).var(axis=0, ddof=1) + (held * (1 - held)).mean(axis=0) / m
    # A set that holds everything may hold a hair more than 1.
    return math.sqrt(max(float(once.sum()), float(twice.sum()), 0.0)) / len(rows)


def _sure_sets(p: Floats, sizes: Counts, mass: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the set of each row of p [P, K], and whether it is that of any data set [P], bool."""
    falling = -np.sort(-p, axis=1)
    reached = np.cumsum(falling, axis=1)
    at = (reached >= mass).argmax(axis=1)[:, None]

    def value(x: Floats, place: npt.NDArray[np.int64]) -> Floats:
        found: Floats = np.take_along_axis(x, np.minimum(place, x.shape[1] - 1), 1)[:, 0]
        return found

    last, full = value(falling, at), value(reached, at)
    following = np.where(at[:, 0] + 1 < p.shape[1], value(falling, at + 1), 0.0)
    short = full - last

    def clear(gap: Floats, variance: Floats) -> npt.NDArray[np.bool_]:
        return np.asarray(gap * sizes > _SURE * np.sqrt(np.maximum(variance, 0.0) * sizes) + _STEPS)

    sure = clear(last - following, last + following)
    sure &= clear(mass - short, short * (1 - short) + last) & clear(full - mass, full * (1 - full))
    return p >= last[:, None], sure


def drawn_again(drawn: Counts, sizes: Counts, seed: int, key: int, threads: int) -> Counts:
    """Draw one data set from the frequencies of each of those drawn [draws, R, K]."""
    draws, _, options = drawn.shape
    rows = (drawn / sizes[:, None]).reshape(-1, options)
    again = _drawn(rows, np.tile(sizes, draws), 1, seed, stream_key("again", key), threads)
    return again.reshape(drawn.shape)


def _drawn(rows: Floats, sizes: Counts, draws: int, seed: int, key: int, threads: int) -> Counts:
    """Draw samples of rows [R, K] as [draws, R, K], in as many calls as their number asks for."""
    batch = np.cumsum(sizes) // _MOST_SAMPLES
    parts = [
        simulate_counts(
            rows[batch == number],
            sizes[batch == number],
            draws=draws,
            seed=seed,
            key=key if number == 0 else stream_key(key, int(number)),
            threads=threads,
        )
        for number in np.unique(batch)
    ]
    return np.concatenate(parts, axis=1)


def leave_one_out_retention(
    before: Counts, after: Counts | Floats, mass: float = MASS
) -> tuple[Floats, Floats]:
    """Return, row by row, the later share in the leave-one-out sets and the earlier samples' own.

    Parameters
    ----------
    before : ndarray, int64 [..., K]
        Counts of at least 2 samples a row.
    after : ndarray, int64 or float64 [..., K]
        Counts of at least 1 sample a row over the same options, or what they are expected to be.
    mass : float
        Share that the sets hold.

    Returns
    -------
    tuple of ndarray, float64 [...]
        mean_i P_after(S_-i) and mean_i 1(x_i in S_-i); their difference is dR.

    Notes ----- With the counts falling, c_1 >= c_2 >= ..., and sums C_j, taking a sample from an option
    whose last tie is at place r lowers C_j by 1 from r on. So the edge of the set is at the first C_j >= w,
    or, if that is not before r, at the first C_j >= w + 1: two places for a whole row, and no loop over
    samples.

    Examples
    --------
    >>> leave_one_out_retention(np.array([3, 1]), np.array([1, 1]), 0.9)
    (np.float64(0.875), np.float64(0.75))
    """
    order = np.argsort(-before, axis=-1, kind="stable")
    c = np.take_along_axis(before, order, -1)
    q = np.take_along_axis(np.broadcast_to(after, c.shape), order, -1) / after.sum(axis=-1, keepdims=True)
    n = c.sum(axis=-1, keepdims=True)
    total = np.cumsum(c, axis=-1)
    wanted = np.ceil(mass * (n - 1) - _ROUNDING * n)
    first = (total >= wanted).argmax(axis=-1)[..., None]
    second = (total >= wanted + 1).argmax(axis=-1)[..., None]
    # The last place of each option's ties: the next lower count begins one further.
    places = np.arange(c.shape[-1])
    ends = np.concatenate([c[..., 1:] < c[..., :-1], np.ones_like(c[..., :1], dtype=bool)], axis=-1)
    last = np.where(ends, places, c.shape[-1])
    last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    early = first < last
    at_second = np.take_along_axis(c, second, -1)
    edge = np.where(early, np.take_along_axis(c, first, -1), at_second - (second == last))
    low, middle = at_second - 1, at_second
    high = np.take_along_axis(c, first, -1)
    held = np.zeros(edge.shape)
    for value in (low, middle, high):  # the only edges there are
        held = np.where(edge == value, (q * (c >= value)).sum(axis=-1, keepdims=True), held)
    stays = c - 1 >= edge
    held = held - np.where((c >= edge) & ~stays, q, 0.0)
    return (c * held).sum(axis=-1) / n[..., 0], (c * stays).sum(axis=-1) / n[..., 0]


def _check_mass(mass: float) -> None:
    if not 0 < mass <= 1:
        raise SettingsError("a retained mass is a share", where="mass", expected="(0, 1]", got=str(mass))


def _same_shape(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    if a != b:
        raise SettingsError(
            "the two checkpoints need the same prompts and options", expected=str(a), got=str(b)
        )
