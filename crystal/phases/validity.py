"""What a verdict is worth where many answers are off-task: limits widened by what those could hide."""

from __future__ import annotations

import math
from dataclasses import replace

from crystal.phases.settings import Margins
from crystal.phases.sides import Side
from crystal.phases.verdict import Evidence, Limits


def worst_case(evidence: Evidence, before: Side, after: Side, margins: Margins) -> Evidence | None:
    """Widen all limits by what the invalid answers could have been, or return None where they are few.

    With a share u of a side invalid, its full distribution is (1-u) P + u R with R unknown. Then
    JSD(P, full) <= u, and the root of the JSD is a metric (Endres and Schindelin 2003); a mass moves by at
    most u; an entropy by at most u log2 K + h(u), h the binary entropy, and a promptability by twice that.

    Parameters
    ----------
    evidence : Evidence
        Limits on the on-task part.
    before, after : Side
        The two checkpoints; open option lists have no validity and are left alone.
    margins : Margins
        ``validity`` and ``validity_change`` say when invalid answers are many.
    """
    if before.validity is None or after.validity is None:
        return None
    if (
        min(before.validity, after.validity) >= margins.validity
        and abs(after.validity - before.validity) <= margins.validity_change
    ):
        return None
    shares = (1 - before.validity, 1 - after.validity)
    options = before.counts.shape[1]
    blur = [_entropy_blur(share, options) for share in shares]
    root = sum(math.sqrt(share) for share in shares)
    jsd = evidence.jsd
    return replace(
        evidence,
        jsd=Limits(
            None if jsd.low is None else max(0.0, math.sqrt(max(jsd.low, 0.0)) - root) ** 2,
            None if jsd.high is None else min(1.0, (math.sqrt(max(jsd.high, 0.0)) + root) ** 2),
        ),
        entropy_change=_widened(evidence.entropy_change, sum(blur)),
        promptability_change=_widened(evidence.promptability_change, 2 * sum(blur)),
        promptability_from=_widened(evidence.promptability_from, 2 * blur[0]),
        halved=_widened(evidence.halved, 2 * sum(blur)),
        retention_change=_widened(evidence.retention_change, sum(shares)),
    )


def _entropy_blur(share: float, options: int) -> float:
    if share <= 0.0 or share >= 1.0:
        return share * math.log2(max(options, 2))
    binary = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    return share * math.log2(max(options, 2)) + binary


def _widened(limits: Limits, by: float) -> Limits:
    return Limits(
        None if limits.low is None else limits.low - by,
        None if limits.high is None else limits.high + by,
        limits.value,
    )
