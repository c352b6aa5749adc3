"""Interval of the equal-weight information of groups: promptability, Jensen-Shannon divergence."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import simulate, simulate_counts
from crystal.statistics import large_samples
from crystal.statistics.arrays import Counts, Floats, as_counts
from crystal.statistics.coverage import coverage
from crystal.statistics.divergence import js_information
from crystal.statistics.estimate import Estimate
from crystal.statistics.inversion import GRID_POINTS, REACH, invert, search, upper_tail, with_correction
from crystal.statistics.jackknife import Jackknife, js_jackknife
from crystal.statistics.smoothing import smoothed_groups
from crystal.statistics.special import LN2

JACKKNIFE_COVERAGE = 0.8
"""Below it the jackknife leaves most of the bias, and the value is where the test's mid-p is 1/2."""
FIXED_SAMPLES = 1 << 20
"""A group of so many samples stands for an exact distribution: it is not drawn again."""
_TIE_BREAK = 1e-3
_PATH = np.concatenate([[0.0], np.geomspace(1e-2, 1e5, 164)])


def js_interval(
    counts: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    draws: int = 400,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
    permutation_p: float | None = None,
    null: float | None = None,
    fit: Floats | None = None,
) -> Estimate:
    """Estimate H(mean P_g) - mean H(P_g), averaged over blocks, with an interval by test inversion.

    Promptability is one block whose G groups are the prompts; the divergence of two checkpoints has a block
    a shared prompt and G = 2. The value is the jackknife's, floored at 0 and held to the interval; below a
    mean coverage of .8, where the jackknife leaves most of the bias, it is the median-unbiased value
    instead. The family runs from no difference (t = 0) through the smoothed data (t = 1,
    :func:`smoothed_groups`): P_g(t) ~ M^(1-t) P_g^t with M the block's mean, sample sizes fixed; the limits
    are where the plug-in statistic has mid-p alpha/2; beyond four prompts the upper one is moved out by the
    error of the bias correction (:func:`with_correction`). Never a bootstrap: at P = Q it never covers 0. A
    group of 2^20 samples or more stands for an exact distribution: it is not smoothed away and not drawn
    again.

    Parameters
    ----------
    counts : array_like, int64 [B, G, K]
        Counts of B blocks of G >= 2 groups.
    alpha : float
        One minus the level; each limit errs at alpha/2.
    draws : int
        Simulated data sets for each of 17 grid points.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).
    permutation_p : float, optional
        p of the permutation test that the groups are equal. If it is alpha/2 or more the lower limit is 0.
        Without it the inversion alone decides.
    null : float, optional
        The plug-in's mean under permutation, passed on to the result.
    fit : ndarray, float64 [B, G, K], optional
        :func:`smoothed_groups` of the counts, where it is at hand.

    Returns
    -------
    Estimate
        Bits, 0 to log2 G; nothing with fewer than 2 samples in a group.

    Examples
    --------
    >>> estimate = js_interval([[[80, 20, 5], [30, 50, 25]]])
    >>> estimate.low < estimate.value < estimate.high
    True
    """
    n = as_counts(counts, 3)
    spread = js_jackknife(n)
    if n.shape[1] < 2:
        return Estimate.unknown("one group: there is nothing to compare", null=null, p=permutation_p)
    sizes = n.sum(axis=-1)
    fewest = int(sizes.min())
    if fewest < 2:
        return Estimate.unknown("fewer than 2 valid samples", null=null, p=permutation_p)
    value = max(spread.value, 0.0)
    if n.shape[2] == 1:
        return Estimate(value=0.0, low=0.0, high=0.0, estimator="one option", null=null, p=permutation_p)
    members, targets = _family(n, spread, smoothed_groups(n) if fit is None else fit)
    seen = float(coverage(n).mean())
    sparse = seen < JACKKNIFE_COVERAGE
    from_zero = permutation_p is not None and permutation_p >= alpha / 2
    exactly = None
    if large_samples.enough(sizes, n.shape[2]) and int(sizes.max()) < FIXED_SAMPLES:
        exactly = large_samples.tails(large_samples.js_law(members, sizes), spread.plugin * LN2)
    if exactly is not None:
        low, middle, high = invert(targets, exactly, large_samples.AS_DRAWS, alpha)
    else:

        def tails(at: list[int]) -> Floats:
            drawn = _simulate(members[at], n, draws=draws, seed=seed, key=key, threads=threads)
            return upper_tail(drawn, spread.plugin)

        low, middle, high = search(
            targets,
            tails,
            draws,
            alpha,
            centre=value,
            error=math.sqrt(spread.variance),
            wanted=(not from_zero, sparse, True),
        )
    name = "jackknife, test inversion"
    if sparse:
        value, name = middle, "test inversion, median"
    if from_zero:
        low = 0.0
    centre = min(max(value, low), high)
    if spread.plugin > centre:
        high = with_correction(high, centre, spread.plugin, max(n.shape[:2]), 1 - seen)
    low, high = max(low, 0.0), min(high, math.log2(n.shape[1]))
    return Estimate(
        value=min(max(centre, low), high),
        low=low,
        high=high,
        estimator=name,
        null=null,
        p=permutation_p,
    )


def _simulate(members: Floats, counts: Counts, *, draws: int, seed: int, key: int, threads: int) -> Floats:
    """Draw the statistic at every member; groups that stand for exact distributions stay as they are."""
    sizes = counts.sum(axis=-1)
    drawn = sizes < FIXED_SAMPLES
    if drawn.all():
        return simulate(members, sizes, "js", draws=draws, seed=seed, key=key, threads=threads)
    result = np.empty((len(members), draws))
    for index, member in enumerate(members):
        p = np.broadcast_to(member, (draws, *member.shape)).copy()
        if drawn.any():
            samples = simulate_counts(
                member[drawn], sizes[drawn], draws=draws, seed=seed, key=key, threads=threads
            )
            p[:, drawn] = samples / sizes[drawn][:, None]
        result[index] = js_information(p).mean(axis=-1)
    return result


def _family(counts: Counts, spread: Jackknife, base: Floats) -> tuple[Floats, Floats]:
    """Members of the path [T, B, G, K] and their information [T], ascending, around the data."""
    reached = _reached(base)
    sizes = counts.sum(axis=-1).astype(np.float64)
    groups, options = counts.shape[1:]
    bias = (options - 1) * (groups - 1) / (2 * groups * LN2) * float((1 / sizes).mean())
    half = REACH * math.sqrt(spread.variance) + 4 * bias
    centre = float(np.interp(1.0, _PATH, reached))
    wanted = np.linspace(max(0.0, centre - half), min(reached[-1], centre + half), GRID_POINTS)
    return _at(base, reached, wanted)


def family_at(counts: Counts, wanted: Floats) -> tuple[Floats, Floats]:
    """Return members of the family that :func:`js_interval` inverts over, at given places.

    Parameters
    ----------
    counts : ndarray, int64 [B, G, K]
        Counts of B blocks of G >= 2 groups.
    wanted : ndarray, float64 [T]
        Information in bits, ascending; reached as far as the family goes.

    Returns
    -------
    members : ndarray, float64 [T, B, G, K]
    information : ndarray, float64 [T]
        What each has, the mean over blocks.

    Examples
    --------
    >>> import numpy as np
    >>> family_at(np.array([[[30, 10], [10, 30]]]), np.array([0.0, 0.1]))[1].round(3).tolist()
    [0.0, 0.1]
    """
    base = smoothed_groups(counts)
    return _at(base, _reached(base), wanted)


def _reached(base: Floats) -> Floats:
    """Information at every place of the path; it may turn back by a hair far beyond the data."""
    reached: Floats = np.maximum.accumulate(js_information(_along(base, _PATH)).mean(axis=-1))
    return reached


def _at(base: Floats, reached: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    members = _along(base, np.interp(wanted, reached, _PATH))
    return members, np.maximum.accumulate(js_information(members).mean(axis=-1))


def _along(base: Floats, places: Floats) -> Floats:
    """M^(1-t) P^t, normalised: [T, B, G, K].

    Groups are pushed apart by a hair, options alternately, so that the path leads somewhere from equal
    counts.
    """
    groups, options = base.shape[-2:]
    log = np.log(base)
    middle = np.log(base.mean(axis=-2, keepdims=True))
    apart = (np.arange(groups)[:, None] + np.arange(options)) % 2 * _TIE_BREAK
    way = log + apart - middle
    t = places[:, None, None, None]
    weight = middle + t * way
    weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
    result: Floats = weight / weight.sum(axis=-1, keepdims=True)
    return result
