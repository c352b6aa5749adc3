"""Permutation tests as the settings want them."""

from __future__ import annotations

from crystal.ops.resampling import PermutationResult, Statistic, permutation_test
from crystal.phases.settings import Settings
from crystal.states.tables import Counts
from crystal.statistics.reach import log_reach, short_permutation_test, unreached

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
    short: bool = False,
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
    short : bool
        Make 99 draws where no other would change p.
    """
    test = short_permutation_test if short else permutation_test
    return test(
        counts,
        statistic,
        draws=settings.draws if most is None else min(settings.draws, most),
        exceedances=settings.exceedances,
        seed=settings.seed,
        key=key,
        threads=settings.threads,
        mass=settings.retention_mass if mass is None else mass,
    )


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
    if unreached(settings.draws, log_reach(counts)):
        return 1.0 / (settings.draws + 1)
    return permuted(counts, "g", settings, key, short=True).p
