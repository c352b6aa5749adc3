"""How likely permuted labels are to give a statistic as large as the data's, where no draw would."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypedDict, Unpack

import numpy as np

from crystal.ops.resampling import PermutationResult, Statistic, permutation_test
from crystal.statistics.arrays import Counts

NEVER = 1e-9
"""A probability so small that what has it is taken not to happen."""
FIRST_DRAWS = 99
"""Draws that are made before it is asked whether more would change anything."""
_WIDER = 4.0
"""How much longer the tail is taken to be than that of the gamma law with the draws' mean and variance."""
_G_SCALE = 3.0
"""The scale of a gamma law with a longer tail than G of a cut has: chi-squared's is 2."""


class Stream(TypedDict, total=False):
    """The random numbers of a test, and the mass of its retention sets."""

    seed: int
    key: int
    threads: int
    mass: float


def short_permutation_test(
    counts: Counts, statistic: Statistic, *, draws: int, exceedances: int, **stream: Unpack[Stream]
) -> PermutationResult:
    """Return what :func:`crystal.ops.resampling.permutation_test` does, from 99 draws where they tell p.

    If none of these reaches the data, and the data lie so far beyond them that none of all ``draws`` would,
    then p is 1/(draws + 1), as after all of them. The result's ``draws`` and null are of the draws made.

    Examples
    --------
    >>> found = short_permutation_test(np.array([[[300, 30], [30, 300]]]), "g", draws=19_999, exceedances=20)
    >>> found.draws, found.p
    (99, 5e-05)
    """
    if draws > FIRST_DRAWS:
        first = permutation_test(counts, statistic, draws=FIRST_DRAWS, exceedances=exceedances, **stream)
        if first.draws < FIRST_DRAWS:
            return first
        if first.greater + first.equal == 0 and unreached(draws, _log_tail(first, counts.shape[1] - 1)):
            return replace(first, p=1.0 / (draws + 1))
    return permutation_test(counts, statistic, draws=draws, exceedances=exceedances, **stream)


def _log_tail(null: PermutationResult, cuts: int) -> float:
    """Bound the logarithm of the probability of the observed statistic: Chernoff, of a longer gamma law.

    A sum of G is about chi-squared, a gamma law of scale 2 = variance / mean; the largest of many has a
    smaller variance than its tail would say, hence the margin. Of the largest over cuts the mean is no
    smaller than each one's, and any of them may be the one.
    """
    mean, variance = null.null_mean, null.null_sd**2
    if mean <= 0.0 or variance <= 0.0 or null.observed <= mean:
        return 0.0

    def tail(scale: float) -> float:
        shape = mean / scale
        return shape - null.observed / scale + shape * math.log(null.observed / mean)

    tails = [tail(_WIDER * variance / mean)]
    if null.position > 0:
        tails.append(math.log(cuts) + tail(_G_SCALE))
    return min(tails)


def unreached(draws: int, log_probability: float) -> bool:
    """Whether none of so many draws would do what one of them does with a probability, given its logarithm.

    Examples
    --------
    >>> unreached(19_999, -40.0), unreached(19_999, -20.0)
    (True, False)
    """
    return math.log(draws) + log_probability < math.log(NEVER)


def log_reach(counts: Counts) -> float:
    """Bound the logarithm of the probability that permuted labels give a G as large as the data's.

    With c = G / (2 groups), where G/2 = sum n_g KL(p_g || p), and v the options seen less 1, summed over
    blocks: v - c + v ln(c / v). A group's samples are drawn from its block's without replacement, so E exp(t
    n KL) is at most what it is with replacement (Hoeffding 1963, theorem 4: KL is convex), and that is at
    most (1 - t)^-(K - 1) (Agrawal 2020, "Finite-sample concentration of the multinomial in relative
    entropy"). Holder's inequality puts the groups together; Markov's, with the best t, gives the bound.

    Examples
    --------
    >>> log_reach(np.array([[[900, 100], [100, 900]]])) < -300
    True
    >>> log_reach(np.array([[[50, 50], [51, 49]]]))
    0.0
    """
    table = counts[counts.sum(axis=(1, 2)) > 0].astype(np.float64)
    groups = counts.shape[1]
    whole = table.sum(axis=(1, 2), keepdims=True)
    options = table.sum(axis=1, keepdims=True)
    expected = table.sum(axis=2, keepdims=True) * options / whole
    ratio = np.divide(table, expected, out=np.ones_like(table), where=table > 0)
    reached = float((table * np.log(ratio)).sum()) / groups
    freedom = float((options > 0).sum() - len(table))
    if reached <= freedom or freedom <= 0:
        return 0.0
    bound: float = freedom - reached + freedom * math.log(reached / freedom)
    return bound
