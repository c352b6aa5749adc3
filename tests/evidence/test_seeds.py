"""A smaller run of the evidence on the seeds of single tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.evidence import seeds


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeds, "OPTIONS", (10,))
        patch.setattr(seeds, "SAMPLES", (300,))
        return seeds.run(0.1, lambda *_: None)


def test_most_seeds_are_right_and_few_are_wrong(results: dict[str, Any]) -> None:
    cells = {cell["story"]: cell for cell in results["cells"]}
    assert list(cells) == list(seeds.RIGHT)
    assert sum(cell["wrong"] for cell in cells.values()) <= 4
    assert cells["alike"]["right"] == 0
    for story in ("picture", "sharpened", "foreign", "blend", "frozen"):
        assert cells[story]["right"] >= 4
        assert cells[story]["right"] + cells[story]["wrong"] + cells[story]["undetermined"] == 8
    assert "| not among the base's | 10 | 300 |" in seeds.page(results)


def test_paraphrases_of_the_seed_are_right_and_others_are_not() -> None:
    (task, *_) = seeds.tasks("picture", 10, 2)
    assert 2 <= len(task.names) < seeds.PROMPTS
    names = {"right": [], "wrong": []}  # type: ignore[var-annotated]
    for row in range(seeds.PROMPTS):
        tuned = np.repeat(task.base[row][None], seeds.PROMPTS, axis=0)
        kind, prompts = seeds.ask(task._replace(tuned=tuned), 1_000, 1, row)
        if kind == "one":
            names["right" if row in task.names else "wrong"].append(not task.names.isdisjoint(prompts))
    assert names["right"]
    assert all(names["right"])
    assert names["wrong"]
    assert not any(names["wrong"])


def test_far_is_told_from_the_truth() -> None:
    base = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])
    same = np.array([True, False, False])
    assert seeds._is_far("picture", base, base[0], same)
    assert not seeds._is_far("picture", base, base[1:].mean(axis=0), same)
    assert seeds._is_far("blend", base, base.mean(axis=0), same)
    assert not seeds._is_far("blend", base, base[2], same)
    assert not seeds._is_far("foreign", base, base.mean(axis=0), same)
    # A cooled row lies outside the hull, but it is a power.
    assert not seeds._is_far("foreign", base, base[0] ** 4 / (base[0] ** 4).sum(), same)
    assert seeds._is_far("foreign", np.eye(4)[:2] + 1e-9, np.eye(4)[2] + 1e-9, same[:2])


def test_criteria_that_are_not_met_are_named() -> None:
    cell = {
        **dict.fromkeys((*seeds.KINDS, "elsewhere", "by_twin", "named"), 0),
        "story": "blend",
        "options": 10,
        "samples": 300,
        "tasks": 80,
        "right": 60,
        "wrong": 8,
        "far": 40,
        "far_right": 32,
    }
    assert seeds.failures({"cells": [cell]}) == []
    found = seeds.failures({"cells": [{**cell, "wrong": 9}, {**cell, "far_right": 31}]})
    assert [line.split(": ")[1] for line in found] == ["wrong in 9 of 80.", "right in 31 of 40 far tasks."]
    few = {**cell, "samples": 100, "far_right": 0}
    assert seeds.failures({"cells": [few, {**few, "samples": 300, "far": 19}]}) == []


def test_a_seed_among_those_not_told_apart_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "OPTIONS", (10,))
    monkeypatch.setattr(seeds, "SAMPLES", (100,))
    monkeypatch.setattr(seeds, "RIGHT", {"picture": ("one",)})
    planted = seeds.tasks("picture", 10, 4)
    monkeypatch.setattr(seeds, "tasks", lambda *_: planted)
    away = next(row for row in range(seeds.PROMPTS) if row not in planted[0].names)
    own = min(planted[0].names)
    for prompts, right, by_twin in (((own, away), 1, 0), ((away, own), 1, 1), ((away,), 0, 0)):
        answers = iter([seeds.Answer("one", prompts)] + [seeds.Answer("undetermined")] * 3)
        monkeypatch.setattr(seeds, "ask", lambda *_, told=answers: next(told))
        (cell,) = seeds.run(0.05, lambda *_: None)["cells"]
        assert (cell["right"], cell["by_twin"], cell["wrong"]) == (right, by_twin, 1 - right)
        assert cell["named"] == len(prompts)
        assert f"| {by_twin} | {len(prompts):.1f} |" in seeds.page({"cells": [cell]})
