"""Permutation tests as the settings want them."""

from __future__ import annotations

import math

import numpy as np

from crystal.ops.resampling import PermutationResult, Statistic, permutation_test
from crystal.phases.settings import Settings
from crystal.states.tables import Counts

SECONDARY_DRAWS = 999
"""Most draws of the tests beside the omnibus test."""


def permuted(
    counts: Counts,
    statistic: Statistic,
    settings: Settings,
    key: int,
    *,
    most: int | None = None,
    mass: float | None = None,
) -> PermutationResult:
    """Test int64 [B, G, K] with the settings' draws, stop, seed and threads.

    Parameters
    ----------
    counts : ndarray, int64 [B, G, K]
        Blocks, groups and options.
    statistic : str
        See :func:`crystal.ops.resampling.permutation_test`.
    settings : Settings
    key : int
        Stream of the random numbers.
    most : int, optional
        Fewer draws than the settings allow, for tests that gate no verdict.
    mass : float, optional
        Share that a retention set holds; that of the settings by default.
    """
    return permutation_test(
        counts,
        statistic,
        draws=settings.draws if most is None else min(settings.draws, most),
        exceedances=settings.exceedances,
        seed=settings.seed,
        key=key,
        threads=settings.threads,
        mass=settings.retention_mass if mass is None else mass,
    )


_NEVER = 1e-9


def omnibus_p(counts: Counts, settings: Settings, key: int) -> float:
    """Test with statistic ``g`` whether anything differs; return p.

    Where G is so large that no draw would reach it, none is made and p is that of all of them falling short.

    Parameters
    ----------
    counts : ndarray, int64 [B, G, K]
        Blocks, groups and options.
    settings : Settings
    key : int
        Stream of the random numbers.
    """
    if math.log(settings.draws) + log_reach(counts) < math.log(_NEVER):
        return 1.0 / (settings.draws + 1)
    return permuted(counts, "g", settings, key).p


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
