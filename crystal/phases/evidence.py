"""What a ladder's numbers say, in sentences: nothing here that the numbers beside it do not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from crystal.phases.clauses import CLAUSES, Clauses
from crystal.phases.results import (
    ClauseResult,
    FamilyResult,
    LadderResult,
    LadderTransition,
    TransitionResult,
)
from crystal.phases.settings import Settings
from crystal.states.tables import TaskTable

_RUN = 5
"""Steps without a change that one sentence is enough for."""
_CLAIMS = {
    "liquid": "the base is liquid",
    "nucleation": "by the end of SFT, behaviour collapsed onto one distribution of the base",
    "settling": "after that, the seed's options kept their mass",
}


def sentences(
    result: LadderResult, tables: Sequence[TaskTable], clauses: Clauses, settings: Settings
) -> list[str]:
    """Say what was found, clause by clause and step by step, and what is missing."""
    said = [_picture(clauses)]
    said += [_clause(name, clauses.results[name]) for name in CLAUSES]
    said += _steps(result, settings)
    said += _promptability(result, clauses)
    said += _families(result)
    said += _missing(result)
    said += _cautions(tables, clauses, settings)
    return said


def _picture(clauses: Clauses) -> str:
    if clauses.picture_holds is None:
        open_clauses = [name for name in CLAUSES if clauses.results[name].holds is None]
        return f"Whether the picture holds is not known: {_join(open_clauses)} could not be decided."
    if clauses.picture_holds:
        return "The picture holds on this ladder: liquid, nucleation and settling are each confirmed."
    refuted = [name for name in CLAUSES if clauses.results[name].holds is False]
    return f"The picture does not hold on this ladder: {_join(refuted)} {_is(refuted)} refuted."


def _clause(name: str, clause: ClauseResult) -> str:
    word = {True: "confirmed", False: "refuted", None: "undetermined"}[clause.holds]
    counts = f"{clause.tasks_hold} of {clause.tasks} tasks say yes, {clause.tasks_refuted} say no"
    return f"{name.capitalize()} ({_CLAIMS[name]}): {word}; {counts}" + (
        f" - {clause.reason}." if clause.holds is None and clause.reason else "."
    )


def _steps(result: LadderResult, settings: Settings) -> list[str]:
    """Say what each step was; where many in a row show no change, one sentence says so of all."""
    said: list[str] = []
    label = result.labels()
    for changed, steps in groupby(enumerate(result.transitions), key=lambda step: bool(step[1].changed)):
        run = list(steps)
        if changed or len(run) < _RUN:
            said += [_step(transition, result, i, settings) for i, transition in run]
            continue
        verdicts = Counter[str]()
        for _, transition in run:
            verdicts.update(transition.counts)
        counts = _join([f"{count:,} {verdict}" for verdict, count in verdicts.items()])
        ends = f"{label[run[0][1].from_]} -> {label[run[-1][1].to]}"
        said.append(f"{ends}, {len(run)} steps: no change shown at any. Verdicts, over all: {counts}.")
    return said


def _step(transition: LadderTransition, result: LadderResult, index: int, settings: Settings) -> str:
    steps = [task.transitions[index] for task in result.tasks.values()]
    total = len(steps)
    exact = sum(step.metrics["jsd"].exact for step in steps)
    how = "JSD above its margin" if exact == total else f"q < {settings.alpha:g}"
    if transition.changed:
        opening = (
            f"a change: {transition.changed} of {total} {_tasks(total)} {_differ(transition.changed)} ({how})"
        )
    elif not any(step.paired for step in steps):
        opening = "nothing was compared: no task has a prompt with valid answers at both"
    else:
        opening = f"no change shown: none of {total} {_tasks(total)} differs ({how})"
    verdicts = _join([f"{count} {verdict}" for verdict, count in transition.counts.items()])
    jsd = [step.metrics["jsd"].value for step in steps]
    known = [value for value in jsd if value is not None]
    mean = f"; mean JSD {sum(known) / len(known):.3f} bit over {len(known)}" if known else ""
    label = result.labels()
    return f"{label[transition.from_]} -> {label[transition.to]}: {opening}{mean}. Verdicts: {verdicts}."


def _promptability(result: LadderResult, clauses: Clauses) -> list[str]:
    """Compare the base's mean promptability with that of later rungs, family by family."""
    if clauses.rungs.base is None:
        return []
    names = [rung.checkpoint for rung in result.checkpoints]
    groups: dict[str, list[FamilyResult]] = {}
    for task in result.tasks.values():
        for family, part in (task.families or {"": task}).items():
            groups.setdefault(family, []).append(part)
    said = []
    for family, parts in sorted(groups.items()):
        rows = [[part.checkpoints[name].metrics["promptability"].value for name in names] for part in parts]
        complete = [[value for value in row if value is not None] for row in rows if None not in row]
        if not complete:
            continue
        if clauses.rungs.base == len(names) - 1:
            continue
        means = [sum(column) / len(complete) for column in zip(*complete, strict=True)]
        base, later = means[clauses.rungs.base], means[clauses.rungs.base + 1 :]
        where = f" in family {family!r}" if family else ""
        label = result.labels()
        listing = ", ".join(f"{label[name]} {mean:.3f}" for name, mean in zip(names, means, strict=True))
        if min(later) > base:
            opening = f"The base is less promptable{where} than every later checkpoint"
        elif max(later) < base:
            opening = f"The base is more promptable{where} than every later checkpoint"
        else:
            opening = f"Promptability{where} is neither above nor below the base's at every later checkpoint"
        said.append(f"{opening}: {listing} bit (mean over {len(complete)} {_tasks(len(complete))}).")
    return said


def _families(result: LadderResult) -> list[str]:
    """Name the steps at which families of one task got different verdicts."""
    label = result.labels()
    said = []
    for i, step in enumerate(result.transitions):
        split = [
            name
            for name, task in result.tasks.items()
            if len({part.transitions[i].verdict for part in task.families.values()} - {"UNDETERMINED"}) > 1
        ]
        if split:
            said.append(
                f"{label[step.from_]} -> {label[step.to]}: prompt families disagree on {_join(split[:5])}"
                + (f" and {len(split) - 5} more" if len(split) > 5 else "")
                + "; see each task's families."
            )
    return said


def _missing(result: LadderResult) -> list[str]:
    """Say what would settle the open cases, and why they are open."""
    open_cases: list[TransitionResult] = [
        transition
        for task in result.tasks.values()
        for transition in task.transitions
        if transition.verdict == "UNDETERMINED"
    ]
    if not open_cases:
        return []
    said = []
    reasons = Counter(case.reason for case in open_cases if case.reason)
    common = reasons.most_common(4)
    listing = "; ".join(f"{count} x {reason}" if len(open_cases) > 1 else reason for reason, count in common)
    many = "task transition is" if len(open_cases) == 1 else "task transitions are"
    said.append(f"{len(open_cases)} {many} UNDETERMINED: {listing}.")
    prompts = [case.needs_prompts for case in open_cases if case.needs_prompts is not None]
    if prompts:
        said.append(
            f"{_of_them(len(prompts), len(open_cases))} would need more prompts (at least {max(prompts)} a "
            "task): with one wording of a task promptability is unknown, and with it whether a checkpoint is "
            "liquid or has collapsed."
        )
    samples = sorted(case.needs_samples for case in open_cases if case.needs_samples is not None)
    if samples:
        middle = samples[len(samples) // 2]
        several = samples[0] < samples[-1]
        said.append(
            f"{_of_them(len(samples), len(open_cases))} could be settled by more samples: "
            + (f"{samples[0]:,} to {samples[-1]:,}" if several else f"{middle:,}")
            + " a prompt in total, at each checkpoint"
            + (f" (median {middle:,})." if several else ".")
        )
    return said


def _cautions(tables: Sequence[TaskTable], clauses: Clauses, settings: Settings) -> list[str]:
    said = []
    unknown = sum(not any(table.decodings) for table in tables if table.counts.any())
    if unknown:
        said.append(
            f"The decoding settings of {unknown} {_tasks(unknown)} are not in the log; "
            "the same are assumed throughout."
        )
    if settings.allow_decoding:
        said.append("Checkpoints sampled with different decoding settings were compared, as asked.")
    if len(tables[0].checkpoints) == 1:
        said.append("The ladder has one checkpoint, and so no transition: give the samples of another too.")
    elif clauses.rungs.base is None:
        said.append("No rung is labelled base: the clauses compare with one, and stay open.")
    elif not clauses.rungs.by_sft:
        said.append(
            "No rung after the base is labelled sft: the least promptable later rung stands for the end of "
            "SFT, so nucleation can be refuted but not confirmed."
        )
    said.append("One ladder is one training run: p-values and limits speak of this one only.")
    return said


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "nothing"


def _of_them(some: int, total: int) -> str:
    return "It" if some == total == 1 else f"{some} of them"


def _is(words: Sequence[str]) -> str:
    return "is" if len(words) == 1 else "are"


def _tasks(count: int) -> str:
    return "task" if count == 1 else "tasks"


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"
