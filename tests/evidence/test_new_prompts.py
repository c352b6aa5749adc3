"""A small guard of the limits over many prompts, and the page's arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.evidence import new_prompts
from benchmarks.evidence.cells import Cell


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("CRYSTAL_SHARED_DATA", str(tmp_path))
    monkeypatch.setattr(new_prompts, "POPULATION", 300)
    monkeypatch.setattr(new_prompts, "PLANTED", 60)
    monkeypatch.setattr(new_prompts, "INTERVAL_DRAWS", 60)


@pytest.mark.parametrize(("options", "samples"), [(5, 30), (30, 20)])
@pytest.mark.parametrize("null", [False, True])
def test_other_prompts_are_covered(options: int, samples: int, null: bool) -> None:
    found = new_prompts.cell(options, 8, samples, 12, null=null)
    for which in (0, 2):
        reported = sum(three[which].reported for three in found)
        covered = sum(three[which].covered for three in found)
        assert reported >= (24 if null else 36)
        # Five limits of one draw are dependent: as if there were a third as many.
        assert covered / reported >= 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / (reported / 3))


@pytest.mark.parametrize(("options", "samples", "metric"), [(100, 20, "jsd"), (100, 50, "entropy")])
def test_many_prompts_leave_the_error_of_the_correction(options: int, samples: int, metric: str) -> None:
    """Without it half of these limits miss."""
    found = new_prompts.cell(options, 30, samples, 12, null=False)
    (own,) = (own for *_, own in found if own.metric == metric)
    assert own.reported == 12
    assert own.covered >= 10


def test_seven_prompts_say_nothing_of_others() -> None:
    assert all(ours.reported == 0 for ours, *_ in new_prompts.cell(2, 7, 20, 2, null=False))


def test_the_truth_is_that_of_all_prompts() -> None:
    p = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]])
    truths = new_prompts.truths(p)
    assert truths["entropy"] == pytest.approx(0)
    assert truths["promptability"] == pytest.approx(1)
    assert truths["entropy_change"] == pytest.approx(1)
    assert truths["promptability_change"] == pytest.approx(-1)
    assert truths["jsd"] == pytest.approx(1.5 - 0.75 * math.log2(3))


def test_misses_are_named_and_the_page_shows_them() -> None:
    ours, usual, own = (Cell("jsd", "effect", 5, 20) for _ in range(3))
    for truth in np.linspace(0.1, 0.5, 10):
        ours.add(0.2, 0.6, truth, 1.0)
        usual.add(0.3, 0.6, truth, 1.0)
        own.add(0.15, 0.6, truth, 1.0)
    ours.width, usual.width = 4.0, 3.0
    results = {"rows": [[8, ours.line(), usual.line(), own.line()]], "few": [[2, 7, 1]]}
    named = new_prompts.failures(results)
    assert named[0] == "JSD of other prompts, K = 5, 8 prompts, n = 20, effect: 7 of 10 hold the truth"
    assert named[1].startswith("JSD of the prompts asked, effect: 80.0 %")
    assert named[2].startswith("JSD of other prompts, effect: 70.0 %")
    assert "1 limits" in named[3]
    page = new_prompts.page(results)
    assert "| JSD | 5 | 80.0; 70.0 (50.0) |" in page
    assert "| JSD | effect | 10 | 80.0 | 10 | 70.0 (50.0) | 3 | 0 | 1.33 |" in page
