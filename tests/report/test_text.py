from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

import crystal
from crystal.phases.results import PhaseReport
from crystal.report import words
from crystal.report.html import to_html
from crystal.report.text import to_text
from crystal.report.words import clean, interval, listed, missing, number, p_value

Factory = Callable[..., PhaseReport]


def test_summary_says_what_matters(make_report: Factory) -> None:
    text = to_text(make_report(rejected=7))
    assert "The three-phase picture holds" in text
    for row in (
        r"base +base +0 +LIQUID",
        r"rl +rl +3 +SETTLED",
        r"base → sft +NUCLEATION +3 of 3 +3 NUCLEATION",
        r"Nucleation +yes +3 of 3 tasks yes, 0 no, 0 undecided +\[0\.610, 1\.00\]",
        r"7 records refused",
        r"base to sft: 2 of 3 tasks differ",
        r"operationalisation of",
    ):
        assert re.search(row, text), row


def test_refuted_and_undetermined_pictures_are_worded_apart(make_report: Factory) -> None:
    assert "does not hold: liquid, nucleation and settling are refuted" in " ".join(
        to_text(make_report(picture=False)).split()
    )
    unknown = " ".join(to_text(make_report(picture=None)).split())
    assert "neither confirm nor refute" in unknown
    assert "base → sft: 2 prompts (coin, num10, weekday)" in unknown


def test_one_refuted_clause_is_named(make_report: Factory) -> None:
    report = make_report(picture=False)
    clauses = report.ladders["olmo"].clauses
    clauses["liquid"] = clauses["settling"] = make_report().ladders["olmo"].clauses["liquid"]
    assert "does not hold: nucleation is refuted." in to_text(report)


@pytest.mark.parametrize("width", [20, 33, 59, 60, 80, 200])
@pytest.mark.parametrize("picture", [True, None])
def test_no_line_is_wider_than_the_terminal(make_report: Factory, width: int, picture: bool | None) -> None:
    report = make_report(picture=picture, ladders=("a/very-long-ladder-name@" + "d04e592b" * 8,))
    text = to_text(report, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "UNDETERMINED" in text if picture is None else "NUCLEATION" in text


def test_plain_text_has_no_escapes_and_colour_adds_only_escapes(make_report: Factory) -> None:
    plain, coloured = to_text(make_report()), to_text(make_report(), color=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_hostile_names_are_harmless(make_report: Factory) -> None:
    evil = "x\x1b[2J\x1b]0;title\x07[bold red]m\u202egnp\x00\r\n"
    report = make_report(ladders=(evil,), tasks=(evil,), picture=None)
    report.ladders[evil].evidence.append(evil)
    text = to_text(report)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "x[bold red]mgnp" in text  # markup of rich is text here


def test_clean_keeps_what_people_write() -> None:
    assert clean("naïve café 数字 🙂 a-b <b>") == "naïve café 数字 🙂 a-b <b>"
    assert clean("a\tb\nc") == "a b c"
    assert clean("\x9b31mred\x00") == "31mred"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (float("inf"), "—"),
        (0.0, "0"),
        (20, "20"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (123456.7, "123457"),
        (-0.0123456, "-0.0123"),
        (0.00012345, "0.0001"),
        (0.0000123, "1.2e-05"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_small_words() -> None:
    assert p_value(0.0) == "<0.0001"
    assert p_value(None) == "—"
    assert interval(None, None) == ""
    assert interval(None, 0.5) == "[…, 0.500]"
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_long_checkpoint_names_get_short_labels(make_report: Factory) -> None:
    ladder = make_report().ladders["olmo"]
    assert ladder.labels()["dpo"] == "dpo"
    ladder.checkpoints[1].checkpoint = "allenai/Llama-3.1-Tulu-3-8B-SFT@abcdef"
    ladder.checkpoints[2].stage = "sft"
    assert list(ladder.labels().values()) == ["base", "sft 1", "sft 2", "rl"]
    assert len(set(ladder.labels().values())) == 4


def test_missing_groups_tasks_that_lack_the_same(make_report: Factory) -> None:
    report = make_report(picture=None)
    ladder = report.ladders["olmo"]
    odd = ladder.tasks["num10"].transitions[0]
    odd.needs_prompts, odd.needs_samples = None, 400
    needs = missing(ladder)
    assert [(m.step, m.need, m.tasks) for m in needs[:2]] == [
        ("base → sft", "2 prompts", ("coin", "weekday")),
        ("base → sft", "400 valid samples a prompt", ("num10",)),
    ]
    ladder.tasks["coin"].transitions[0].needs_samples = 1500
    ladder.tasks["weekday"].transitions[0].needs_samples = 20
    assert missing(ladder)[0].need == "2 prompts and 20 to 1,500 valid samples a prompt"
    assert not missing(make_report().ladders["olmo"])


def long(changes: dict[int, str], rungs: int = 40) -> Any:
    """Return as much of a ladder as folds look at: one phase and one verdict, but for some steps."""
    names = [f"c{i}" for i in range(rungs)]
    return SimpleNamespace(
        checkpoints=[
            SimpleNamespace(checkpoint=name, stage="sft" if i else "base", phase="NUCLEATED")
            for i, name in enumerate(names)
        ],
        transitions=[SimpleNamespace(verdict=changes.get(i, "FROZEN")) for i in range(rungs - 1)],
        change_points=[SimpleNamespace(at="c30")],
        labels=lambda: {name: name for name in names},
    )


def test_a_long_ladder_is_folded_where_nothing_is_told() -> None:
    ladder = long({20: "SETTLING"})
    runs = words.folded(ladder)
    # Kept: both ends, the first of the stage, both sides of the step that differs, the change point.
    assert runs == [range(2, 20), range(22, 30), range(31, 39)]
    said = "18 checkpoints, c2 to c19: each NUCLEATED, each step FROZEN"
    assert words.folded_words(ladder, runs[0]) == said
    for run in runs:
        assert {ladder.transitions[i].verdict for i in range(run[0] - 1, run[-1] + 1)} == {"FROZEN"}
    assert words.folded(long({}, rungs=16)) == []
    assert words.folded(long(dict.fromkeys(range(0, 39, 2), "SETTLING"))) == []


def test_a_folded_ladder_in_text_and_html() -> None:
    rows = [
        {"ladder": "l", "stage": "sft", "step": step, "task": "t", "prompt": p, "answer": a}
        for step in range(20)
        for p in "pq"
        for a in "a"
    ]
    settings = crystal.Settings(draws=19, interval_draws=20, splits=2, simulations=1)
    report = crystal.analyze(pa.Table.from_pylist(rows), settings=settings)
    said = "18 checkpoints, sft-1 to sft-18: each UNDETERMINED, each step UNDETERMINED"
    assert said in to_text(report)
    assert "\nsft-7 " not in to_text(report)
    page = to_html(report)
    assert said in page
    assert page.count('class="rung"') == 3
