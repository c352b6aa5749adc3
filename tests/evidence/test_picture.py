"""The picture's error rates, smaller than the evidence page has them, and what the page says of results."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.evidence import picture
from crystal.phases.clauses import CLAUSES
from crystal.testing import planted

SMALL = picture.World("small", 100, 10, 1, prompts=8)
FEW = SMALL._replace(samples=20)


@pytest.fixture(autouse=True)
def eight_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "TASKS", 8)


@pytest.mark.parametrize("kind", planted.KINDS)
def test_no_ladder_of_known_truth_is_judged_wrong(kind: str) -> None:
    for world in (SMALL, FEW):
        judged = picture.judge(world, kind, 0)
        assert judged.picture_holds is not (not picture._holds(kind))
        for clause, truth in zip(CLAUSES, picture.TRUTHS[kind], strict=True):
            found = judged.results[clause].holds
            assert found is None or truth is None or found == truth


def test_a_true_picture_is_seen() -> None:
    assert [picture.judge(SMALL, "picture", number).picture_holds for number in (1, 2)] == [True, True]


def test_every_story_has_its_truth_and_agrees_with_the_planted_one() -> None:
    assert picture.TRUTHS.keys() == planted.KINDS.keys()
    for kind in planted.KINDS:
        truth = planted.ladder(kind, tasks=1, prompts=2, options=4)
        assert truth.picture_holds == picture._holds(kind)
        assert (picture.TRUTHS[kind] == (True, True, True)) == truth.picture_holds


def results(true: int, false: int, null: int, kind: str = "foreign") -> dict[str, Any]:
    cell = picture._cell(picture.WORLDS[0], kind)
    cell["ladders"] = true + false + null
    cell["answers"] = {"true": true, "false": false, "null": null}
    others = [{**picture._cell(world, "format"), "ladders": 1} for world in picture.WORLDS[2:]]
    return {"cells": [cell, {**picture._cell(picture.WORLDS[1], "format"), "ladders": 1_000}, *others]}


def test_failures_are_said_in_words() -> None:
    assert picture.failures(results(0, 400, 0)) == []
    assert "true for 7 of 100" in picture.failures(results(7, 93, 0))[0]
    assert "below 3.0 % (95 %), not below 1 %" in picture.failures(results(0, 100, 0))[0]
    assert "true for 80 of 100" in picture.failures(results(80, 0, 20, "picture"))[0]
    assert picture.failures(results(380, 0, 20, "picture")) == []
    alone = {"cells": results(0, 400, 0)["cells"][:1]}
    assert [line.split(":")[1] for line in picture.failures(alone)] == [" not measured"] * 4


def test_the_page_has_a_row_a_story() -> None:
    page = picture.page(results(3, 90, 7))
    assert "| foreign | false | 3 | 90 | 7 | 3 of 100 (1 to 9 %) |" in page
    assert "one family of 12 prompts, 10 options, 100 samples" in page
