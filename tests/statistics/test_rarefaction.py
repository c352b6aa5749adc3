"""Expectations over draws without replacement, against all draws and plain n-gram counts."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.ops.ngrams import ngram_counts
from crystal.statistics.grams import grams
from crystal.statistics.rarefaction import entropy_parts, missed


def plug_in(draw: tuple[int, ...]) -> float:
    return -sum(c / len(draw) * math.log2(c / len(draw)) for c in Counter(draw).values())


@settings(deadline=None, max_examples=30)
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_against_every_draw(counts: list[int], data: st.DataObject) -> None:
    things = [kind for kind, count in enumerate(counts) for _ in range(count)]
    budget = data.draw(st.integers(1, len(things)))
    draws = list(combinations(things, budget))
    miss, parts = missed(counts, len(things), budget), entropy_parts(counts, len(things), budget)
    for kind in range(len(counts)):
        share = sum(kind not in draw for draw in draws) / len(draws)
        assert miss[kind] == pytest.approx(share, abs=1e-12)
    assert parts.sum() == pytest.approx(sum(map(plug_in, draws)) / len(draws), abs=1e-12)


def test_large_numbers_keep_their_digits() -> None:
    n, c, budget = 10**9, 10**6, 1000
    exact = math.exp(math.fsum(math.log1p(-budget / (n - i)) for i in range(c)))
    assert missed(c, n, budget) == pytest.approx(exact, rel=1e-9)
    assert missed([0, n], n, n).tolist() == [1.0, 0.0]


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), max_size=6)), max_size=12))
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_grams_are_those_of_a_dictionary(n: int, rows: list[tuple[int, list[int]]]) -> None:
    offsets = np.cumsum([0, *(len(row) for _, row in rows)])
    codes = np.array([x for _, row in rows for x in row], np.int64)
    weight = np.arange(1, len(rows) + 1)
    group = np.array([g for g, _ in rows], np.int64)
    found = grams(codes, offsets, group, weight, 3, n)
    truth: Counter[tuple[int, tuple[int, ...]]] = Counter()
    for w, (g, row) in zip(weight.tolist(), rows, strict=True):
        for i in range(len(row) - n + 1):
            truth[g, tuple(row[i : i + n])] += w
    assert sorted(zip(found.group.tolist(), found.count.tolist(), strict=True)) == sorted(
        (g, count) for (g, _), count in truth.items()
    )
    assert found.totals.tolist() == [sum(c for (g, _), c in truth.items() if g == k) for k in range(3)]
    assert found.distinct == len({gram for _, gram in truth})


def test_distinct_is_that_of_the_plain_operation() -> None:
    rng = np.random.default_rng(0)
    values, offsets = rng.integers(0, 30, 400), np.arange(0, 401, 20)
    plain = ngram_counts(values, offsets, 2)
    found = grams(values, offsets, np.zeros(20, np.int64), np.ones(20, np.int64), 1, 2)
    seen = np.sum(1 - missed(found.count, found.totals[0], 100)) / 100
    assert seen == pytest.approx(plain.distinct_at(100), rel=1e-12)
