"""The omnibus test skips draws only where none could reach the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from crystal.ops.resampling import permutation_test
from crystal.phases.permuting import omnibus_p, permuted
from crystal.phases.settings import Settings
from crystal.statistics.reach import FIRST_DRAWS, log_reach, short_permutation_test


def _g(tables: np.ndarray) -> np.ndarray:
    n = tables.astype(np.float64)
    expected = (
        n.sum(axis=-1, keepdims=True) * n.sum(axis=-2, keepdims=True) / n.sum(axis=(-2, -1), keepdims=True)
    )
    return 2 * (n * np.log(np.where(n > 0, n, 1) / expected)).sum(axis=(-2, -1))


@pytest.mark.parametrize(("first", "second", "option"), [(20, 20, 20), (15, 40, 22), (60, 60, 10)])
def test_the_bound_is_one(first: int, second: int, option: int) -> None:
    """Against the exact law of G: all 2 x 2 tables with the same margins."""
    x = np.arange(max(0, option - second), min(first, option) + 1)
    tables = np.stack([np.stack([x, first - x], -1), np.stack([option - x, second - option + x], -1)], -2)
    g, mass = _g(tables), hypergeom.pmf(x, first + second, option, first)
    for table, value in zip(tables, g, strict=True):
        exact = float(mass[g >= value - 1e-9].sum())
        assert math.log(exact) <= log_reach(table[None]) + 1e-9


def test_blocks_and_empty_groups_count() -> None:
    far = np.array([[[900, 100], [100, 900]]])
    assert log_reach(np.concatenate([far, far])) < log_reach(far)
    nothing = np.array([[[5, 5], [0, 0]], [[0, 0], [0, 0]]])
    assert log_reach(nothing) == 0.0
    assert log_reach(np.concatenate([far, nothing])) >= log_reach(far)


def test_p_is_that_of_the_draws_which_were_not_made() -> None:
    settings = Settings(draws=999, threads=1)
    table = np.array([[[300, 20, 5], [150, 90, 60]], [[300, 20, 5], [150, 90, 60]]])
    assert log_reach(table) < -40
    assert omnibus_p(table, settings, 1) == permuted(table, "g", settings, 1).p == 1 / 1000


def test_p_of_a_small_difference_is_drawn() -> None:
    settings = Settings(draws=999, threads=1)
    table = np.array([[[30, 20, 5], [25, 20, 9]]])
    assert omnibus_p(table, settings, 1) == permuted(table, "g", settings, 1).p


@pytest.mark.parametrize("statistic", ["g", "js", "max_cut_g"])
@pytest.mark.parametrize("apart", [0.0, 0.02, 0.06, 0.1, 0.9])
def test_a_short_test_has_the_p_of_all_draws(statistic: str, apart: float) -> None:
    random = np.random.default_rng(round(100 * apart))
    shared, own = random.dirichlet(np.ones(4), (6, 1)), random.dirichlet(np.ones(4), (6, 4))
    counts = random.multinomial(200, (1 - apart) * shared + apart * own).astype(np.int64)
    run = {"draws": 1_999, "exceedances": 20, "key": 5, "threads": 1}
    short = short_permutation_test(counts, statistic, **run)
    whole = permutation_test(counts, statistic, **run)
    assert short.p == whole.p
    if apart == 0.9:
        assert short.draws == FIRST_DRAWS
    assert short.null_mean == pytest.approx(whole.null_mean, rel=0.1)


@pytest.mark.parametrize("apart", [0.05, 0.08, 0.12, 0.2])
@pytest.mark.parametrize("shape", [(1, 12, 2), (40, 12, 8), (6, 30, 30)])
def test_a_short_test_of_cuts_has_the_p_of_all_draws(shape: tuple[int, int, int], apart: float) -> None:
    blocks, rungs, options = shape
    random = np.random.default_rng(blocks)
    before, after = random.dirichlet(np.ones(options), (2, blocks, 1))
    later = np.arange(rungs)[:, None] >= rungs // 2
    counts = random.multinomial(20, np.where(later, (1 - apart) * before + apart * after, before))
    run = {"draws": 1_999, "exceedances": 20, "key": 5, "threads": 1}
    short = short_permutation_test(counts.astype(np.int64), "max_cut_g", **run)
    assert short.p == permutation_test(counts.astype(np.int64), "max_cut_g", **run).p
