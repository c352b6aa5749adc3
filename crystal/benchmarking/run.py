"""One run: the operations, then logs of growing size, then the largest from end to end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from crystal.benchmarking import machine, operations, samples, whole
from crystal.benchmarking.results import Findings, Operation, Whole
from crystal.errors import SettingsError

Progress = Callable[[str, int, int | None], None]
SCHEMA_VERSION = "1.0"


class Plan(NamedTuple):
    """How much a run does."""

    operations: tuple[str, ...]
    sizes: tuple[int, ...]
    """Samples of each log; empty leaves the whole job out."""
    jsonl: tuple[int, ...]
    tasks: int
    """Tasks of the log that is analysed from end to end; 0 leaves that out."""
    seconds: float
    """About how long for each line, peers included."""
    quick: bool
    size: int | None = None
    """Another size of every operation, for tests."""


def plan(*, quick: bool, only: Sequence[str] = (), most: int = 10**7) -> Plan:
    """Return the plan of a full or a quick run.

    Parameters
    ----------
    quick : bool
        Seconds rather than minutes: small inputs, logs up to 10^5 samples, none analysed to the end.
    only : sequence of str
        Operations to run, and ``whole`` for the whole job; all of it by default.
    most : int
        Samples of the largest log.

    Raises
    ------
    SettingsError
        If a name is in no registry.

    Examples
    --------
    >>> plan(quick=True, only=["js-matrix", "whole"]).sizes
    (10000, 100000)
    """
    known = [*operations.REGISTRY, "whole"]
    for name in only:
        if name not in known:
            raise SettingsError(
                "there is no such operation", where="--only", expected=", ".join(known), got=repr(name)
            )
    chosen = tuple(name for name in operations.REGISTRY if not only or name in only)
    if only and "whole" not in only:
        return Plan(chosen, (), (), 0, 0.5 if quick else 3.0, quick)
    top = min(most, 10**5) if quick else most
    sizes = tuple(10**power for power in range(4, 10) if 10**power <= top) or (most,)
    jsonl = tuple(size for size in sizes if size <= 10**6)
    return Plan(chosen, sizes, jsonl, 0 if quick else samples.TASKS, 0.5 if quick else 3.0, quick)


def run(plan: Plan, *, with_peers: bool, progress: Progress | None = None) -> Findings:
    """Carry out a plan.

    Parameters
    ----------
    plan : Plan
    with_peers : bool
        Race installed peers; those that are absent are named.
    progress : callable, optional
        Told what is done, how much of it is done, and how much there is.

    Returns
    -------
    Findings
    """
    card = machine.card()
    tell = progress or (lambda *_: None)
    timed: list[Operation] = []
    for done, name in enumerate(plan.operations):
        tell("operations", done, len(plan.operations))
        timed.append(
            operations.measure(
                name, quick=plan.quick, seconds=plan.seconds, with_peers=with_peers, size=plan.size
            )
        )
    operations.ragged.cache_clear()
    tell("operations", len(plan.operations), len(plan.operations))
    found: list[Whole] = []
    slopes: dict[str, float] = {}
    analysis = None
    with tempfile.TemporaryDirectory(prefix="crystal-bench-") as name:
        folder = Path(name)
        for form, sizes in (("parquet", plan.sizes), ("jsonl", plan.jsonl)):
            part: list[Whole] = []
            for one in whole.counting(sizes, form, folder, seconds=plan.seconds, with_peers=with_peers):
                part.append(one)
                tell(f"reading and counting {form}", len(part), len(sizes))
            if len(part) > 1:
                slopes[form] = whole.slope(part)
            found += part
        if plan.tasks and plan.sizes:
            analysis = whole.analysis(plan.tasks, plan.sizes[-1], folder, progress)
    return Findings(SCHEMA_VERSION, card, timed, found, slopes, analysis)
