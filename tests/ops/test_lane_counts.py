"""Tables of many samples and few cells: one hypergeometric draw a cell, sixteen replicates side by side."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from crystal.ops.core import load
from crystal.ops.resampling import permutation_test, permute_counts

MARK = [0x63727973, 0x74616C00]
SLOPE, OFFSET = 2 * math.sqrt(2 / math.e), 3 - 2 * math.sqrt(3 / math.e)


def log_weights(good: int, total: int, taken: int, k: np.ndarray) -> np.ndarray:
    parts = (k, good - k, taken - k, total - good - taken + k)
    return np.asarray(-sum(special.gammaln(part + 1.0) for part in parts))


def hat(good: int, total: int, taken: int) -> tuple[float, float, int]:
    """Centre and width of the ratio of uniforms, and the mode."""
    share = good / max(total, 1)
    mean = taken * share
    variance = (total - taken) * mean * (1 - share) / max(total - 1, 1)
    width = SLOPE * math.sqrt(variance + 0.5) + OFFSET
    return mean + 0.5, width, (taken + 1) * (good + 1) // (total + 2)


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 5, 7, 10, 14, 20, 28])
def test_the_hat_lies_above_every_small_law(total: int) -> None:
    """Where sqrt(weight / mode's) |x - centre| exceeds half the width, the draw would be wrong."""
    for good in range(total + 1):
        for taken in range(total + 1):
            k = np.arange(max(0, taken - total + good), min(good, taken) + 1)
            centre, width, mode = hat(good, total, taken)
            weights = log_weights(good, total, taken, k)
            assert weights[mode - k[0]] >= weights.max() - 1e-9
            reach = np.maximum(abs(k - centre), abs(k + 1 - centre))
            root = np.exp((weights - log_weights(good, total, taken, np.array([mode]))) / 2)
            assert (reach * root).max() <= width / 2


@pytest.mark.parametrize("total", [100, 1000, 16_000])
def test_the_hat_lies_above_large_laws(total: int) -> None:
    rng = np.random.default_rng(total)
    for good, taken in rng.integers(0, total + 1, size=(300, 2)).tolist():
        k = np.arange(max(0, taken - total + good), min(good, taken) + 1)
        centre, width, mode = hat(good, total, taken)
        reach = np.maximum(abs(k - centre), abs(k + 1 - centre))
        root = np.exp(
            (log_weights(good, total, taken, k) - log_weights(good, total, taken, np.array([mode]))) / 2
        )
        assert (reach * root).max() <= width / 2


def uniform(low: int, high: int) -> float:
    return (2 * ((low | high << 32) >> 12) + 1) * 2.0**-53


def drawn_by_hand(good: int, total: int, taken: int, words: list[list[int]]) -> tuple[int, int]:
    """The first candidate of the blocks that is accepted, and how many were looked at."""
    centre, width, mode = hat(good, total, taken)
    low, high = max(0, taken - total + good), min(good, taken)
    for tried, block in enumerate(words):
        u, v = uniform(*block[:2]), uniform(*block[2:])
        x = centre + width * (v - 0.5) / u
        if low <= x < high + 1:
            k = math.floor(x)
            weights = log_weights(good, total, taken, np.array([k, mode]))
            if 2 * math.log(u) <= weights[0] - weights[1]:
                return k, tried + 1
    raise AssertionError("no candidate was accepted")


@pytest.mark.parametrize(
    "table",
    [
        [[300, 200, 100], [100, 250, 90]],
        [[400, 1, 300], [100, 0, 500], [300, 0, 2]],
        [[90, 400], [300, 300], [1, 0], [700, 20]],
        [[1500, 2000, 700], [3000, 1, 2000], [1000, 900, 1100]],
    ],
)
def test_tables_are_those_made_by_hand(table: list[list[int]]) -> None:
    core, counts, seed, key, draws = load(), np.array(table), 12, 34, 40
    derived = core.philox([seed, 0, key, 0], MARK)[:2]
    drawn = permute_counts([table], draws=draws, seed=seed, key=key, threads=1)[:, 0]
    most = 0
    for replicate in range(draws):
        left, position = counts.sum(axis=0), 0
        for group in counts.sum(axis=1)[:-1].tolist():
            total, taken, row = int(left.sum()), group, []
            for good in left[:-1].tolist():
                words = [core.philox([position, 0, replicate, 0], derived)]
                words += [
                    core.philox([8 * position, 2**31 + (again << 16), replicate, 0], derived)
                    for again in range(20)
                ]
                cell, tried = drawn_by_hand(good, total, taken, words)
                row.append(cell)
                total, taken, position, most = total - good, taken - cell, position + 1, max(most, tried)
            row.append(taken)
            assert drawn[replicate, counts.sum(axis=1)[:-1].tolist().index(group)].tolist() == row
            left = left - row
        assert drawn[replicate, -1].tolist() == left.tolist()
    assert most > 2  # a candidate after the first was needed


SHAPES = [(2, 3, 1000), (2, 9, 1000), (3, 2, 1000), (4, 4, 400), (8, 2, 1000), (8, 10, 1000)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("even", [True, False])
def test_cells_are_hypergeometric(shape: tuple[int, int, int], even: bool) -> None:
    """The law of each cell by chi-square, and of their joint G beside SciPy's tables."""
    groups, options, size = shape
    rng = np.random.default_rng(list(shape))
    law = np.ones(options) / options if even else rng.dirichlet(np.ones(options))
    counts = rng.multinomial(size, law, size=groups)
    draws = 20_000
    ours = permute_counts(counts[None], draws=draws, seed=6, threads=1)[:, 0]
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    assert (ours.sum(axis=2) == rows).all()
    assert (ours.sum(axis=1) == columns).all()
    p_values = []
    for g in range(groups):
        for k in range(options):
            if not 0 < columns[k] < columns.sum():
                continue
            cell = stats.hypergeom(columns.sum(), columns[k], rows[g])
            ends = np.unique(cell.ppf(np.linspace(0, 1, 21)[1:-1]))
            cumulative = np.concatenate([[0.0], cell.cdf(ends), [1.0]])
            kept = np.diff(cumulative) > 1e-12
            seen = np.bincount(np.searchsorted(ends, ours[:, g, k]), minlength=len(ends) + 1)
            assert seen[~kept].sum() == 0
            expected = np.diff(cumulative)[kept] * draws
            chi = ((seen[kept] - expected) ** 2 / expected).sum()
            if kept.sum() > 1:
                p_values.append(stats.chi2.sf(chi, kept.sum() - 1))
    assert min(p_values) > 1e-3 / len(p_values)
    theirs = stats.random_table(rows, columns).rvs(size=draws, random_state=2, method="patefield")
    parts = [
        np.where(tables > 0, tables * np.log(np.maximum(tables, 1)), 0.0).sum(axis=(1, 2))
        for tables in (ours, theirs)
    ]
    assert stats.ks_2samp(*parts, method="asymp").pvalue > 1e-3


@pytest.mark.parametrize("name", ["g", "js", "max_cut_g"])
def test_large_blocks_give_uniform_p_and_the_same_bytes(name: str) -> None:
    rng = np.random.default_rng(8)
    values = []
    for trial in range(300):
        counts = np.stack([rng.multinomial([700, 900, 800], [0.5, 0.3, 0.2]) for _ in range(2)])
        result = permutation_test(counts, name, draws=99, exceedances=100, seed=trial, threads=1)  # type: ignore[arg-type]
        values.append((result.greater + rng.uniform() * (1 + result.equal)) / 100)
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    runs = [
        permutation_test(counts, name, draws=5000, exceedances=6000, seed=1, threads=threads)  # type: ignore[arg-type]
        for threads in (1, 2, 5)
    ]
    assert runs[0] == runs[1] == runs[2]
