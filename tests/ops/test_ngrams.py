"""N-gram counts by hand, against NumPy, against sums over all draws, and on hostile input."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crystal
from crystal.errors import InputError, SettingsError
from crystal.ops.core import load
from crystal.ops.ngrams import NgramCounts, ngram_counts, ngram_counts_reference, ngram_overlap

Ragged = tuple[npt.NDArray, npt.NDArray[np.int64]]
ROWS = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=30)


def ragged(rows: list[list[int]], dtype: npt.DTypeLike = np.int32) -> Ragged:
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.array([x for row in rows for x in row], dtype), offsets


def same(a: NgramCounts, b: NgramCounts) -> None:
    for name in ("counts", "ngrams", "sample_distinct", "sample_total"):
        x, y = getattr(a, name), getattr(b, name)
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype, name


def samples(rows: int, distinct: int, vocabulary: int, seed: int = 0) -> Ragged:
    rng = np.random.default_rng(seed)
    kinds = [rng.integers(0, vocabulary, rng.poisson(8)).tolist() for _ in range(distinct)]
    return ragged([kinds[k] for k in rng.integers(0, distinct, rows)])


def test_by_hand() -> None:
    found = ngram_counts(*ragged([[7, 8, 7, 8], [8, 7], [9], []]), 2)
    # 78 twice, 87 twice (once in each of two samples); nothing across the ends.
    assert found.counts.tolist() == [2]
    assert found.ngrams.tolist() == [2]
    assert (found.total, found.distinct, found.entropy) == (4, 2, 1.0)
    assert found.sample_distinct.tolist() == [2, 1, 0, 0]
    np.testing.assert_allclose(found.repetition, [1 / 3, 0, math.nan, math.nan])


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@given(
    rows=ROWS,
    dtype=st.sampled_from([np.uint8, np.int16, np.int32, np.uint32, np.int64]),
    lift=st.sampled_from([0, 1, 100, -100, 2**31 - 4, -(2**31)]),
)
def test_any_rows(n: int, rows: list[list[int]], dtype: npt.DTypeLike, lift: int) -> None:
    limits = np.iinfo(dtype)
    lift = 0 if lift < limits.min or lift + 3 > limits.max else lift
    values, offsets = ragged([[x + lift for x in row] for row in rows], dtype)
    same(ngram_counts(values, offsets, n), ngram_counts_reference(values, offsets, n))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("vocabulary", [5, 3_000, 2**31 - 1])
@pytest.mark.parametrize("distinct", [300, 10_000])
def test_both_ways_of_counting_and_any_threads(n: int, vocabulary: int, distinct: int) -> None:
    values, offsets = samples(3_000, distinct, vocabulary)
    one = ngram_counts(values, offsets, n, threads=1)
    same(one, ngram_counts_reference(values, offsets, n))
    same(one, ngram_counts(values, offsets, n, threads=7))


def test_the_measured_duplicate_rate_decides() -> None:
    core = load()
    for distinct, merged in ((300, True), (30_000, False)):
        values, offsets = samples(6_000, distinct, 3_000)
        assert core.ngram_counts(values.view(np.uint8), offsets, 4, 2, 1)[3] is merged


def test_one_long_sample() -> None:
    values = np.random.default_rng(0).integers(0, 40, 300_000).astype(np.int32)
    found = ngram_counts(values, [0, len(values)], 3, threads=2)
    distinct = len(np.unique(values[:-2] * 1600 + values[1:-1] * 40 + values[2:]))
    assert found.distinct == distinct == found.sample_distinct[0]
    assert found.total == len(values) - 2


def test_entropy_is_of_the_counts() -> None:
    values, offsets = samples(500, 400, 30)
    found = ngram_counts(values, offsets, 1)
    share = np.bincount(values) / len(values)
    assert found.entropy == pytest.approx(-np.sum(share[share > 0] * np.log2(share[share > 0])), rel=1e-12)


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 7])
def test_distinct_at_a_budget_is_the_mean_over_all_draws(budget: int) -> None:
    values = [1, 1, 1, 2, 2, 3, 4]
    draws = [len(set(draw)) / budget for draw in itertools.combinations(values, budget)]
    found = ngram_counts(values, [0, 7], 1)
    assert found.distinct_at(budget) == pytest.approx(np.mean(draws), rel=1e-12)


def test_expectation_adjusted_distinct_by_its_formula() -> None:
    found = ngram_counts([1, 1, 2, 3, 1], [0, 5], 1)
    for vocabulary in (3, 10, 50_000):
        expected = vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** 5)
        assert found.expectation_adjusted_distinct(vocabulary) == pytest.approx(3 / expected, rel=1e-9)
    assert ngram_counts([4, 4], [0, 2], 1).expectation_adjusted_distinct(1) == 1.0


@given(a=ROWS, b=ROWS, n=st.integers(1, 4), cut=st.integers(0, 3))
def test_overlap_is_of_sets(a: list[list[int]], b: list[list[int]], n: int, cut: int) -> None:
    def grams(rows: list[list[int]]) -> set[tuple[int, ...]]:
        return {tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)}

    values_a, offsets_a = ragged(a)
    values_b, offsets_b = ragged(b)
    # Elements outside the offsets belong to nobody, on either side.
    stray = np.arange(cut, dtype=np.int32)
    found = ngram_overlap(
        np.concatenate([stray, values_a, stray]),
        offsets_a + cut,
        np.concatenate([stray, values_b, stray]),
        offsets_b + cut,
        n,
    )
    left, right = grams(a), grams(b)
    assert (found.distinct_a, found.distinct_b, found.shared) == (len(left), len(right), len(left & right))
    union = len(left | right)
    np.testing.assert_equal(found.jaccard, len(left & right) / union if union else math.nan)
    np.testing.assert_equal(found.kept, len(left & right) / len(left) if left else math.nan)
    np.testing.assert_equal(found.known, len(left & right) / len(right) if right else math.nan)


def test_nothing() -> None:
    found = ngram_counts([], [0, 0], 2)
    assert (found.total, found.distinct, len(found.counts)) == (0, 0, 0)
    assert math.isnan(found.entropy)
    assert math.isnan(found.expectation_adjusted_distinct(10))
    with pytest.raises(SettingsError, match="budget"):
        found.distinct_at(1)


def test_refusals() -> None:
    for n in (0, 5, -1):
        with pytest.raises(SettingsError, match="n is out of range"):
            ngram_counts([1], [0, 1], n)
    with pytest.raises(SettingsError, match="negative"):
        ngram_counts([1], [0, 1], 1, threads=-1)
    with pytest.raises(InputError, match="does not fit int32"):
        ngram_counts([2**31], [0, 1], 1)
    with pytest.raises(InputError, match="there are 1 values"):
        ngram_counts([1], [0, 2], 1)
    with pytest.raises(InputError, match="texts, the other tokens"):
        ngram_overlap(np.zeros(1, np.uint8), [0, 1], np.zeros(1, np.int32), [0, 1], 1)
    with pytest.raises(SettingsError, match="smaller than what was seen"):
        ngram_counts([1, 2], [0, 2], 1).expectation_adjusted_distinct(1)


def test_the_spectrum_is_an_arrow_table() -> None:
    table = pa.table(crystal.ngram_counts([3, 3, 4], [0, 3], 1))
    assert table.to_pydict() == {"count": [1, 2], "ngrams": [1, 1]}
