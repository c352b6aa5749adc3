"""How much the verdicts hang on choices (margins, sets, labels), and controls with a known answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from crystal.ops.resampling import split_counts, stream_key
from crystal.phases.clauses import Clauses
from crystal.phases.permuting import permuted
from crystal.phases.settings import Margins, Settings
from crystal.phases.transitions import Comparison, entropy_limits, retention_limits
from crystal.phases.verdict import Evidence, Limits, decide
from crystal.states.tables import TaskTable
from crystal.statistics.multiple import benjamini_hochberg

SCALED = ("liquid", "promptability_change", "jsd", "entropy_change", "entropy_change_open", "retention")
"""The margins that are halved and doubled."""
RETENTION_MASSES = (0.8, 0.95)


def sensitivity(
    decided: Sequence[tuple[Comparison, Evidence]],
    tables: Sequence[TaskTable],
    promptabilities: Sequence[Sequence[float | None]],
    clauses: Clauses,
    settings: Settings,
) -> dict[str, Any]:
    """Decide all transitions again under other choices, and count the verdicts that change.

    Parameters
    ----------
    decided : sequence of (Comparison, Evidence)
        Every task's transitions over all prompts, with the evidence that named them.
    tables : sequence of TaskTable
    promptabilities : sequence of sequences
        Of every task, the promptability at each checkpoint; None where it is not known.
    clauses : Clauses
    settings : Settings

    Returns
    -------
    dict
        By variation: ``changed`` verdicts ``of`` all, and the new ``verdicts``.
    """
    margins = settings.margins
    open_to = [(comparison, evidence) for comparison, evidence in decided if comparison.blocked is None]
    before = [decide(evidence, margins)[0] for _, evidence in open_to]

    def variation(evidences: Iterable[Evidence], other: Margins) -> dict[str, Any]:
        after = [decide(evidence, other)[0] for evidence in evidences]
        changed = sum(old != new for old, new in zip(before, after, strict=True))
        return {"changed": changed, "of": len(after), "verdicts": dict(sorted(Counter(after).items()))}

    def scaled(evidence: Evidence, factor: float) -> Evidence:
        return replace(evidence, entropy_margin=evidence.entropy_margin * factor)

    result: dict[str, Any] = {}
    for word, factor in (("margins_halved", 0.5), ("margins_doubled", 2.0)):
        other = msgspec.structs.replace(margins, **{name: getattr(margins, name) * factor for name in SCALED})
        result[word] = variation([scaled(evidence, factor) for _, evidence in open_to], other)
    for mass in RETENTION_MASSES:
        result[f"retention_mass_{mass:g}"] = variation(
            [
                replace(evidence, retention_change=retention_limits(comparison, settings, mass))
                if _hangs_on_retention(evidence, margins)
                else evidence
                for comparison, evidence in open_to
            ],
            margins,
        )
    result["entropy_jackknife"] = variation(
        [
            replace(evidence, entropy_change=entropy_limits(comparison, settings))
            for comparison, evidence in open_to
        ],
        margins,
    )
    result["stage_labels_removed"] = _without_labels(tables, promptabilities, clauses)
    result["answer_rule"] = {"note": "texts are not kept: measure again with another --answer to compare"}
    return result


def _hangs_on_retention(evidence: Evidence, margins: Margins) -> bool:
    """Whether it matters to the verdict what mass was kept: limits of it are costly."""
    gone, kept = Limits(-1.0, -1.0), Limits(0.0, 0.0)
    verdicts = {decide(replace(evidence, retention_change=limits), margins) for limits in (gone, kept)}
    return len(verdicts) > 1


def _without_labels(
    tables: Sequence[TaskTable], promptabilities: Sequence[Sequence[float | None]], clauses: Clauses
) -> dict[str, Any]:
    """Say whether the numbers alone pick the rung that the label sft picked."""
    names = [checkpoint.name for checkpoint in tables[0].checkpoints]
    labelled = clauses.rungs.tuned if clauses.rungs.by_sft else None
    start = 0 if clauses.rungs.base is None else clauses.rungs.base
    rows = [row for row in promptabilities if None not in row]
    later = np.mean(np.array(rows, dtype=np.float64), axis=0)[start + 1 :] if rows else np.empty(0)
    by_numbers = start + 1 + int(later.argmin()) if later.size else None
    return {
        "end_of_sft": None if labelled is None else names[labelled],
        "least_promptable_later_rung": None if by_numbers is None else names[by_numbers],
        "same": None if labelled is None or by_numbers is None else labelled == by_numbers,
    }


def controls(tables: Sequence[TaskTable], settings: Settings) -> dict[str, Any]:
    """Split the first checkpoint in two random halves: nothing may differ.

    Returns
    -------
    dict
        ``split_half``: the ``checkpoint``, the ``tasks`` tested, and how many were ``rejected`` at q < alpha;
        empty where no task has sampled prompts.
    """
    p = []
    for table in tables:
        counts = table.counts[0][table.counts[0].sum(axis=1) >= 2 * settings.margins.min_valid]
        if not len(counts):
            continue
        key = stream_key("control", "split_half", table.ladder, table.task)
        half = split_counts(counts, splits=1, seed=settings.seed, key=key)[0]
        blocks = np.stack([half, counts - half], axis=1)
        test = permuted(blocks, "g", settings, stream_key(key, "test"))
        p.append(test.p)
    if not p:
        return {}
    q = benjamini_hochberg(p)
    return {
        "split_half": {
            "checkpoint": tables[0].checkpoints[0].name,
            "tasks": len(p),
            "rejected": int((q < settings.alpha).sum()),
        }
    }
