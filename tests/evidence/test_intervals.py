"""A small guard of the interval campaign: fixed seeds, a few cells, and the arithmetic of the page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.evidence import intervals
from benchmarks.evidence.cells import Cell, parse
from benchmarks.evidence.interval_draws import expected_retention
from benchmarks.evidence.oracle import oracle_width
from benchmarks.evidence.worlds import same, truth, worlds
from crystal.statistics.special import normal_quantile


@pytest.fixture(autouse=True)
def no_published_data(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Draw the same truths whether or not the real data are at hand."""
    monkeypatch.setenv("CRYSTAL_SHARED_DATA", str(tmp_path))


@pytest.mark.parametrize(("options", "samples"), [(2, 50), (10, 30), (30, 60)])
@pytest.mark.parametrize("null", [False, True])
def test_every_interval_of_a_few_cells_covers(options: int, samples: int, null: bool) -> None:
    found = intervals.cell(options, samples, 24, null=null)
    reported = sum(it.reported for it in found)
    covered = sum(it.covered for it in found)
    # Seven intervals of one draw are dependent: as if there were a third as many.
    assert covered / reported >= 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / (reported / 3))
    assert reported >= (60 if null else 120)


def test_a_cell_counts_sides_and_refusals_and_reads_back() -> None:
    it = Cell("jsd", "effect", 5, 50)
    it.add(0.1, 0.3, 0.2, 1.0)
    it.add(0.1, 0.3, 0.4, 1.0)
    it.add(0.1, None, 0.05, 0.5)
    it.add(None, None, 0.1, 0.96)
    assert (it.draws, it.given, it.one_sided, it.covered, it.below, it.above) == (4, 2, 1, 1, 1, 1)
    assert (it.well_seen, it.refused, it.reported) == (3, 1, 3)
    it.width = 1.25
    assert parse(it.line()) == it


def test_bad_cells_are_named_in_words() -> None:
    good = Cell("jsd", "effect", 5, 50, draws=100, given=100, covered=95, well_seen=100, width=1, oracle=1)
    low = Cell("entropy", "effect", 5, 50, draws=400, given=400, covered=352)
    wide = Cell("jsd", "effect", 10, 50, draws=100, given=100, covered=96, width=1.6, oracle=1)
    silent = Cell("jsd", "effect", 2, 50, draws=100, given=90, covered=86, well_seen=100, refused=10)
    shy = Cell("jsd", "effect", 5, 1000, draws=100, given=100, covered=96, far=50, decided=40)
    empty = Cell("jsd", "null", 5, 50, draws=400, given=400, covered=360)
    found = intervals.failures({"cells": [x.line() for x in (good, low, wide, silent, shy, empty)]})
    assert [sum(word in line for line in found) for word in ("88.0", "1.60 times", "10 of 100")] == [1, 1, 1]
    assert sum("80.0 % decided" in line for line in found) == 1
    assert sum("at no effect: 90.0 %" in line for line in found) == 1
    assert not any("K = 5, n = 50: 95" in line for line in found)


def test_a_cell_that_misses_by_chance_is_looked_at_again() -> None:
    low = Cell("entropy", "effect", 5, 50, draws=400, given=400, covered=352)
    fine = Cell("entropy", "effect", 5, 50, draws=800, given=800, covered=760)
    still = Cell("entropy", "effect", 5, 50, draws=800, given=800, covered=700)
    null = Cell("jsd", "null", 5, 50, draws=400, given=400, covered=390)
    for second, words in ((fine, []), (still, ["87.5 % of 800"])):
        results: dict[str, Any] = {"cells": [low.line(), null.line()], "again": [second.line()]}
        found = [line for line in intervals.failures(results) if "hold the truth" in line]
        assert len(found) == len(words)
        assert all(word in line for word, line in zip(words, found, strict=True))
        assert "88.0 % of 400, then" in intervals.page(results | {"published": False})
    good = Cell("entropy", "effect", 2, 10, draws=12, given=12, covered=12)
    bad = Cell("jsd", "effect", 2, 10, draws=12, given=12, covered=2)
    (only,) = intervals.second_look([good, bad])
    assert (only.metric, only.options, only.samples, only.draws <= 24) == ("jsd", 2, 10, True)


def test_the_page_shows_every_metric() -> None:
    lines = [Cell(name, "effect", 2, 1_000, draws=9, given=9, covered=9).line() for name in intervals.METRICS]
    page = intervals.page({"published": False, "cells": lines})
    assert all(name in page for name in intervals.NAMES.values())
    assert "no published distributions" in page


def test_the_oracle_of_a_fair_coins_bias_is_as_wide_as_theory_says() -> None:
    # H(p) has slope log2((1-p)/p): at p = .8 and n = 2000 the interval is 2 z sd(p) slope wide.
    p = np.array([[[0.8, 0.2]]])
    expected = 2 * normal_quantile(0.975) * math.sqrt(0.16 / 2000) * math.log2(4)
    assert oracle_width(p, np.array([[2000]]), "entropy", 1) == pytest.approx(expected, rel=0.1)


def test_truths_are_distributions_and_a_null_has_no_change() -> None:
    random = np.random.default_rng(1)
    for options in (2, 30):
        for world in worlds(options):
            p = truth(world, options, 3, random)
            assert p.shape == (2, 3, options)
            assert np.allclose(p.sum(axis=2), 1)
            assert p.min() >= 0
            still = same(p, alike=True)
            assert np.array_equal(still[0], still[1])
            assert np.ptp(still, axis=1).max() == 0


def test_expected_retention_of_a_plain_escape() -> None:
    p = np.array([[[0.5, 0.5, 0.0]], [[0.2, 0.2, 0.6]]])
    value, spread = expected_retention(p, 400, seed=1)
    assert value == pytest.approx(-0.6, abs=0.01)
    # The later share alone varies: 4 z sqrt(.24 / 400) at most, and the sets are always the same.
    assert spread == pytest.approx(2 * 1.96 * math.sqrt(0.24 / 400), rel=0.15)
