"""Permutation tests and simulations: distributions, exact values, ties, determinism, refusals."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from crystal.errors import InputError, SettingsError
from crystal.ops import resampling_reference as reference
from crystal.ops.core import load
from crystal.ops.resampling import (
    PermutationResult,
    permutation_test,
    permute_counts,
    simulate,
    simulate_counts,
    split_counts,
    stream_key,
)

NAMES = ("g", "js", "max_cut_g", "retention")


def tables_with_margins(rows: tuple[int, ...], columns: tuple[int, ...]) -> dict[tuple[int, ...], float]:
    """All tables with the margins and their probability when labels are permuted."""
    weights: dict[tuple[int, ...], float] = {}

    def fill(cells: tuple[int, ...], left: tuple[int, ...], row: int) -> None:
        if row == len(rows) - 1:
            table = cells + left
            weights[table] = 1.0 / math.prod(math.factorial(n) for n in table)
            return
        for choice in itertools.product(*(range(n + 1) for n in left)):
            if sum(choice) == rows[row]:
                rest = tuple(a - b for a, b in zip(left, choice, strict=True))
                fill(cells + choice, rest, row + 1)

    fill((), columns, 0)
    total = sum(weights.values())
    return {table: weight / total for table, weight in weights.items()}


def chi_square_p(seen: np.ndarray, expected: np.ndarray) -> float:
    """p of Pearson's test, cells that expect fewer than 5 put together."""
    small = expected < 5
    seen = np.append(seen[~small], seen[small].sum())
    expected = np.append(expected[~small], expected[small].sum())
    keep = expected > 0
    statistic = ((seen[keep] - expected[keep]) ** 2 / expected[keep]).sum()
    return float(stats.chi2.sf(statistic, keep.sum() - 1)) if keep.sum() > 1 else float(statistic == 0)


# --- random numbers


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_words(counter: list[int], key: list[int], words: list[int]) -> None:
    assert list(load().philox(counter, key)) == words


def test_stream_is_philox_of_seed_key_replicate_and_position() -> None:
    core = load()
    seed, key, replicate = 2**63 + 5, 2**40 + 3, 2**33 + 7
    derived = core.philox([seed % 2**32, seed >> 32, key % 2**32, key >> 32], [0x63727973, 0x74616C00])[:2]
    blocks = [core.philox([at, 0, replicate % 2**32, replicate >> 32], derived) for at in range(18)]
    head = [*blocks[0], *blocks[1]]
    rest = [blocks[first + lane][word] for first in (2, 10) for word in range(4) for lane in range(8)]
    assert core.philox_words(seed, key, replicate, 72).tolist() == head + rest


def test_stream_keys_tell_words_apart_and_are_stable() -> None:
    keys = [
        stream_key("a", "b"),
        stream_key("ab"),
        stream_key("a", "b", ""),
        stream_key("1"),
        stream_key(1),
        stream_key(-1),
        stream_key(),
        stream_key("\ud800"),
        stream_key("ü"),
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)
    assert stream_key("gate", "coin", 3) == stream_key("gate", "coin", np.int64(3))
    with pytest.raises(SettingsError, match="words"):
        stream_key(1.5)  # type: ignore[arg-type]


# --- random tables


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ((3, 3), (2, 2, 2)),
        ((1, 5), (3, 2, 1)),
        ((2, 4, 2), (3, 3, 2)),
        ((0, 3, 2), (1, 4)),
        ((1, 1, 1, 1), (2, 1, 1)),
        ((2, 7), (9,)),
        ((4, 1, 3), (0, 5, 3)),
        ((5, 7), (4, 8)),
        ((9, 1), (2, 8)),
        ((3, 1, 2, 4), (6, 4)),
        ((2, 0, 1, 3), (3, 2, 1)),
    ],
)
def test_every_table_comes_as_often_as_it_should(rows: tuple[int, ...], columns: tuple[int, ...]) -> None:
    law = tables_with_margins(rows, columns)
    counts = np.array(next(iter(law)), dtype=np.int64).reshape(1, len(rows), len(columns))
    draws = 20_000
    drawn = permute_counts(counts, draws=draws, seed=3, key=stream_key(str(rows)))
    seen = dict.fromkeys(law, 0)
    for table in drawn.reshape(draws, -1).tolist():
        seen[tuple(table)] += 1
    assert chi_square_p(np.array(list(seen.values())), np.array(list(law.values())) * draws) > 1e-3


@pytest.mark.parametrize("first", [1, 3, 8, 20, 33, 64, 97, 126, 199])
def test_cells_of_two_groups_are_hypergeometric_at_every_share(first: int) -> None:
    """Small, middling and large shares take different numbers of random bits for each sample."""
    total, option = 200, 70
    counts = np.zeros((1, 2, 3), dtype=np.int64)
    counts[0, 0] = [min(first, option), max(first - option, 0), 0]
    counts[0, 1] = np.array([option, 100, 30]) - counts[0, 0]
    if counts.min() < 0:
        counts[0, 0] = [option, 100, first - 170]
        counts[0, 1] = [0, 0, total - first]
    draws = 20_000
    cells = permute_counts(counts, draws=draws, seed=1)[:, 0, 0]
    for k, column in enumerate((70, 100, 30)):
        law = stats.hypergeom(total, column, first).pmf(np.arange(column + 1)) * draws
        assert chi_square_p(np.bincount(cells[:, k], minlength=column + 1), law) > 1e-3


@pytest.mark.parametrize("shape", [(200_000, 300_000, 100_000), (30, 999_000, 400), (500_000, 40, 500_000)])
def test_large_tables_have_hypergeometric_cells(shape: tuple[int, ...]) -> None:
    """So many samples are counted by hypergeometric draws instead of marked one by one."""
    rng = np.random.default_rng(5)
    columns = np.array(shape)
    first = rng.multivariate_hypergeometric(columns, columns.sum() // 3, method="marginals")
    counts = np.stack([first, columns - first])[None].astype(np.int64)
    drawn = permute_counts(counts, draws=4000, seed=2)
    assert (drawn.sum(axis=3) == counts.sum(axis=2)).all()
    assert (drawn.sum(axis=2) == counts.sum(axis=1)).all()
    for k in range(3):
        law = stats.hypergeom(columns.sum(), columns[k], first.sum())
        steps = law.ppf([0.1, 0.25, 0.5, 0.75, 0.9])
        at_most = (drawn[:, 0, 0, k, None] <= steps).mean(axis=0)
        assert np.abs(at_most - law.cdf(steps)).max() < 4 * math.sqrt(0.25 / 4000)


counts_of_tables = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5), elements=st.integers(0, 9)
)


@given(counts=counts_of_tables, seed=st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_permuted_tables_keep_both_margins(counts: np.ndarray, seed: int) -> None:
    drawn = permute_counts(counts, draws=3, seed=seed)
    assert drawn.min() >= 0
    assert (drawn.sum(axis=2) == counts.sum(axis=1)).all()
    assert (drawn.sum(axis=3) == counts.sum(axis=2)).all()


# --- the permutation test


@given(counts=counts_of_tables, name=st.sampled_from(NAMES), mass=st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
@settings(max_examples=300, deadline=None)
def test_the_observed_statistic_is_the_plain_one(counts: np.ndarray, name: str, mass: float) -> None:
    if name == "retention":
        counts = np.concatenate([counts, counts[:, ::-1, ::-1]], axis=1)[:, :2]
    result = permutation_test(counts, name, draws=1, mass=mass, threads=1)  # type: ignore[arg-type]
    assert result.observed == pytest.approx(reference.statistic(counts, name, mass), abs=1e-9)


def exact_p(counts: np.ndarray, name: str) -> tuple[float, float]:
    """P(statistic > observed) and P(= observed) over all tables of all blocks."""
    laws = [
        tables_with_margins(tuple(block.sum(axis=1).tolist()), tuple(block.sum(axis=0).tolist()))
        for block in counts
    ]
    observed = reference.statistic(counts, name)
    greater = equal = 0.0
    for choice in itertools.product(*(law.items() for law in laws)):
        tables = np.array([table for table, _ in choice]).reshape(counts.shape)
        weight = math.prod(weight for _, weight in choice)
        value = reference.statistic(tables, name)
        if abs(value - observed) < 1e-9:
            equal += weight
        elif value > observed:
            greater += weight
    return greater, equal


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "counts",
    [
        [[[3, 1, 0], [1, 1, 3]]],
        [[[5, 0], [2, 2]], [[1, 2], [2, 0]]],
        [[[2, 2, 1], [0, 0, 1]]],
        [[[4, 1], [1, 4]], [[3, 3], [3, 3]]],
    ],
)
def test_p_values_are_those_of_all_tables(counts: list[list[list[int]]], name: str) -> None:
    table = np.array(counts, dtype=np.int64)
    greater, equal = exact_p(table, name)
    draws = 20_000
    result = permutation_test(table, name, draws=draws, exceedances=draws + 1, seed=11)  # type: ignore[arg-type]
    assert result.draws == draws
    assert result.greater == pytest.approx(greater * draws, abs=4 * math.sqrt(draws / 4))
    assert result.equal == pytest.approx(equal * draws, abs=4 * math.sqrt(draws / 4))
    assert result.p == (result.greater + result.equal + 1) / (draws + 1)


@pytest.mark.parametrize("name", ["g", "js", "max_cut_g"])
def test_p_values_of_three_groups_are_those_of_all_tables(name: str) -> None:
    table = np.array([[[3, 0, 1], [1, 2, 0], [0, 1, 1]]], dtype=np.int64)
    greater, equal = exact_p(table, name)
    result = permutation_test(table, name, draws=20_000, exceedances=20_001, seed=4)  # type: ignore[arg-type]
    assert result.greater / 20_000 == pytest.approx(greater, abs=0.015)
    assert result.equal / 20_000 == pytest.approx(equal, abs=0.015)


@pytest.mark.parametrize(
    "shape",
    [(2, 2, 4), (3, 2, 2), (2, 4, 2), (1, 5, 3), (2, 3, 6), (2, 2, 30), (1, 1, 3)],
)
@pytest.mark.parametrize("size", [9, 70])
def test_the_null_moments_are_those_of_the_permuted_tables(shape: tuple[int, int, int], size: int) -> None:
    """Both draw the same tables, though the test makes none where it can do without."""
    rng = np.random.default_rng(list(shape))
    sizes = size + rng.integers(0, 4, size=shape[:2])
    counts = np.stack([[rng.multinomial(n, rng.dirichlet(np.ones(shape[2]))) for n in row] for row in sizes])
    drawn = permute_counts(counts, draws=300, seed=9, key=1)
    for name in NAMES:
        if name == "retention" and shape[1] != 2:
            continue
        values = [reference.statistic(tables, name) for tables in drawn]
        result = permutation_test(counts, name, draws=300, exceedances=301, seed=9, key=1)  # type: ignore[arg-type]
        assert result.null_mean == pytest.approx(np.mean(values), abs=1e-9)
        assert result.null_sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
        observed = reference.statistic(counts, name)
        assert result.greater + result.equal == np.sum(np.array(values) >= observed - 1e-9)


def test_tables_with_equal_g_tie_exactly() -> None:
    """2^2 2^2 2^2 2^2 = 4^4, so six tables share one G that float64 sums of n ln n tell apart."""
    counts = np.array([[[4, 2, 2, 1], [0, 2, 2, 7]]], dtype=np.int64)
    law = tables_with_margins((9, 11), (4, 4, 4, 8))
    observed = math.prod(n**n for n in counts.ravel().tolist())
    equal = sum(weight for table, weight in law.items() if math.prod(n**n for n in table) == observed)
    greater = sum(weight for table, weight in law.items() if math.prod(n**n for n in table) > observed)
    draws = 50_000
    result = permutation_test(counts, "g", draws=draws, exceedances=draws + 1, seed=2)
    assert result.equal == pytest.approx(equal * draws, abs=4 * math.sqrt(equal * draws))
    assert result.greater == pytest.approx(greater * draws, abs=4 * math.sqrt(greater * draws))


def test_the_best_cut_is_named() -> None:
    rng = np.random.default_rng(0)
    early, late = [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]
    counts = np.stack(
        [np.stack([rng.multinomial(40, early if g < 3 else late) for g in range(5)]) for _ in range(4)]
    )
    result = permutation_test(counts, "max_cut_g", draws=999)
    assert (result.position, result.p) == (3, 1 / 1000)


def test_draws_stop_at_the_exceedances_and_a_longer_run_begins_with_the_shorter() -> None:
    counts = np.array([[[6, 5, 4], [5, 6, 4]]], dtype=np.int64)
    stopped = permutation_test(counts, "g", draws=10_000, exceedances=20)
    assert stopped.greater + stopped.equal == 20
    assert stopped.draws < 200
    assert stopped.p == 21 / (stopped.draws + 1)
    whole = permutation_test(counts, "g", draws=stopped.draws, exceedances=10_000)
    assert whole == stopped
    shorter = permutation_test(counts, "g", draws=stopped.draws - 1, exceedances=10_000)
    assert shorter.greater + shorter.equal == 19


def test_the_randomised_p_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(7)
    for name in NAMES:
        values = []
        for trial in range(400):
            counts = np.stack([rng.multinomial(15, [0.4, 0.3, 0.2, 0.1], size=2) for _ in range(2)])
            result = permutation_test(counts, name, draws=199, exceedances=200, seed=trial, threads=1)  # type: ignore[arg-type]
            values.append((result.greater + rng.uniform() * (1 + result.equal)) / (result.draws + 1))
        assert stats.kstest(values, "uniform").pvalue > 1e-3, name


def test_nothing_to_permute_gives_p_one() -> None:
    for shape in ((1, 2, 3), (0, 2, 3), (2, 0, 3), (2, 2, 0), (3, 1, 4), (2, 2, 1)):
        for filling in (0, 5):
            for name in NAMES:
                if name == "retention" and shape[1] != 2:
                    continue
                counts = np.full(shape, filling, dtype=np.int64)
                if shape == (1, 2, 3) and filling:
                    counts[0, 1] = 0  # an empty group
                result = permutation_test(counts, name, draws=50)  # type: ignore[arg-type]
                assert result.p == 1.0, (shape, filling, name)
                assert result.observed == 0.0
                assert (result.greater, result.null_sd) == (0, 0.0)


def test_a_block_with_an_empty_group_adds_nothing() -> None:
    full = np.array([[[6, 2, 1], [1, 3, 5]]], dtype=np.int64)
    hollow = np.array([[[0, 0, 0], [4, 4, 1]]], dtype=np.int64)
    for name in NAMES:
        alone = permutation_test(full, name, draws=300, exceedances=301)  # type: ignore[arg-type]
        both = permutation_test(np.concatenate([hollow, full]), name, draws=300, exceedances=301)  # type: ignore[arg-type]
        assert both == alone


def test_retention_by_hand() -> None:
    before, after = [6, 3, 1], [2, 2, 6]
    # Nine are left without any one sample, and the set must hold 8.1 of them, so 9. Without a sample of the
    # first two options that takes all three: 1 - 1. Without the single one: the first two, 0.4 - 0.
    expected = (9 * (1.0 - 1.0) + 1 * 0.4) / 10
    result = permutation_test([[before, after]], "retention", draws=1)
    assert result.observed == pytest.approx(-expected, abs=1e-15)


# --- simulation


def test_simulated_counts_are_multinomial_in_every_way_of_drawing() -> None:
    p = np.array([0.35, 0.25, 0.2, 0.15, 0.05, 0.0])
    for n in (1, 7, 60, 145, 2_000, 1_000_000):  # 24 samples an option is where the way changes
        drawn = simulate_counts(p[None], [n], draws=6000, seed=8)[:, 0]
        assert (drawn.sum(axis=1) == n).all()
        assert (drawn[:, 5] == 0).all()
        sd = np.sqrt(n * p * (1 - p))
        assert (np.abs(drawn.mean(axis=0) - n * p) <= 4.5 * sd / math.sqrt(6000)).all()
        covariance = np.cov(drawn.T) / n
        assert np.abs(covariance - (np.diag(p) - np.outer(p, p))).max() < 0.03
        for k in range(5):
            law = stats.binom(n, p[k])
            steps = law.ppf([0.05, 0.25, 0.5, 0.75, 0.95])
            at_most = (drawn[:, k, None] <= steps).mean(axis=0)
            assert np.abs(at_most - law.cdf(steps)).max() < 4 * math.sqrt(0.25 / 6000)


@pytest.mark.parametrize(
    ("n", "p"), [(30, 0.02), (200, 0.3), (400, 0.5), (5_000, 0.001), (1_000_000, 2e-5), (900, 0.97)]
)
def test_binomial_counts_follow_their_law(n: int, p: float) -> None:
    drawn = simulate_counts([[p, 1 - p]], [n], draws=20_000, seed=5)[:, 0, 0]
    law = stats.binom(n, p)
    low, high = int(law.ppf(1e-9)), int(law.ppf(1 - 1e-9))
    seen = np.bincount(drawn - low, minlength=high - low + 1)
    assert chi_square_p(seen, law.pmf(np.arange(low, high + 1)) * 20_000) > 1e-3


def test_tiny_probabilities_keep_their_size() -> None:
    p = np.array([1.0 - 3e-6, 1e-6, 2e-6, 1e-300])
    drawn = simulate_counts(np.stack([p, p[::-1]]), [1_000_000, 1_000_000], draws=4000)
    means = drawn.mean(axis=0)
    assert means[0, 1:3] == pytest.approx([1.0, 2.0], abs=0.1)
    assert means[1, 1:3] == pytest.approx([2.0, 1.0], abs=0.1)
    assert means[0, 3] == means[1, 0] == 0.0
    wide = np.full(2000, 1 / 2000)
    assert simulate_counts([wide], [20], draws=50).sum(axis=2).tolist() == [[20]] * 50


def test_simulated_statistics_are_those_of_simulated_counts() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(6), size=3)
    sizes = np.array([20, 35, 50])
    counts = simulate_counts(p, sizes, draws=200, seed=4, key=9)
    for name in ("js", "g", "entropy"):
        values = simulate(p[None, None], sizes[None], name, draws=200, seed=4, key=9)[0]  # type: ignore[arg-type]
        if name == "entropy":
            shares = counts / sizes[:, None]
            expected = [np.mean([reference.entropy_bits(row) for row in table]) for table in shares]
        else:
            expected = [reference.statistic(table[None], name) for table in counts]
        assert values == pytest.approx(expected, abs=1e-9)


def test_a_point_alone_gives_its_row_and_empty_groups_are_left_out() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(4), size=(3, 2, 2))
    sizes = np.array([[10, 12], [0, 7]])
    for name in ("js", "g", "entropy"):
        whole = simulate(p, sizes, name, draws=40)  # type: ignore[arg-type]
        assert (simulate(p[1:2], sizes, name, draws=40)[0] == whole[1]).all()  # type: ignore[arg-type]
        if name == "js":
            assert (simulate(p[:, :1], sizes[:1], name, draws=40) == whole).all()
    assert (simulate(p, np.zeros((2, 2), dtype=np.int64), "js", draws=3) == 0).all()


def test_halves_have_the_right_size_and_law() -> None:
    counts = np.array([[[5, 3, 0], [1, 0, 0]], [[4, 4, 4], [0, 0, 0]]], dtype=np.int64)
    halves = split_counts(counts, splits=20_000, seed=6)
    assert halves.shape == (20_000, 2, 2, 3)
    assert ((halves >= 0) & (halves <= counts)).all()
    assert (halves[:, 0, 0].sum(axis=-1) == 4).all()
    law = stats.hypergeom(8, 5, 4).pmf(np.arange(6)) * 20_000
    assert chi_square_p(np.bincount(halves[:, 0, 0, 0], minlength=6), law) > 1e-3
    coin = halves[:, 0, 1, 0].mean()
    assert coin == pytest.approx(0.5, abs=0.015)
    odd = split_counts([[2, 1]], splits=20_000)
    assert odd.sum(axis=-1).mean() == pytest.approx(1.5, abs=0.015)
    assert odd.mean(axis=(0, 1)) == pytest.approx([1.0, 0.5], abs=0.02)


# --- the same bytes


def test_results_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(2)
    counts = rng.multinomial(60, np.ones(12) / 12, size=(6, 2))
    p = rng.dirichlet(np.ones(12), size=(2, 6, 2))
    sizes = counts.sum(axis=2)

    def everything(threads: int) -> list[object]:
        tests: list[object] = [
            permutation_test(counts, name, draws=3000, exceedances=limit, seed=1, threads=threads)  # type: ignore[arg-type]
            for name in NAMES
            for limit in (20, 4000)
        ]
        arrays = [
            simulate(p, sizes, "js", draws=3000, threads=threads),
            permute_counts(counts, draws=500, threads=threads),
            split_counts(counts, splits=500, threads=threads),
            simulate_counts(p[0, 0], sizes[0], draws=3000, threads=threads),
        ]
        return tests + [array.tobytes() for array in arrays]

    alone = everything(1)
    for threads in (2, 3, 8):
        assert everything(threads) == alone


def test_seed_and_key_choose_the_numbers() -> None:
    counts = np.array([[[10, 10], [10, 10]]])
    runs = [
        permute_counts(counts, draws=30, seed=seed, key=key).tobytes()
        for seed, key in ((0, 0), (1, 0), (0, 1), (2**64 - 1, 2**64 - 1))
    ]
    assert len(set(runs)) == len(runs)


# --- refusals


@pytest.mark.parametrize(
    "counts",
    [
        np.ones((1, 2, 3)),
        np.ones((1, 2, 3), dtype=np.int32),
        np.ones((1, 2, 3), dtype=bool),
        np.ones((2, 3), dtype=np.int64),
        [[[1, 2], [3]]],
        [[["a"]]],
        -np.ones((1, 2, 3), dtype=np.int64),
        np.full((1, 2, 3), 2**62),
        np.full((1, 2, 3), 2**23),
        None,
    ],
)
def test_counts_of_another_form_are_refused(counts: object) -> None:
    with pytest.raises(InputError, match="counts"):
        permutation_test(counts, "g")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="counts"):
        permute_counts(counts, draws=1)  # type: ignore[arg-type]
    if np.ndim(counts if not isinstance(counts, list) else 0) != 2:
        with pytest.raises(InputError, match="counts"):
            split_counts(counts, splits=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [[0.5, np.nan], [np.inf, 0.0], [-0.1, 1.1], [0.5, 0.4], [0.0, 0.0], [1, 0], []],
)
def test_probabilities_of_another_form_are_refused(row: list[float]) -> None:
    with pytest.raises(InputError, match="probabilities"):
        simulate_counts(np.array([row]), [5], draws=1)
    with pytest.raises(InputError, match="probabilities"):
        simulate(np.array([[[row]]]), [[5]], "js", draws=1)
    with pytest.raises(InputError, match="probabilities"):
        simulate_counts([[0.5, 0.5]], [5, 5], draws=1)
    assert simulate_counts(np.array([[np.nan, np.nan]]), [0], draws=1).tolist() == [[[0, 0]]]


@pytest.mark.parametrize(
    "settings_",
    [
        {"draws": 0},
        {"draws": 1.5},
        {"exceedances": 0},
        {"seed": -1},
        {"key": 2**64},
        {"threads": -1},
        {"mass": 0.0},
        {"mass": math.nan},
        {"statistic": "chi"},
        {"draws": True},
    ],
)
def test_settings_outside_their_range_are_refused(settings_: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings_))):
        permutation_test([[[1, 2], [3, 4]]], **({"statistic": "g"} | settings_))  # type: ignore[arg-type]


def test_retention_needs_two_groups() -> None:
    with pytest.raises(SettingsError, match="2 groups"):
        permutation_test(np.ones((1, 3, 2), dtype=np.int64), "retention")


def test_arrays_that_are_not_contiguous_are_read_rightly() -> None:
    counts = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    turned = counts.transpose(0, 2, 1)
    assert permutation_test(turned, "g", draws=50) == permutation_test(turned.copy(), "g", draws=50)
    assert isinstance(permutation_test(turned[::-1], "g", draws=50), PermutationResult)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_long_call() -> None:
    program = (
        "import numpy as np; from crystal.ops.resampling import permutation_test\n"
        "print('ready', flush=True)\n"
        "permutation_test(np.full((50, 4, 40), 9), 'g', draws=10**9, exceedances=10**10, threads=2)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        started = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert b"KeyboardInterrupt" in errors
    assert process.returncode == -signal.SIGINT


def test_unequal_small_groups_are_scored_within_their_sizes() -> None:
    """An option with more samples than the smaller group has splits that no draw can reach."""
    counts = np.array([[[0, 0, 4], [25, 5, 6]], [[1, 1, 0], [3, 29, 1]]], dtype=np.int64)
    for name in ("g", "js"):
        result = permutation_test(counts, name, draws=500, exceedances=501, seed=3)  # type: ignore[arg-type]
        values = [reference.statistic(tables, name) for tables in permute_counts(counts, draws=500, seed=3)]
        assert result.null_mean == pytest.approx(np.mean(values), abs=1e-9)
        assert result.greater + result.equal == np.sum(np.array(values) >= result.observed - 1e-9)


def test_sums_that_wrap_are_compared_rightly() -> None:
    """Two million n ln n on a grid of 2^-40 pass 2^63; what permutations change stays far below it."""
    counts = np.array([[[500_000, 500_000], [501_000, 499_000]]] * 3, dtype=np.int64)
    result = permutation_test(counts, "g", draws=400, exceedances=401)
    assert result.observed == pytest.approx(reference.statistic(counts, "g"), rel=1e-6)
    assert result.null_mean == pytest.approx(3.0, abs=0.7)
    assert result.p == pytest.approx(stats.chi2.sf(result.observed, 3), abs=0.08)
