"""A side holds a checkpoint's distributions, sampled, exact or mixed, without losing or inventing mass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.phases.sides import EXACT_SAMPLES, as_samples, side, usable
from crystal.testing.planted import ladder

TRUTH = ladder("format", tasks=1, prompts=3, options=4)


def test_sampled_side_is_the_counts() -> None:
    table = TRUTH.tables(50)[0]
    prompts = usable(table, 3)
    rows = side(table, 3, prompts)
    assert prompts.all()
    assert not rows.exact
    np.testing.assert_array_equal(rows.counts, table.counts[3])
    np.testing.assert_allclose(rows.probabilities.sum(axis=1), 1)
    assert rows.samples == table.counts[3].sum()
    assert rows.validity == pytest.approx(rows.samples / (50 * 6))


def test_exact_side_is_normalised_and_reports_its_mass() -> None:
    table = TRUTH.exact_tables()[0]
    short = replace(table, probabilities=table.probabilities * 0.8)
    rows = side(short, 0, usable(short, 0))
    assert rows.exact
    assert rows.samples is None
    assert rows.validity == pytest.approx(0.8)
    np.testing.assert_allclose(rows.probabilities, table.probabilities[0])


def test_an_exact_side_meets_a_sampled_one_as_a_million_samples() -> None:
    table = TRUTH.exact_tables()[0]
    rows = side(table, 0, usable(table, 0), sampled=True)
    assert not rows.exact
    assert (rows.counts.sum(axis=1) == EXACT_SAMPLES).all()
    np.testing.assert_allclose(rows.counts / EXACT_SAMPLES, table.probabilities[0], atol=1.0 / EXACT_SAMPLES)


def test_prompts_of_both_kinds_make_a_sampled_side() -> None:
    sampled, exact = TRUTH.tables(50)[0], TRUTH.exact_tables()[0]
    mixed = replace(sampled, probabilities=sampled.probabilities.copy(), counts=sampled.counts.copy())
    mixed.probabilities[0, 0], mixed.counts[0, 0] = exact.probabilities[0, 0], 0
    rows = side(mixed, 0, usable(mixed, 0))
    assert not rows.exact
    assert rows.counts[0].sum() == EXACT_SAMPLES
    np.testing.assert_array_equal(rows.counts[1:], sampled.counts[0, 1:])


def test_prompts_without_a_valid_answer_are_not_usable() -> None:
    table = TRUTH.tables(50)[0]
    table.counts[2, 1] = 0
    assert usable(table, 2).tolist() == [True, False, True, True, True, True]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30).filter(lambda p: sum(p) > 1e-6))
def test_rounding_keeps_the_total_and_the_shape(weights: list[float]) -> None:
    p = np.array([weights]) / sum(weights)
    counts = as_samples(p)
    assert counts.sum() == EXACT_SAMPLES
    assert np.abs(counts - p * EXACT_SAMPLES).max() < 1.0 + 1e-6
