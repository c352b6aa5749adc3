"""One ladder: every task and family measured, tested together, named, and summed up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace

from crystal.ops.resampling import stream_key
from crystal.phases.checkpoints import checkpoint_result
from crystal.phases.clauses import Rungs, decide_clauses, find_rungs
from crystal.phases.cluster_results import ClusterResult
from crystal.phases.clusters import task_clusters
from crystal.phases.evidence import sentences
from crystal.phases.long_ladders import scan_ladder
from crystal.phases.results import (
    CheckpointResult,
    FamilyResult,
    LadderCheckpoint,
    LadderResult,
    LadderTransition,
    Phase,
    TaskResult,
    TransitionResult,
    Verdict,
)
from crystal.phases.seed_between import seed_between
from crystal.phases.seed_results import SeedResult
from crystal.phases.sensitivity import controls, sensitivity
from crystal.phases.settings import Settings
from crystal.phases.transitions import Comparison, compare, conclude
from crystal.phases.verdict import Evidence
from crystal.phases.workers import ALONE, Workers
from crystal.states.tables import TaskTable
from crystal.statistics.multiple import benjamini_hochberg

Word = TypeVar("Word", bound=str)

TASKS, CLAUSES = "judging tasks", "judging clauses"
CHANGES, NAMES = "looking for change points", "naming transitions"
"""What progress bars say."""
ALL = ""
"""Name of the group of all prompts; families have names of their own."""


@dataclass
class Unit:
    """One task over one group of prompts: all of them, or one family."""

    table: TaskTable
    checkpoints: list[CheckpointResult] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    transitions: list[TransitionResult] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    seed: SeedResult | None = None


def judge(
    tables: Sequence[TaskTable],
    settings: Settings,
    workers: Workers = ALONE,
    tick: Callable[[str], None] = lambda _: None,
) -> LadderResult:
    """Measure and classify one ladder.

    Parameters
    ----------
    tables : sequence of TaskTable
        The tasks of one ladder, all with the same checkpoints in ladder order.
    settings : Settings
    workers : Workers
        What the tasks are spread over.
    tick : callable
        Called with what was done, :data:`TASKS` or :data:`CLAUSES` for every task and test of a clause,
        :data:`CHANGES` and :data:`NAMES` once each, before it begins: for progress bars.

    Returns
    -------
    LadderResult
    """
    names = [checkpoint.name for checkpoint in tables[0].checkpoints]
    if workers:
        settings = replace(settings, threads=1)
    rungs = find_rungs(sorted(tables, key=lambda table: table.task), settings)
    over_tasks: list[Any] = []

    def over(tell: Callable[[], None]) -> None:
        def tested() -> None:
            tick(CLAUSES)
            tell()

        over_tasks.append(decide_clauses(tables, settings, tested))
        tick(CHANGES)
        over_tasks.append(scan_ladder(tables, settings))

    found = workers.map(
        measure_task,
        [(table, rungs, settings) for table in tables],
        tick=lambda: tick(TASKS),
        meanwhile=over,
    )
    clauses, (changes, scan) = over_tasks
    units = {table.task: groups for table, (groups, _) in zip(tables, found, strict=True)}
    tick(NAMES)
    name_transitions(units, settings, workers)
    tasks = {
        task: _task_result(groups, names, clusters)
        for (task, groups), (_, clusters) in zip(units.items(), found, strict=True)
    }
    whole = [groups[ALL] for groups in units.values()]
    promptabilities = [[c.metrics["promptability"].value for c in unit.checkpoints] for unit in whole]
    decided = [pair for unit in whole for pair in zip(unit.comparisons, unit.evidence, strict=True)]
    result = LadderResult(
        picture_holds=clauses.picture_holds,
        clauses=clauses.results,
        evidence=[],
        change_points=changes,
        change_scan=scan,
        sensitivity=sensitivity(decided, tables, promptabilities, clauses, settings),
        controls=controls(tables, settings),
        checkpoints=[
            LadderCheckpoint(
                checkpoint=rung.name,
                stage=rung.stage,
                step=rung.step,
                phase=_majority([task.checkpoints[rung.name].phase for task in tasks.values()])
                or "UNDETERMINED",
            )
            for rung in tables[0].checkpoints
        ],
        tasks=tasks,
        transitions=[
            _ladder_transition([(unit.transitions[i], unit.evidence[i].differs) for unit in whole])
            for i in range(len(names) - 1)
        ],
    )
    result.evidence = sentences(result, tables, clauses, settings)
    return result


def measure_task(table: TaskTable, rungs: Rungs, settings: Settings) -> tuple[dict[str, Unit], ClusterResult]:
    """Compute everything of one task that does not depend on the other tasks, for every group of prompts."""
    families = sorted({prompt.family for prompt in table.prompts})
    whole = _measure(table, None, rungs, settings)
    groups = {ALL: whole}
    if len(families) == 1:
        # One family holds all prompts: the same numbers stand under both names.
        twin = Unit(whole.table, [replace(c) for c in whole.checkpoints], whole.comparisons, seed=whole.seed)
        groups |= {families[0]: twin} if families[0] else {}
    else:
        groups |= {family: _measure(table, family, rungs, settings) for family in families if family}
    return groups, task_clusters(table, whole.seed, settings)


def _measure(whole: TaskTable, family: str | None, rungs: Rungs, settings: Settings) -> Unit:
    table = whole.family(family)
    count = len(table.checkpoints)
    unit = Unit(table)
    known = []
    for i in range(count):
        key = stream_key("checkpoint", table.ladder, table.task, family or "", table.checkpoints[i].name)
        result, estimates = checkpoint_result(table, i, settings, key)
        unit.checkpoints.append(result)
        known.append(estimates)
    for i in range(count - 1):
        unit.comparisons.append(compare(whole, i, i + 1, settings, family, (known[i], known[i + 1])))
    base, tuned = rungs.base, rungs.tuned
    if base is not None and tuned is not None:
        adjacent = tuned == base + 1
        unit.seed = (
            unit.comparisons[base].seed if adjacent else seed_between(whole, base, tuned, settings, family)
        )
    return unit


def name_transitions(units: dict[str, dict[str, Unit]], settings: Settings, workers: Workers) -> None:
    """Give each transition its q over the tasks of its group, its verdict, and each checkpoint its phase."""
    by_group: dict[str, list[Unit]] = {}
    for groups in units.values():
        for group, unit in groups.items():
            by_group.setdefault(group, []).append(unit)
    distinct: dict[tuple[int, ...], list[Unit]] = {}
    for members in by_group.values():
        distinct.setdefault(tuple(id(unit.comparisons) for unit in members), members)
    asked = [call for members in distinct.values() for call in _with_q(members, settings)]
    concluded = iter(workers.map(_conclude, asked))
    named: dict[tuple[int, int], list[tuple[TransitionResult, Evidence]]] = {}
    for members in distinct.values():
        named |= {(id(unit.comparisons), id(members)): next(concluded) for unit in members}
    for members in by_group.values():
        first = distinct[tuple(id(unit.comparisons) for unit in members)]
        for unit in members:
            pairs = named[id(unit.comparisons), id(first)]
            # Where one family holds all prompts, the same numbers stand under both names.
            unit.transitions = [replace(transition) for transition, _ in pairs]
            unit.evidence = [evidence for _, evidence in pairs]
            _name_phases(unit)


_Call = tuple[list[Comparison], list[tuple[float | None, float]], Settings]


def _with_q(members: list[Unit], settings: Settings) -> list[_Call]:
    """Return what :func:`_conclude` needs of every unit of a group."""
    known: list[list[tuple[float | None, float]]] = [[] for _ in members]
    for i in range(len(members[0].comparisons)):
        q = benjamini_hochberg([unit.comparisons[i].p for unit in members])
        tested = max(int((~np.isnan(q)).sum()), 1)
        # The p at which one more task would be rejected: what a simulated p is held against.
        level = settings.alpha * min(int((q < settings.alpha).sum()) + 1, tested) / tested
        for row, value in zip(known, q.tolist(), strict=True):
            row.append((None if math.isnan(value) else value, level))
    return [(unit.comparisons, row, settings) for unit, row in zip(members, known, strict=True)]


def _conclude(
    comparisons: list[Comparison], known: list[tuple[float | None, float]], settings: Settings
) -> list[tuple[TransitionResult, Evidence]]:
    return [
        conclude(comparison, q, level, settings)
        for comparison, (q, level) in zip(comparisons, known, strict=True)
    ]


def _name_phases(unit: Unit) -> None:
    """Carry the phase along the ladder: verdicts change it, FROZEN and SETTLING keep what was reached."""
    reached: Phase = "UNDETERMINED"
    for i, checkpoint in enumerate(unit.checkpoints):
        verdict = unit.transitions[i - 1].verdict if i else None
        if checkpoint.phase == "LIQUID":
            reached = "LIQUID"
        elif verdict in {"NUCLEATION", "RENUCLEATION"}:
            reached = "NUCLEATED"
        elif verdict == "SETTLING" and reached in {"NUCLEATED", "SETTLED"}:
            reached = "SETTLED"
        elif not (verdict == "FROZEN" and reached in {"NUCLEATED", "SETTLED"}):
            reached = "UNDETERMINED"
        if reached == "UNDETERMINED" and checkpoint.reason is None:
            checkpoint.reason = "not shown to be liquid, and no nucleation was shown before it"
        elif reached != "UNDETERMINED":
            checkpoint.reason = None
        checkpoint.phase = reached


def _task_result(groups: dict[str, Unit], names: list[str], clusters: ClusterResult) -> TaskResult:
    def parts(unit: Unit) -> FamilyResult:
        return FamilyResult(
            checkpoints=dict(zip(names, unit.checkpoints, strict=True)),
            transitions=unit.transitions,
            seed=unit.seed,
        )

    whole = parts(groups[ALL])
    return TaskResult(
        checkpoints=whole.checkpoints,
        transitions=whole.transitions,
        seed=whole.seed,
        families={family: parts(unit) for family, unit in groups.items() if family != ALL},
        clusters=clusters,
    )


def _majority(words: Sequence[Word]) -> Word | None:
    """Return the word of at least half of the tasks, and of more than half of the decided ones."""
    decided = Counter(word for word in words if word != "UNDETERMINED")
    for word, count in decided.items():
        if 2 * count > decided.total() and 2 * count >= len(words):
            return word
    return None


def _shares(counts: Counter[Verdict]) -> str:
    """Write how many tasks got which verdict: "NUCLEATION in 1 of 12 tasks, 11 undecided"."""
    decided = sorted((-count, verdict) for verdict, count in counts.items() if verdict != "UNDETERMINED")
    parts = [f"{verdict} in {-count}" for count, verdict in decided]
    parts[0] += f" of {counts.total()} tasks"
    if undecided := counts["UNDETERMINED"]:
        parts.append(f"{undecided} undecided")
    return ", ".join(parts)


def _ladder_transition(results: Sequence[tuple[TransitionResult, bool]]) -> LadderTransition:
    """Sum up one step over the tasks, each with whether its gate says that anything differs."""
    first = results[0][0]
    counts: Counter[Verdict] = Counter(transition.verdict for transition, _ in results)
    most = _majority([transition.verdict for transition, _ in results])
    reason: str | None = None
    if counts.keys() == {"UNDETERMINED"}:
        reason = "no task is decided"
    elif most is None:
        reason = _shares(counts)
    return LadderTransition(
        from_=first.from_,
        to=first.to,
        verdict=most or "UNDETERMINED",
        reason=reason,
        changed=sum(differs for _, differs in results),
        counts=dict(sorted(counts.items())),
    )
