"""From limits to a verdict: the one rule that names what happened between two checkpoints.

The rule is a pure function of confidence limits, so the same rule decides on data, on simulated data
(``needs_samples``) and under other margins (sensitivity). Every condition is three-valued: shown, refuted, or
not known; what is not known never counts as refuted where that would let a later verdict through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from crystal.phases.results import Verdict
from crystal.phases.settings import Margins


class Limits(NamedTuple):
    """Confidence limits of one quantity; None where they cannot be given."""

    low: float | None = None
    high: float | None = None
    value: float | None = None
    """The estimate between them. No verdict rests on it; it can only hold one back (``may_be_above``)."""

    def above(self, margin: float) -> bool | None:
        """Is the quantity above ``margin``: True if shown, False if refuted, else None."""
        if self.low is not None and self.low > margin:
            return True
        if self.high is not None and self.high <= margin:
            return False
        return None

    def may_be_above(self, margin: float) -> bool:
        """Say if it is open whether the quantity is above ``margin``, and the estimate is above it."""
        return self.above(margin) is None and self.value is not None and self.value > margin

    def below(self, margin: float) -> bool | None:
        """Is the quantity below ``margin``: True if shown, False if refuted, else None."""
        if self.high is not None and self.high < margin:
            return True
        if self.low is not None and self.low >= margin:
            return False
        return None


UNKNOWN = Limits()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of one transition on one task: limits in bits (retention: share of the mass)."""

    differs: bool
    """The omnibus test rejects (q < alpha); for exact distributions, their JSD exceeds the margin."""
    jsd: Limits = UNKNOWN
    entropy_change: Limits = UNKNOWN
    entropy_margin: float = 0.25
    """The smallest change of entropy that counts, in bits."""
    promptability_change: Limits = UNKNOWN
    promptability_from: Limits = UNKNOWN
    halved: Limits = UNKNOWN
    """promptability(to) - collapse_ratio * promptability(from): below 0 for a collapse."""
    retention_change: Limits = UNKNOWN
    seed: bool | None = None
    """The tuned distribution was found among the earlier checkpoint's (False: it was shown not to be)."""
    prompts: int = 0
    """Prompts that both checkpoints have."""


def _all(*conditions: bool | None) -> bool | None:
    """Kleene's and: False if any is refuted, True if all are shown, else None."""
    if False in conditions:
        return False
    return None if None in conditions else True


def collapsed(evidence: Evidence, margins: Margins) -> bool | None:
    """Whether a liquid lost most of its promptability, whatever it landed on."""
    return _all(
        evidence.promptability_from.above(margins.liquid),
        evidence.promptability_change.below(-margins.promptability_change),
        evidence.halved.below(0.0),
    )


def decide(evidence: Evidence, margins: Margins) -> tuple[Verdict, str | None]:
    """Name what happened between two checkpoints.

    Parameters
    ----------
    evidence : Evidence
        Limits of the quantities that verdicts rest on.
    margins : Margins
        Sizes below which a change is not worth a verdict.

    Returns
    -------
    verdict : str
    reason : str or None
        What is missing, where the verdict is UNDETERMINED.

    Notes
    -----
    In this order: FROZEN, if the divergence is shown to be within its margin; UNDETERMINED, if the omnibus
    test does not reject; a collapse of promptability is NUCLEATION or RENUCLEATION by its seed; REMELTING, if
    promptability rose, or entropy did without a collapse; RENUCLEATION, if mass left; SETTLING, if it stayed
    and the divergence is shown to exceed its margin.
    A collapse that is neither shown nor refuted ends in UNDETERMINED, because every later verdict would claim
    to know that there was none. So does a rise that is neither shown nor refuted where the estimate itself
    says that there was one. ``docs/decisions/collapse-before-entropy.md`` says why entropy is last, and why
    an open rise alone does not end it.

    Examples
    --------
    >>> decide(Evidence(differs=False, jsd=Limits(0.0, 0.004)), Margins())
    ('FROZEN', None)
    >>> decide(Evidence(differs=False, jsd=Limits(0.0, 0.4)), Margins())[1]
    'the samples show no difference, and cannot rule one out'
    """
    if evidence.jsd.below(margins.jsd):
        return "FROZEN", None
    if not evidence.differs:
        return "UNDETERMINED", "the samples show no difference, and cannot rule one out"
    collapse = collapsed(evidence, margins)
    if collapse:
        if evidence.seed is None:
            return "UNDETERMINED", "seed: it collapsed, but whether onto what was there before is open"
        return ("NUCLEATION" if evidence.seed else "RENUCLEATION"), None
    if evidence.promptability_change.above(margins.promptability_change):
        return "REMELTING", None
    if collapse is None and evidence.prompts < 2:
        return "UNDETERMINED", "one prompt: promptability is unknown, so a collapse cannot be excluded"
    if collapse is None:
        return "UNDETERMINED", "promptability: a collapse can be neither shown nor excluded"
    if evidence.entropy_change.above(evidence.entropy_margin):
        return "REMELTING", None
    if evidence.promptability_change.may_be_above(margins.promptability_change):
        return "UNDETERMINED", "promptability: its estimate rose, which is neither shown nor excluded"
    if evidence.entropy_change.may_be_above(evidence.entropy_margin):
        return "UNDETERMINED", "entropy: its estimate rose, which is neither shown nor excluded"
    if evidence.retention_change.below(-margins.retention):
        return "RENUCLEATION", None
    if evidence.retention_change.above(-margins.retention):
        if evidence.jsd.above(margins.jsd):
            return "SETTLING", None
        return "UNDETERMINED", "divergence: something moved, but whether by more than its margin is open"
    return "UNDETERMINED", "retention: whether mass left the earlier checkpoint's options is open"
