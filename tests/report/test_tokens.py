from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pytest

from crystal.phases.results import PhaseReport, TokenResult
from crystal.report.html import to_html
from crystal.report.report_json import parse_report, schema
from crystal.report.text import to_text


@pytest.fixture(name="report")
def report_with_tokens(
    make_report: Callable[..., PhaseReport], make_tokens: Callable[..., TokenResult]
) -> PhaseReport:
    report = make_report()
    report.ladders["olmo"].tokens = make_tokens()
    return report


def test_json_validates_and_comes_back(report: PhaseReport) -> None:
    data = report.to_json()
    jsonschema.Draft202012Validator(schema()).validate(json.loads(data))
    assert parse_report(data).ladders["olmo"].tokens == report.ladders["olmo"].tokens


@pytest.mark.parametrize("width", [40, 120])
def test_text_shows_each_checkpoint_and_change(report: PhaseReport, width: int) -> None:
    text = to_text(report, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "entropy (nats)" in text
    assert "change of tokens" in text or "base → sft" in text
    value = report.ladders["olmo"].tokens.checkpoints["base"].per_input["token_entropy"].value  # type: ignore[union-attr]
    assert f"{value:.3g}" in text


def test_html_shows_tasks_and_escapes_them(
    report: PhaseReport, make_report: Callable[..., PhaseReport]
) -> None:
    page = to_html(report)
    assert "<h3>Tokens</h3>" in page
    assert "branching factor" in page
    assert "Across inputs" in page
    assert "no prompt has logprobs on both sides" in page
    assert "&lt;script&gt;" in page
    assert "<h4><script>" not in page
    assert "<h3>Tokens</h3>" not in to_html(make_report())


def test_rows_of_the_metrics_table(report: PhaseReport) -> None:
    rows = [row for row in report.to_arrow().to_pylist() if row["metric"].startswith("token_entropy")]
    assert {row["metric"] for row in rows} == {
        "token_entropy",
        "token_entropy_spread",
        "token_entropy_change",
    }
    assert {row["kind"] for row in rows} == {"checkpoint", "transition"}
    assert len(rows) == 2 * (4 + 4 + 3)
