from __future__ import annotations

import pytest

from crystal.cli.gate import failures, parse
from crystal.errors import SettingsError
from crystal.phases.results import Inputs, LadderResult, LadderTransition, PhaseReport


def report(picture: bool | None, verdict: str, changed: int = 0, rejected: int = 0) -> PhaseReport:
    step = LadderTransition(from_="base", to="sft", verdict=verdict, changed=changed, counts={verdict: 3})  # type: ignore[arg-type]
    ladder = LadderResult(
        picture_holds=picture,
        clauses={},
        evidence=[],
        change_points=[],
        checkpoints=[],
        tasks={},
        transitions=[step],
    )
    return PhaseReport(
        crystal_version="0", settings={}, inputs=Inputs(rejected=rejected), ladders={"tulu": ladder}
    )


@pytest.mark.parametrize(
    ("gate", "bad", "good"),
    [
        ("RENUCLEATION", report(True, "RENUCLEATION"), report(True, "SETTLING")),
        ("UNDETERMINED", report(True, "UNDETERMINED"), report(True, "FROZEN")),
        ("changed", report(True, "SETTLING", changed=1), report(True, "FROZEN")),
        ("picture-false", report(False, "FROZEN"), report(None, "FROZEN")),
        ("picture-unknown", report(None, "FROZEN"), report(False, "FROZEN")),
        ("rejected", report(True, "FROZEN", rejected=1), report(True, "FROZEN")),
    ],
)
def test_gate(gate: str, bad: PhaseReport, good: PhaseReport) -> None:
    assert len(failures(bad, [gate])) == 1
    assert not failures(good, [gate])
    assert not failures(bad, [])


def test_words_in_any_case() -> None:
    assert parse(["renucleation", "Changed"]) == ("RENUCLEATION", "changed")
    assert parse(None) == ()
    with pytest.raises(SettingsError, match=r"--fail-on.*FROZEN.*rejected"):
        parse(["melting"])
