"""The entropy behind a task's samples: which estimator, which interval (mean over prompts, bits)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import simulate
from crystal.statistics import large_samples
from crystal.statistics.arrays import Counts, Floats, as_counts
from crystal.statistics.coverage import coverage
from crystal.statistics.entropy import entropy
from crystal.statistics.estimate import Estimate
from crystal.statistics.inversion import GRID_POINTS, REACH, invert, search, upper_tail, with_correction
from crystal.statistics.jackknife import entropy_jackknife
from crystal.statistics.smoothing import smoothed
from crystal.statistics.special import LN2, t_quantile, xlog2x

GRASSBERGER_COVERAGE = 0.8
CHAO_SHEN_COVERAGE = 0.5
OPEN_COVERAGE, OPEN_SAMPLES = 0.95, 10
MANY_SAMPLES = 50
"""Below so many samples an open list may hide as many options as were seen, whatever their counts say."""
_TIE_BREAK = 1e-4
_EXPONENTS = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 160)])


def recommended_entropy(counts: npt.ArrayLike, closed: bool) -> Estimate:
    """Return the point estimate that coverage allows.

    Parameters
    ----------
    counts : array_like, int64 [K] or [P, K]
        Counts of one prompt, or of P prompts whose mean entropy is meant. The rule is chosen once, by the
        mean coverage of the prompts.
    closed : bool
        The K options are all there are. Then Grassberger's estimator where coverage >= .8, else NSB's mean,
        both held to [0, log2 K]. Otherwise Chao-Shen's where coverage >= .5, else none.

    Returns
    -------
    Estimate
        ``value`` in bits and ``estimator``; no limits. ``reason`` where there is no value.

    Examples
    --------
    >>> recommended_entropy([8, 8, 4], closed=True).estimator
    'grassberger'
    >>> recommended_entropy([1, 1, 1], closed=False).reason
    'coverage 0.00 is below 0.5, and the number of options is open'
    """
    n = np.atleast_2d(as_counts(counts))
    if n.size == 0 or np.any(n.sum(axis=-1) == 0):
        return Estimate.unknown("no valid samples")
    seen = float(coverage(n).mean())
    if closed:
        name = "grassberger" if seen >= GRASSBERGER_COVERAGE else "nsb"
        value = float(entropy(n, "grassberger" if name == "grassberger" else "nsb").mean())
        return Estimate(value=min(max(value, 0.0), math.log2(n.shape[-1])), estimator=name)
    if seen < CHAO_SHEN_COVERAGE:
        return Estimate.unknown(
            f"coverage {seen:.2f} is below {CHAO_SHEN_COVERAGE}, and the number of options is open"
        )
    return Estimate(value=float(entropy(n, "chao_shen").mean()), estimator="chao_shen")


def entropy_interval(
    counts: npt.ArrayLike,
    closed: bool,
    *,
    alpha: float = 0.05,
    draws: int = 400,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> Estimate:
    """Estimate the mean over prompts of the within-prompt entropy, with its interval.

    Closed list: tilted inversion. p~ = (n + a)/(N + K a) with a by evidence (:mod:`smoothing`); the family
    p_b ~ p~^b, one b for all prompts; the limits are the mean entropies at which the mid-p of the plug-in
    statistic is alpha/2. The lower limit is that of a shorter list too, where that is lower: the options
    seen and half of those that Chao's richness estimate says are missing (spread over a long list, what is
    unseen seems more even than it is, and the truth lay below in up to 13 % of draws). Beyond four prompts
    the lower limit is moved out by the error of the bias correction
    (:func:`crystal.statistics.inversion.with_correction`). Open list: the jackknife interval around
    Chao-Shen's estimate from coverage .95 and 10 samples a prompt, widened by a tilted inversion over the
    options seen and as many unseen ones as Chao's richness estimate says, and one more, and below 50 samples
    at least as many as were seen (alone, the jackknife misses above in 9 to 14 % of draws at n = 50). From
    50 samples on no unseen one is added where several were seen and no prompt has one once or twice.
    Otherwise a lower limit only, by tilted inversion over the options seen: options unseen can only add
    entropy.

    Parameters
    ----------
    counts : array_like, int64 [K] or [P, K]
        Counts of the prompts.
    closed : bool
        The K options are all there are.
    alpha : float
        One minus the level; each limit errs at alpha/2.
    draws : int
        Simulated data sets for each of 17 grid points.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).

    Returns
    -------
    Estimate
        Bits; the interval always holds the value.

    Examples
    --------
    >>> estimate = entropy_interval([60, 30, 10], closed=True)
    >>> estimate.low < estimate.value < estimate.high
    True
    """
    n = np.atleast_2d(as_counts(counts))
    point = recommended_entropy(n, closed)
    if point.reason == "no valid samples":
        return point
    seen, fewest = float(coverage(n).mean()), int(n.sum(axis=-1).min())
    stream = {"draws": draws, "seed": seed, "key": key, "threads": threads}
    if closed:
        if n.shape[-1] == 1:
            return Estimate(value=0.0, low=0.0, high=0.0, estimator="one option")
        low, high = tilted_inversion(n, alpha, **stream)
        shorter = _with_unseen(n, 0.5)
        if 1 < shorter.shape[1] < n.shape[1]:
            low = min(low, tilted_inversion(shorter, alpha, **stream)[0])
        # However much was seen: an entropy has no value, such as 0, at which its correction is sure.
        plugin = float(entropy(n, "plugin").mean())
        low = max(0.0, with_correction(low, (low + high) / 2, plugin, len(n), 1.0))
        return _containing(point, low, high, "tilted inversion")
    if point.value is not None and seen >= OPEN_COVERAGE and fewest >= OPEN_SAMPLES:
        spread = entropy_jackknife(n)
        half = t_quantile(1 - alpha / 2, spread.freedom) * math.sqrt(spread.variance)
        longer = _with_unseen(n)
        if fewest >= MANY_SAMPLES and _all_common(n):
            longer = n[:, n.sum(axis=0) > 0]
        if fewest < MANY_SAMPLES:
            least = 2 * int((n.sum(axis=0) > 0).sum())
            longer = np.pad(longer, ((0, 0), (0, max(0, least - longer.shape[1]))))
        low, high = tilted_inversion(longer, alpha, **stream)
        low, high = min(low, max(0.0, point.value - half)), max(high, point.value + half)
        return _containing(point, low, high, "jackknife widened by tilted inversion")
    seen_options = n[:, n.sum(axis=0) > 0]
    low = 0.0 if seen_options.shape[1] == 1 else tilted_inversion(seen_options, alpha, **stream)[0]
    if point.value is not None:
        low = min(low, point.value)
    return Estimate(
        value=point.value,
        low=low,
        estimator=f"{point.estimator or 'none'}, tilted inversion",
        reason=point.reason or "too few samples for an upper limit: the number of options is open",
    )


def tilted_inversion(
    counts: Counts, alpha: float, *, draws: int, seed: int = 0, key: int = 0, threads: int = 0
) -> tuple[float, float]:
    """Return the limits by tilted inversion for counts int64 [P, K] of a closed list, K >= 2."""
    sizes = counts.sum(axis=-1)
    base = smoothed(counts)
    family = _tilt(base, _EXPONENTS)
    reached = -xlog2x(family).sum(axis=-1).mean(axis=-1)
    surprise = -np.log2(base)
    centre = (base * surprise).sum(axis=-1)
    spread = (base * surprise**2).sum(axis=-1) - centre**2
    # The second-order terms keep the grid wide where all options are alike and the first vanishes.
    second = (counts.shape[1] - 1) / (2 * sizes * sizes * LN2**2)
    error = math.sqrt(float((spread / sizes + second).sum())) / len(sizes)
    half = REACH * error + float(((counts.shape[1] - 1) / (2 * sizes * LN2)).mean())
    top = math.log2(counts.shape[1])
    middle = float(centre.mean())
    wanted = np.linspace(max(0.0, middle - half), min(top, middle + half), GRID_POINTS)
    # Entropy falls with the exponent; both ends of the range are in the table.
    exponents = np.interp(wanted, reached[::-1], _EXPONENTS[::-1])
    members = _tilt(base, exponents)
    targets = -xlog2x(members).sum(axis=-1).mean(axis=-1)
    observed = float(entropy(counts, "plugin").mean())
    if large_samples.enough(sizes, counts.shape[1]):
        exactly = large_samples.tails(large_samples.entropy_law(members, sizes), observed * LN2)
        if exactly is not None:
            low, _, high = invert(targets, exactly, large_samples.AS_DRAWS, alpha)
            return max(low, 0.0), min(high, top)

    def tails(at: list[int]) -> Floats:
        each = members[at, None]
        drawn = simulate(each, sizes[None], "entropy", draws=draws, seed=seed, key=key, threads=threads)
        return upper_tail(drawn, observed)

    seen = (counts > 0).sum(axis=1)
    low, _, high = search(
        targets,
        tails,
        draws,
        alpha,
        centre=observed + float(((seen - 1) / (2 * sizes * LN2)).mean()),
        error=error,
        wanted=(True, False, True),
    )
    return max(low, 0.0), min(high, top)


def _tilt(base: Floats, exponents: Floats) -> Floats:
    """p^b, normalised: [T, P, K]. Ties are split by a hair, so that the family reaches entropy 0."""
    rank = np.argsort(np.argsort(-base, axis=-1, kind="stable"), axis=-1, kind="stable")
    log = np.log(base) - _TIE_BREAK * rank
    log = (log - log.max(axis=-1, keepdims=True)) * exponents[:, None, None]
    weight = np.exp(log)
    result: Floats = weight / weight.sum(axis=-1, keepdims=True)
    return result


def _with_unseen(counts: Counts, share: float = 1.0) -> Counts:
    """Drop options that no prompt showed; add a share of those that one lacks by Chao (1984), plus one."""
    seen = counts[:, counts.sum(axis=0) > 0]
    once, twice = (seen == 1).sum(axis=1), (seen == 2).sum(axis=1)
    lacking = np.where(twice > 0, once * once / np.maximum(2 * twice, 1), once * (once - 1) / 2)
    more = max(1, int(np.max(1 + np.ceil(lacking) - (seen == 0).sum(axis=1))))
    return np.pad(seen, ((0, 0), (0, math.ceil(share * more))))


def _all_common(counts: Counts) -> bool:
    """Whether several options were seen, and no prompt has one so rarely that others may have been missed."""
    return int((counts.sum(axis=0) > 0).sum()) > 1 and not np.isin(counts, (1, 2)).any()


def _containing(point: Estimate, low: float, high: float, name: str) -> Estimate:
    value = point.value if point.value is not None else math.nan
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), estimator=f"{point.estimator}, {name}"
    )
