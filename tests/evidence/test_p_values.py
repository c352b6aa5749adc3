"""A small guard of the p-value campaign."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evidence import p_values
from benchmarks.evidence.p_value_draws import RANDOMISED, WHAT, _with_promptability, p_of
from crystal.statistics.divergence import js_information


@pytest.mark.parametrize("name", sorted(RANDOMISED))
def test_permutation_p_are_valid_and_uniform_once_ties_are_randomised(name: str) -> None:
    results = {
        "rejections": [p_values.shares(name, k, n, 300) for k, n in ((2, 20), (10, 20))],
        "randomised": [p_values.distance(name, k, n, 300) for k, n in ((2, 20), (10, 20))],
        "discoveries": [],
    }
    assert p_values.failures(results) == []


@pytest.mark.parametrize("name", ["entropy_change", "promptability_change", "liquid", "liquid_margin"])
def test_other_p_are_valid(name: str) -> None:
    results = {"rejections": [p_values.shares(name, 5, 50, 24)], "randomised": [], "discoveries": []}
    assert p_values.failures(results) == []


def test_false_discoveries_are_few_and_changes_are_found() -> None:
    found = [p_values.discoveries(0.5, number) for number in range(8)]
    wrong, total, right = np.sum(found, axis=0)
    assert wrong <= 0.15 * total
    assert right >= 0.2 * 80


def test_promptability_is_set_as_asked() -> None:
    rows = np.random.default_rng(1).dirichlet(np.ones(5), size=6)
    moved = _with_promptability(rows, 0.1)
    assert moved is not None
    assert float(js_information(moved)) == pytest.approx(0.1, abs=1e-6)
    assert _with_promptability(np.array([[1.0, 0.0]] * 6), 0.1) is None


def test_clause_l_is_asked_where_promptability_is_at_its_margin() -> None:
    """Of two options, one may hold everything under every prompt: 4 % of worlds, never at the margin."""
    assert p_of("not_liquid", 2, 50, 2_000_005) > 0.01


def test_a_p_too_small_is_named() -> None:
    results = {
        "rejections": [["gate", 2, 50, 1000, 10, 90, 100]],
        "randomised": [["gate", 2, 50, 1000, 0.2]],
        "discoveries": [[0.5, 100, 0.2, 0.01, 0.9]],
    }
    found = p_values.failures(results)
    assert len(found) == 3
    assert "p <= 0.05 in 9.0 %" in found[0]


def test_the_page_names_every_test() -> None:
    rows = [[name, 2, 50, 0, 0, 0, 0] for name in WHAT]
    page = p_values.page({"rejections": rows, "randomised": [], "discoveries": [[1.0, 9, 0.0, 0.0, np.nan]]})
    assert all(what in page for what in WHAT.values())


def test_the_same_number_gives_the_same_p() -> None:
    assert p_of("gate", 5, 20, 3) == p_of("gate", 5, 20, 3)
