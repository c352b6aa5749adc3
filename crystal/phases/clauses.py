"""The picture's three clauses over the tasks of a ladder: each holds, is refuted, or is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from crystal.errors import LadderError
from crystal.ops.resampling import stream_key
from crystal.phases.liquid import TaskTest, liquid_test
from crystal.phases.nucleation import FEWEST_SPLITS, NucleationTest
from crystal.phases.over_tasks import Decided, decide, over_families, tail, unknown, withdraw
from crystal.phases.results import ClauseResult
from crystal.phases.rows import promptedness, rows_of
from crystal.phases.settings import Settings
from crystal.phases.settling import SettlingTest, settling_test
from crystal.states.tables import TaskTable
from crystal.statistics.multiple import benjamini_hochberg

CLAUSES = ("liquid", "nucleation", "settling")
GENERATORS = 3
Of = TypeVar("Of")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Rungs:
    """The rungs that the clauses compare, as indices into the ladder."""

    base: int | None
    """The last base rung."""
    tuned: int | None
    """The end of SFT; without SFT, the least promptable later rung."""
    last: int
    by_sft: bool
    """Whether ``tuned`` is the end of an SFT stage. If not, nucleation can be refuted but never confirmed."""


@dataclass(frozen=True)
class Clauses:
    """The three clauses of one ladder, and what they say together."""

    results: dict[str, ClauseResult]
    """By clause: ``liquid``, ``nucleation``, ``settling``."""
    picture_holds: bool | None
    """True if all three hold, False if one is refuted, else None."""
    missing: tuple[str, ...]
    """Why a clause is not known, a sentence each."""
    rungs: Rungs
    tests: dict[str, tuple[TaskTest, ...]] = field(default_factory=dict)
    """By clause: the test of every task and family, before any correction for their number."""


def decide_clauses(
    tables: Sequence[TaskTable],
    settings: Settings | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Clauses:
    """Decide whether the picture of liquid, nucleation and settling holds for one ladder.

    Each clause is tested on every task, for each family of prompts by itself. Over the tasks of a family,
    Benjamini-Hochberg is applied to the p-values of yes and to those of no; the other tasks are undecided.
    A clause is confirmed where the exact one-sided lower limit of its share of the decided tasks exceeds
    1/2, and refuted where the upper limit is below; either needs 5 decided tasks, and half of those tested.
    Over the families it is true if one says true and none false, false if one says false and none true.

    Results depend on nothing but the tables and the settings: not on threads, nor on the order of tasks.

    Parameters
    ----------
    tables : sequence of TaskTable
        The tasks of one ladder, with the same checkpoints.
    settings : Settings, optional
        Level, margins, splits, draws, seed.
    tick : callable
        Called once a test of a clause on a task, for a progress bar.

    Returns
    -------
    Clauses

    Raises
    ------
    LadderError
        If there are no tables, or they are of different ladders.

    Examples
    --------
    >>> from crystal.testing.planted import ladder
    >>> clauses = decide_clauses(ladder("escape", tasks=6, prompts=4).exact_tables())
    >>> clauses.picture_holds, clauses.results["liquid"].holds, clauses.results["settling"].holds
    (False, True, False)
    """
    settings = settings or Settings()
    tables = sorted(tables, key=lambda table: table.task)
    _one_ladder(tables)
    families = sorted({prompt.family for table in tables for prompt in table.prompts})
    rungs = find_rungs(tables, settings)
    seeds = tuple(settings.seed + number * 0x9E3779B9 for number in range(GENERATORS))
    parts: dict[str, dict[str, Decided]] = {clause: {} for clause in CLAUSES}
    for family in families:
        own = [table for table in tables if any(prompt.family == family for prompt in table.prompts)]
        liquid, nucleation, settling = _family(own, family, rungs, settings, seeds, tick)
        parts["liquid"][family], parts["nucleation"][family], parts["settling"][family] = (
            liquid,
            nucleation,
            settling,
        )
    results = {clause: over_families(parts[clause], settings.alpha) for clause in CLAUSES}
    held = [results[clause].holds for clause in CLAUSES]
    picture = False if False in held else None if None in held else True
    missing = tuple(
        f"{clause}: {results[clause].reason}" for clause in CLAUSES if results[clause].holds is None
    )
    tests = {clause: tuple(t for part in parts[clause].values() for t in part.tests) for clause in CLAUSES}
    return Clauses(results, picture, missing, rungs, tests)


def _one_ladder(tables: Sequence[TaskTable]) -> None:
    if not tables:
        raise LadderError("no task to decide the clauses on", where="decide_clauses")
    if len({(table.ladder, table.checkpoints) for table in tables}) > 1:
        names = ", ".join(sorted({table.ladder for table in tables}))
        raise LadderError("tasks of different ladders", where="decide_clauses", got=names)


def find_rungs(tables: Sequence[TaskTable], settings: Settings) -> Rungs:
    """Return the rungs that the clauses of one ladder compare."""
    checkpoints = tables[0].checkpoints
    stages = [checkpoint.stage for checkpoint in checkpoints]
    last = len(stages) - 1
    base = max((i for i, stage in enumerate(stages) if stage == "base"), default=None)
    if base is None:
        return Rungs(None, None, last, by_sft=False)
    sft = max((i for i, stage in enumerate(stages) if stage == "sft" and i > base), default=None)
    if sft is not None:
        return Rungs(base, sft, last, by_sft=True)
    later = range(base + 1, last + 1)
    tuned = min(later, key=lambda i: (_mean_promptability(tables, i, settings), i), default=None)
    return Rungs(base, tuned, last, by_sft=False)


def _mean_promptability(tables: Sequence[TaskTable], checkpoint: int, settings: Settings) -> float:
    values = []
    for table in tables:
        for family in {prompt.family for prompt in table.prompts}:
            rows, _ = rows_of(table.family(family), checkpoint, settings.margins.min_valid)
            if len(rows.p) >= 2:
                key = stream_key("least promptable", table.task, family, checkpoint)
                values.append(float(promptedness(rows, settings.seed, key, settings.threads).mean()))
    return float(np.mean(values)) if values else np.inf


def _family(
    tables: Sequence[TaskTable],
    family: str,
    rungs: Rungs,
    settings: Settings,
    seeds: tuple[int, ...],
    tick: Callable[[], None],
) -> tuple[Decided, Decided, Decided]:
    if rungs.base is None:
        nothing = unknown("no checkpoint of stage base", len(tables))
        return nothing, nothing, nothing
    base = rungs.base
    liquid = decide(
        _each(lambda table: liquid_test(table, base, family, settings), tables, tick), settings.alpha
    )
    tuned = rungs.tuned
    if tuned is None:
        nothing = unknown("no checkpoint after the base", len(tables))
        return liquid, nothing, nothing
    fluid = [table for table in tables if liquid.states.get(table.task)]
    nucleation = _nucleation(fluid, family, base, tuned, rungs.by_sft, settings, seeds, tick)
    settling = (
        unknown("no checkpoint after " + tables[0].checkpoints[tuned].name, len(tables))
        if tuned == rungs.last
        else _settling(
            _each(lambda table: settling_test(table, tuned, rungs.last, family, settings), tables, tick),
            settings.alpha,
        )
    )
    return liquid, nucleation, settling


def _each(function: Callable[[Of], Found], arguments: Sequence[Of], tick: Callable[[], None]) -> list[Found]:
    """Return the function of each argument, with a tick after each."""
    found = []
    for argument in arguments:
        found.append(function(argument))
        tick()
    return found


def _nucleation(
    tables: Sequence[TaskTable],
    family: str,
    base: int,
    tuned: int,
    by_sft: bool,
    settings: Settings,
    seeds: tuple[int, ...],
    tick: Callable[[], None],
) -> Decided:
    if not tables:
        return unknown("no task on which the base is shown to be liquid", 0)
    tests = [NucleationTest(table, base, tuned, family, settings) for table in tables]
    first = decide(_each(lambda test: test.at(seeds[0]), tests, tick), settings.alpha)
    if first.result.holds is None:
        return first
    sampled = any(not table.exact[[base, tuned]].all() for table in tables)
    if sampled and settings.splits < FEWEST_SPLITS:
        return withdraw(first, f"{settings.splits} splits; {FEWEST_SPLITS} are needed")
    if first.result.holds and not by_sft:
        return withdraw(first, "the ladder has no SFT rung, so a collapse cannot be laid to SFT")
    # The other seeds can only take an answer back, so they are asked last.
    others = (
        decide([t.again(one, seed) for t, one in zip(tests, first.tests, strict=True)], settings.alpha)
        for seed in seeds[1:]
    )
    if any(other.result.holds is not first.result.holds for other in others):
        return withdraw(first, "the answer depends on the seed of the generator: more samples are needed")
    if (
        first.result.holds
        and tail([test.chance for test in tests], first.result.tasks_hold) >= settings.alpha
    ):
        return withdraw(first, "shuffled options find a seed as often: the options are too few or too alike")
    return first


def _settling(tests: Sequence[SettlingTest], alpha: float) -> Decided:
    decided = decide([test.stayed for test in tests], alpha)
    q = benjamini_hochberg([test.moved for test in tests])
    if decided.result.holds and not (q < alpha).any():
        return withdraw(decided, "nothing is shown to have moved after SFT")
    return decided
