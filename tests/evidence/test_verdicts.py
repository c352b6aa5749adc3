"""Verdicts on planted ladders at one small size, and the page's arithmetic."""

from __future__ import annotations

import pytest

from benchmarks.evidence import verdicts
from crystal.testing import planted

SMALL = verdicts.Size(8, 4, 150)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "TASKS", 3)
    monkeypatch.setattr(verdicts, "INTERVAL_DRAWS", 60)


@pytest.mark.parametrize(
    "kind", ["picture", "foreign", "escape", "per_context", "one_family", verdicts.NOISY]
)
def test_what_is_decided_is_right(kind: str) -> None:
    cell = verdicts._cell(SMALL, kind)
    verdicts.add(cell, SMALL, kind, 0)
    right, wrong, undetermined = verdicts._sums(cell)
    assert right + wrong + undetermined == 9 * (2 if kind == "one_family" else 1)
    assert wrong == 0
    assert right >= 3


@pytest.mark.parametrize("kind", ["frozen", "format", "small"])
def test_nothing_is_made_of_nothing(kind: str) -> None:
    cell = verdicts._cell(SMALL, kind)
    verdicts.add(cell, SMALL, kind, 0)
    assert {word.split(" > ")[1] for word in cell["given"]} <= verdicts.STILL


@pytest.mark.parametrize(
    "size", [verdicts.Size(2, 2, 5), verdicts.Size(10, 2, 5), verdicts.Size(2, 2, 5_000)]
)
@pytest.mark.parametrize("kind", planted.KINDS)
def test_at_the_ends_nothing_is_wrong_and_what_cannot_be_is_refused(size: verdicts.Size, kind: str) -> None:
    cell = verdicts._cell(size, kind)
    verdicts.add(cell, size, kind, 0)
    if kind == "blend":
        assert "2 options" in cell["refused"] if size.options == 2 else "2 prompts" in cell["refused"]
        assert cell["given"] == {}
        return
    right, wrong, undetermined = verdicts._sums(cell)
    assert wrong == 0
    assert undetermined == 0 if size.samples > 5 and kind == "frozen" else right + undetermined >= 9


def test_discoveries_are_true() -> None:
    false, found, of = map(sum, zip(*(verdicts._mixed(number) for number in range(5)), strict=True))
    assert false / 5 < 0.1
    assert found > of / 10


def results(given: dict[str, int], kind: str = "picture", samples: int = 100) -> dict[str, object]:
    cell = {"size": verdicts.Size(10, 8, samples)._asdict(), "kind": kind, "given": given, "reasons": {}}
    sizes = [size for size in (*verdicts.SIZES, *verdicts.ENDS) if size._asdict() != cell["size"]]
    empty = [{**cell, "size": size._asdict(), "given": {}} for size in sizes]
    return {"cells": [cell, *empty], "mixed": [1.0, 80, 100], "ladders": 100}


def test_failures_are_said_in_words() -> None:
    assert verdicts.failures(results({"FROZEN > FROZEN": 50})) == []
    wrong = results({"SETTLING > SETTLING": 20, "SETTLING > REMELTING": 4, "SETTLING > UNDETERMINED": 9})
    (said,) = verdicts.failures(wrong)
    assert said.startswith("picture, 10 options, 8 prompts, 100 samples: 4 of 24 decided verdicts are wrong")
    assert "SETTLING > REMELTING" in said
    alarm = results({"FROZEN > SETTLING": 3, "FROZEN > FROZEN": 27}, "frozen")
    assert "3 of 30 transitions get another verdict" in verdicts.failures(alarm)[0]
    lucky = {**results({"FROZEN > FROZEN": 50}), "mixed": [4.0, 80, 100]}
    assert "0.040 on average over 100 ladders, above 0.025" in verdicts.failures(lucky)[0]
    fewer = results({"FROZEN > FROZEN": 50})
    fewer["cells"] = fewer["cells"][:1]  # type: ignore[index]
    assert len(verdicts.failures(fewer)) == len(verdicts.SIZES) + len(verdicts.ENDS) - 1
    assert all("not measured" in line for line in verdicts.failures(fewer))
    shy = results({"SETTLING > UNDETERMINED": 5, "SETTLING > SETTLING": 5}, samples=1_000)
    assert "5 of 10 stay open" in verdicts.failures(shy)[0]


def test_the_page_counts_planted_against_given() -> None:
    page = verdicts.page(results({"SETTLING > SETTLING": 20, "SETTLING > UNDETERMINED": 9}))
    assert "| 20 / 0 / 9 |" in page
    assert "| SETTLING | 0 | 0 | 20 | 0 | 0 | 9 |" in page
    assert set(verdicts.KINDS) - {verdicts.NOISY} == set(planted.KINDS)


def test_the_ends_have_a_table_of_their_own() -> None:
    end = next(iter(verdicts.ENDS))
    shown = results({"SETTLING > SETTLING": 20})
    cells = [{"size": end._asdict(), "kind": "picture", "given": {"FROZEN > FROZEN": 7}, "reasons": {}}]
    cells += [{**cells[0], "kind": "blend", "given": {}, "refused": "there is no such thing"}]
    shown["cells"] = [shown["cells"][0], *cells]  # type: ignore[index]
    page = verdicts.page(shown)
    assert "| story | 2 x 8 x 200 |" in page
    assert "| picture | 7 / 0 / 0 |" in page
    assert "| blend | - |" in page
    assert "`blend`, there is no such thing" in page
    assert "| FROZEN | 7 |" in page
