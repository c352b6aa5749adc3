"""The rule that names a transition: its order, its three-valued logic, and its symmetries."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.phases.results import Verdict
from crystal.phases.settings import Margins
from crystal.phases.verdict import Evidence, Limits, decide

MARGINS = Margins()
LIQUID = Limits(0.4, 0.6)
SOLID = Limits(0.0, 0.02)
FELL = Limits(-0.6, -0.4)
HELD = Limits(-0.02, 0.02)
HALVED = Limits(-0.3, -0.2)
APART = Limits(0.1, 0.3)


def verdict(**known: Any) -> str:
    known = {"differs": True, "jsd": APART, "prompts": 8, **known}
    return decide(Evidence(**known), MARGINS)[0]


COLLAPSE: dict[str, Any] = {
    "promptability_from": LIQUID,
    "promptability_change": FELL,
    "halved": HALVED,
    "retention_change": HELD,
}
SETTLED: dict[str, Any] = {
    "promptability_from": SOLID,
    "promptability_change": HELD,
    "retention_change": HELD,
}


def test_small_divergence_is_frozen_whether_or_not_the_test_rejects() -> None:
    assert verdict(jsd=Limits(0.0, 0.009), differs=False) == "FROZEN"
    assert verdict(jsd=Limits(0.001, 0.009), differs=True, **COLLAPSE, seed=True) == "FROZEN"


def test_absence_of_evidence_is_not_evidence_of_absence() -> None:
    assert verdict(differs=False, jsd=Limits(0.0, 0.011), **COLLAPSE, seed=True) == "UNDETERMINED"
    assert verdict(differs=False, jsd=Limits()) == "UNDETERMINED"


def test_collapse_is_named_by_its_seed() -> None:
    assert verdict(**COLLAPSE, seed=True) == "NUCLEATION"
    assert verdict(**COLLAPSE, seed=False) == "RENUCLEATION"
    assert verdict(**COLLAPSE, seed=None) == "UNDETERMINED"


@pytest.mark.parametrize(
    "without",
    [
        {"promptability_from": SOLID},
        {"promptability_change": HELD},
        {"halved": Limits(0.01, 0.1)},
    ],
)
def test_no_collapse_is_settling(without: dict[str, Any]) -> None:
    assert verdict(**{**COLLAPSE, **without}, seed=True) == "SETTLING"


def test_a_change_within_the_margin_is_no_settling() -> None:
    assert verdict(**SETTLED, jsd=Limits(0.002, 0.03)) == "UNDETERMINED"
    assert verdict(**SETTLED, jsd=Limits(0.011, 0.03)) == "SETTLING"


@pytest.mark.parametrize("risen", ["promptability_change", "entropy_change"])
def test_a_rise_that_is_the_likelier_reading_holds_back_what_claims_there_was_none(risen: str) -> None:
    margin = {"promptability_change": MARGINS.promptability_change, "entropy_change": 0.25}[risen]
    around = {"low": margin - 0.02, "high": margin + 0.4}
    for retention, else_found in ((HELD, "SETTLING"), (Limits(-0.4, -0.2), "RENUCLEATION")):
        known = {**SETTLED, "retention_change": retention}
        assert verdict(**{**known, risen: Limits(**around, value=margin + 0.1)}) == "UNDETERMINED"
        assert verdict(**{**known, risen: Limits(**around, value=margin - 0.01)}) == else_found
        assert verdict(**{**known, risen: Limits(-0.2, margin, value=margin)}) == else_found
        assert verdict(**{**known, risen: Limits(margin + 0.01, margin + 0.4)}) == "REMELTING"


def test_mass_that_leaves_is_renucleation_and_open_retention_is_undetermined() -> None:
    assert verdict(**{**SETTLED, "retention_change": Limits(-0.4, -0.2)}) == "RENUCLEATION"
    assert verdict(**SETTLED) == "SETTLING"
    assert verdict(**{**SETTLED, "retention_change": Limits(-0.2, 0.1)}) == "UNDETERMINED"
    assert verdict(**{**SETTLED, "retention_change": Limits()}) == "UNDETERMINED"


def test_rising_entropy_is_remelting_unless_promptability_collapsed() -> None:
    """A seed may be broader than the average prompt was: what collapsed is the choice between prompts."""
    rose = Limits(0.3, 0.5)
    assert verdict(**COLLAPSE, entropy_change=rose, seed=True) == "NUCLEATION"
    assert verdict(**COLLAPSE, entropy_change=rose, seed=False) == "RENUCLEATION"
    assert verdict(**{**COLLAPSE, "halved": Limits(0.01, 0.1)}, entropy_change=rose) == "REMELTING"
    assert verdict(**{**COLLAPSE, "halved": Limits(-0.01, 0.1)}, entropy_change=rose) == "UNDETERMINED"


def test_rising_promptability_or_entropy_is_remelting() -> None:
    assert verdict(**{**SETTLED, "promptability_change": Limits(0.06, 0.2)}) == "REMELTING"
    assert verdict(**SETTLED, entropy_change=Limits(0.3, 0.5)) == "REMELTING"
    assert verdict(**SETTLED, entropy_change=Limits(0.2, 0.5)) == "SETTLING"
    assert verdict(**SETTLED, entropy_change=Limits(0.2, 0.5), entropy_margin=0.1) == "REMELTING"


def test_one_prompt_never_settles() -> None:
    """Without promptability a collapse cannot be excluded, however clear retention or entropy are."""
    assert verdict(retention_change=HELD, entropy_change=Limits(0.5, 0.6), prompts=1) == "UNDETERMINED"
    result, reason = decide(Evidence(differs=True, jsd=APART, retention_change=HELD, prompts=1), MARGINS)
    assert result == "UNDETERMINED"
    assert reason is not None
    assert "one prompt" in reason


def test_limits_at_the_margin() -> None:
    assert Limits(0.1, 0.2).above(0.1) is None
    assert Limits(0.0, 0.1).above(0.1) is False
    assert Limits(0.0, 0.1).below(0.1) is None
    assert Limits(0.1, 0.2).below(0.1) is False
    assert Limits().above(0.0) is None
    assert Limits().below(0.0) is None


bounds = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda pair: Limits(min(pair), max(pair)))
limits = st.one_of(st.just(Limits()), bounds)
evidence = st.builds(
    Evidence,
    differs=st.booleans(),
    jsd=limits,
    entropy_change=limits,
    promptability_change=limits,
    promptability_from=limits,
    halved=limits,
    retention_change=limits,
    seed=st.sampled_from([True, False, None]),
    prompts=st.integers(0, 20),
)


@given(evidence)
def test_a_reason_stands_exactly_where_nothing_is_decided(known: Evidence) -> None:
    result, reason = decide(known, MARGINS)
    assert result in get_args(Verdict)
    assert (reason is None) == (result != "UNDETERMINED")


@given(evidence)
def test_nothing_that_shows_no_difference_gets_a_kind(known: Evidence) -> None:
    if not known.differs:
        assert decide(known, MARGINS)[0] in {"FROZEN", "UNDETERMINED"}


@given(evidence, st.sampled_from(["jsd", "promptability_change", "promptability_from", "halved"]))
def test_forgetting_never_turns_one_named_change_into_another(known: Evidence, forgotten: str) -> None:
    """A limit that becomes unknown may cost the verdict, but never turns SETTLING into NUCLEATION or back."""
    before, _ = decide(known, MARGINS)
    after, _ = decide(Evidence(**{**known.__dict__, forgotten: Limits()}), MARGINS)
    crossed = {before, after}
    assert crossed != {"NUCLEATION", "SETTLING"}
    assert crossed != {"NUCLEATION", "RENUCLEATION"}
