"""needs_samples on a few planted tasks: finite answers that decide, and the page's arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.evidence import needs_samples


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_samples, "INTERVAL_DRAWS", 60)


def test_most_answers_are_finite_and_most_decide() -> None:
    rows = []
    for case in (needs_samples.Case("frozen", 0, 60, 10, 6), needs_samples.Case("foreign", 1, 20, 10, 6)):
        row = needs_samples._row(case)
        for number in range(4):
            needs_samples.add(row, case, number)
        assert row["asked"] + row["already"] == 4
        rows.append(row)
    total = needs_samples._total({"rows": rows})
    assert total["finite"] >= total["asked"] / 2
    assert total["decided"] >= total["followed"] / 2
    assert total["wrong"] <= 1


def results(**counts: int) -> dict[str, Any]:
    row = needs_samples._row(needs_samples.WORLDS[0])
    return {"rows": [{**row, **counts, "answers": [100, 300, 200]}]}


def test_failures_are_said_in_words() -> None:
    honest = results(asked=10, finite=9, followed=9, decided=8, third_decided=4)
    assert needs_samples.failures(honest) == []
    assert (
        "5 of 9 are decided at the size"
        in needs_samples.failures(results(asked=9, finite=9, followed=9, decided=5))[0]
    )
    late = results(asked=10, finite=9, followed=9, decided=9, third_decided=7)
    assert "7 of 9 are decided at a third" in needs_samples.failures(late)[0]
    assert (
        "5 of 10 answers are finite"
        in needs_samples.failures(results(asked=10, finite=5, followed=5, decided=5))[0]
    )


def test_the_page_has_a_row_a_case() -> None:
    page = needs_samples.page(results(asked=10, already=2, finite=9, followed=9, decided=8, third_decided=4))
    assert "| frozen, 1 | 10 options, 6 prompts | 20 | 10 (2) | 9 | 200 | 8 of 9 | 4 of 9 | 0 |" in page
