"""Judge a measurement: every ladder, task, checkpoint and transition, into one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from crystal.errors import InputError
from crystal.phases.ladder import CHANGES, NAMES, TASKS, judge
from crystal.phases.results import Inputs, LadderResult, PhaseReport
from crystal.phases.sequences import sequence_result
from crystal.phases.settings import Settings
from crystal.phases.tokens import token_result
from crystal.phases.workers import Workers
from crystal.states.measurement import Measurement
from crystal.states.needed import need_measurement
from crystal.states.sequence_cells import sequence_cells
from crystal.states.token_cells import token_cells


def classify(
    measurement: Measurement,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> PhaseReport:
    """Say in which phase each checkpoint is, what each transition was, and whether the picture holds.

    Everything is computed from the measurement's counts (or exact probabilities); ``docs/concepts.md`` has
    the rules. The same measurement, settings and seed give the same bytes, whatever the number of threads.

    Parameters
    ----------
    measurement : Measurement
        What :func:`crystal.measure` counted, or a merge of several.
    alpha : float
        Level of every test and, as 1 - alpha, of every interval; in (0, 0.5).
    seed : int
        Seed of the counter-based generator.
    settings : Settings, optional
        All settings at once; ``alpha`` and ``seed`` are then not used.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is (None if unknown).

    Returns
    -------
    PhaseReport

    Raises
    ------
    InputError
        If the measurement is empty.
    LadderError
        If the checkpoints of a ladder cannot be put in one order.
    SettingsError
        If a setting is out of its range, or ``measurement`` is none.

    Examples
    --------
    >>> import crystal
    >>> from crystal.testing import planted
    >>> measurement = crystal.measure(planted.ladder("frozen", tasks=1, prompts=2, options=3).samples(30))
    >>> report = crystal.classify(measurement, seed=1)
    >>> report.ladders["planted-frozen"].picture_holds is None
    True
    """
    need_measurement(measurement, "classify")
    settings = settings if settings is not None else Settings(alpha=alpha, seed=seed)
    ladders = measurement.ladders(settings.order)
    names = {ladder: measurement.task_names(ladder) for ladder in ladders}
    total = sum(len(tasks) for tasks in names.values())
    if not total:
        raise InputError("there is nothing to classify: the measurement is empty", where="measurement")
    done: Counter[str] = Counter()
    known = {TASKS: total, CHANGES: len(names), NAMES: len(names)}

    def tick(what: str) -> None:
        done[what] += 1
        if progress is not None:
            progress(what, done[what], known.get(what))

    tokens = token_cells(measurement.tokens)
    texts = sequence_cells(measurement.sequences)
    results: dict[str, LadderResult] = {}
    with Workers(settings.threads, total) as workers:
        for ladder, tasks in names.items():
            tables = [measurement.table(ladder, task, settings.order) for task in tasks]
            results[ladder] = judge(tables, settings, workers, tick)
    for ladder in names:
        names_in_order = [rung.name for rung in ladders[ladder]]
        results[ladder].tokens = token_result(tokens.get(ladder, {}), names_in_order, settings)
        results[ladder].sequences = sequence_result(texts.get(ladder, {}), names_in_order, settings)
    return PhaseReport(
        crystal_version=version(),
        settings=stated(settings, measurement),
        inputs=_inputs(measurement),
        ladders=results,
    )


def version() -> str:
    """Return the version of crystal."""
    from importlib import metadata

    return metadata.version("crystal-phases")


def stated(settings: Settings, measurement: Measurement) -> dict[str, Any]:
    """Everything that the numbers depend on; the number of threads is not among it."""
    stated: dict[str, Any] = msgspec.to_builtins(settings)
    del stated["threads"]
    stated["measured"] = dict(sorted(measurement.settings.items()))
    stated["bound_tasks"] = sorted(measurement.tasks)
    return stated


def _inputs(measurement: Measurement) -> Inputs:
    manifest = measurement.manifest
    return Inputs(files=list(manifest.files), samples=manifest.samples, rejected=manifest.rejected)
