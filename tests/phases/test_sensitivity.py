"""Other choices are tried with the very rule that decided, and controls know their answer."""

from __future__ import annotations

import pytest

from crystal.phases.ladder import judge
from crystal.phases.results import LadderResult
from crystal.phases.settings import Settings
from crystal.testing import planted

QUICK = Settings(draws=499, interval_draws=100, splits=200, simulations=20)


@pytest.fixture(scope="module")
def result() -> LadderResult:
    truth = planted.ladder("picture", tasks=5, prompts=4, options=5, families=("context",), seed=7)
    return judge(truth.tables(80), QUICK)


def test_every_variation_decides_every_transition(result: LadderResult) -> None:
    names = [
        "margins_halved",
        "margins_doubled",
        "retention_mass_0.8",
        "retention_mass_0.95",
        "entropy_jackknife",
    ]
    assert set(names) < set(result.sensitivity)
    for name in names:
        varied = result.sensitivity[name]
        assert varied["of"] == 15
        assert 0 <= varied["changed"] <= 15
        assert sum(varied["verdicts"].values()) == 15


def test_exact_verdicts_far_from_margins_do_not_move() -> None:
    truth = planted.ladder("frozen", tasks=5, prompts=4, options=5)
    found = judge(truth.exact_tables(), QUICK).sensitivity
    assert found["margins_halved"]["changed"] == 0
    assert found["margins_doubled"] == {"changed": 0, "of": 15, "verdicts": {"FROZEN": 15}}


def test_wide_margins_freeze_small_changes() -> None:
    """Changes between the margin and twice the margin become FROZEN under doubled margins, and only then."""
    truth = planted.ladder("small", tasks=3, prompts=4, options=5, seed=1)
    tables = truth.exact_tables()
    for table in tables:
        table.probabilities[1] = 0.82 * table.probabilities[0] + 0.18 / 5
    report = judge(tables, QUICK)
    jsd = [task.transitions[0].metrics["jsd"].value for task in report.tasks.values()]
    assert all(0.01 < (value or 0.0) < 0.02 for value in jsd)
    assert report.transitions[0].verdict != "FROZEN"
    frozen = report.sensitivity["margins_doubled"]["verdicts"].get("FROZEN", 0)
    assert frozen > report.transitions[0].counts.get("FROZEN", 0)


def test_labels_are_compared_with_what_numbers_say(result: LadderResult) -> None:
    found = result.sensitivity["stage_labels_removed"]
    assert found["end_of_sft"] == "sft-1000"
    assert found["same"] == (found["least_promptable_later_rung"] == "sft-1000")


def test_halves_of_one_checkpoint_do_not_differ(result: LadderResult) -> None:
    assert result.controls["split_half"] == {"checkpoint": "base-0", "tasks": 5, "rejected": 0}
    assert judge(planted.ladder("frozen", tasks=1).exact_tables(), QUICK).controls == {}
