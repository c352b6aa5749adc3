from __future__ import annotations

import json

import jsonschema
import pyarrow as pa
import pytest

import crystal
from crystal.phases.results import PhaseReport
from crystal.report.html import to_html
from crystal.report.report_json import parse_report, schema
from crystal.report.text import to_text


@pytest.fixture(name="report", scope="module")
def report_with_texts() -> PhaseReport:
    rows = [
        {"ladder": "l", "stage": s, "step": k, "task": t, "prompt": p, "text": f"{w} {w} {s}"}
        for k, s in enumerate(("base", "sft"))
        for t in ("<script>alert(1)</script>", "u")
        for p in "pq"
        for w in ("one", "two", "two") * 4
    ]
    return crystal.analyze(pa.Table.from_pylist(rows), sequences=True)


def test_json_validates_and_comes_back(report: PhaseReport) -> None:
    data = report.to_json()
    jsonschema.Draft202012Validator(schema()).validate(json.loads(data))
    assert parse_report(data).ladders["l"].sequences == report.ladders["l"].sequences


@pytest.mark.parametrize("width", [40, 120])
def test_text_shows_each_checkpoint_and_change(report: PhaseReport, width: int) -> None:
    text = to_text(report, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "overlap 1" in text
    assert "repetition 3" in text


def test_html_shows_tasks_and_escapes_them(report: PhaseReport) -> None:
    page = to_html(report)
    assert "<h3>Texts</h3>" in page
    assert "2 prompts with samples at every checkpoint" in page
    assert "Across inputs: all prompts" in page
    assert "distinct 1" in page
    assert "&lt;script&gt;" in page
    assert "<h4><script>" not in page
    report.ladders["l"].sequences = None
    assert "<h3>Texts</h3>" not in to_html(report)
