"""Promptability: how much of an answer the wording decides, in bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import permutation_test
from crystal.statistics import large_samples
from crystal.statistics.arrays import as_counts
from crystal.statistics.coverage import coverage
from crystal.statistics.estimate import Estimate
from crystal.statistics.js_interval import js_interval
from crystal.statistics.reach import short_permutation_test

MIN_COVERAGE = 0.8
MIN_VALID = 10


def promptability(
    counts: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    draws: int = 400,
    permutations: int = 19_999,
    exceedances: int = 20,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
    min_coverage: float = MIN_COVERAGE,
    min_valid: int = MIN_VALID,
) -> Estimate:
    """Estimate I(prompt; answer) = H(mean_x P_x) - mean_x H(P_x), each prompt with weight 1/m.

    The value is the jackknife's that deletes one sample within a prompt, floored at 0; limits by test
    inversion (:func:`crystal.statistics.js_interval.js_interval`); ``p`` and ``null`` from permuting the
    prompts' labels. The null mean is reported and not subtracted: that would over-correct a real effect.

    Parameters
    ----------
    counts : array_like, int64 [m, K]
        Counts of m prompts.
    alpha : float
        One minus the level.
    draws : int
        Simulated data sets for each grid point of the interval.
    permutations, exceedances : int
        Most draws of the permutation test, and the exceedances at which it stops.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).
    min_coverage, min_valid
        Below this mean sample coverage, or with fewer valid samples on a prompt, value and limits are None
        and only ``p`` and ``null`` are given.

    Returns
    -------
    Estimate
        Bits, 0 to log2 m. Nothing but the reason with fewer than 2 prompts.

    Examples
    --------
    >>> estimate = promptability([[40, 10], [12, 48]], permutations=199)
    >>> estimate.low > 0.05 and estimate.p < 0.05
    True
    """
    n = as_counts(counts, 2)
    if n.shape[0] < 2:
        return Estimate.unknown("one prompt: promptability is unknown")
    sizes = n.sum(axis=1)
    if n.shape[1] == 0 or np.any(sizes == 0):
        return Estimate.unknown("a prompt has no valid samples")
    short = large_samples.enough(sizes, n.shape[1])
    test = (short_permutation_test if short else permutation_test)(
        n[None], "js", draws=permutations, exceedances=exceedances, seed=seed, key=key, threads=threads
    )
    seen = float(coverage(n).mean())
    reason = None
    if int(sizes.min()) < min_valid:
        reason = f"a prompt has {int(sizes.min())} valid samples, {min_valid} are needed"
    elif seen < min_coverage:
        reason = f"coverage {seen:.2f} is below {min_coverage:g}"
    if reason is not None:
        return Estimate.unknown(reason, null=test.null_mean, p=test.p)
    return js_interval(
        n[None],
        alpha=alpha,
        draws=draws,
        seed=seed,
        key=key,
        threads=threads,
        permutation_p=test.p,
        null=test.null_mean,
    )


def effective_number(bits: Estimate) -> Estimate:
    """Return 2^I of a promptability: the effective number of different distributions, 1 to m.

    Examples
    --------
    >>> effective_number(Estimate.of_exact(1.0)).value
    2.0
    """
    value, low, high, null = (
        None if x is None else 2.0**x for x in (bits.value, bits.low, bits.high, bits.null)
    )
    return replace(bits, value=value, low=low, high=high, null=null)
