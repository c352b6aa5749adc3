"""Planted long ladders: any number of checkpoints, and changes at known places.

Three stories: ``cuts`` (the distributions change at given checkpoints and nowhere else), ``drift`` (they move
a little at every checkpoint, evenly in the logarithm of the step) and ``flat`` (they never change).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.samples import Checkpoint, Prompt
from crystal.states.tables import TaskTable
from crystal.testing.planted import PlantedLadder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

LongKind = Literal["cuts", "drift", "flat"]
Spacing = Literal["log", "even"]
_FIRST_STEP = 10


@dataclass(frozen=True)
class LongLadder:
    """A long ladder with its truth."""

    truth: PlantedLadder
    """The exact distributions; its ``tables``, ``samples`` and ``distributions`` draw from them."""
    kind: LongKind
    changes: tuple[int, ...]
    """The true cuts: t lies between checkpoints t - 1 and t. Empty unless ``kind`` is ``cuts``."""

    def tables(self, samples: int, *, draw: int = 0) -> list[TaskTable]:
        """Draw count tables, one a task (:meth:`crystal.testing.planted.PlantedLadder.tables`)."""
        return self.truth.tables(samples, draw=draw)

    def samples(self, samples: int, *, draw: int = 0) -> pa.Table:
        """Draw a sample table (:meth:`crystal.testing.planted.PlantedLadder.samples`)."""
        return self.truth.samples(samples, draw=draw)

    def counts(self, samples: int, *, draw: int = 0) -> npt.NDArray[np.int64]:
        """Draw counts, int64 [tasks * prompts, checkpoints, options], as change points are sought in.

        Examples
        --------
        >>> long_ladder("flat", rungs=12, tasks=2, prompts=3, options=4).counts(50).shape
        (6, 12, 4)
        """
        tables = self.tables(samples, draw=draw)
        return np.concatenate([table.counts.transpose(1, 0, 2) for table in tables])


def long_ladder(
    kind: LongKind = "cuts",
    *,
    rungs: int = 100,
    changes: Sequence[int] | None = None,
    size: float = 1.0,
    spacing: Spacing = "log",
    tasks: int = 20,
    prompts: int = 8,
    options: int = 10,
    seed: int = 0,
) -> LongLadder:
    """Plant a ladder of many checkpoints.

    Parameters
    ----------
    kind : {"cuts", "drift", "flat"}
        The story.
    rungs : int
        Checkpoints, at least 2.
    changes : sequence of int, optional
        For ``cuts``: the cuts, each in [1, rungs - 1]; the default is one in the middle.
    size : float
        Share of the mass that moves to another distribution at a cut, or over the whole drift; in (0, 1].
    spacing : {"log", "even"}
        Steps that grow by a factor, or by a constant. A drift is linear in ln(1 + step), so with even steps
        most of it happens early.
    tasks, prompts, options : int
        Sizes; 1, 1 and 2 at least.
    seed : int
        Seed of the truth and of all draws.

    Returns
    -------
    LongLadder

    Raises
    ------
    SettingsError
        For an unknown story or a size out of range.

    Examples
    --------
    >>> ladder = long_ladder("cuts", rungs=30, changes=(10, 20), tasks=1, prompts=1)
    >>> p = ladder.truth.probabilities[0, :, 0]
    >>> [t for t in range(1, 30) if abs(p[t] - p[t - 1]).max() > 0]
    [10, 20]
    """
    cuts = _cuts(kind, rungs, changes)
    for word, value, least in (("tasks", tasks, 1), ("prompts", prompts, 1), ("options", options, 2)):
        if value < least:
            raise SettingsError("too few", where=word, expected=f"{least} or more", got=str(value))
    if not 0.0 < size <= 1.0:
        raise SettingsError("not a share of the mass", where="size", expected="in (0, 1]", got=str(size))
    steps = _steps(rungs, spacing)
    random = np.random.default_rng([seed, 2])
    places = random.dirichlet(np.ones(options), size=(len(cuts) + 2, tasks, prompts))
    weights = np.zeros((rungs, len(places)))
    if kind == "drift":
        moved = size * np.log1p(steps) / np.log1p(steps[-1])
        weights[:, 0], weights[:, 1] = 1.0 - moved, moved
    else:
        at = np.searchsorted(cuts, np.arange(rungs), side="right")
        mixed = np.eye(len(places))
        for i in range(1, len(places)):
            mixed[i] = (1.0 - size) * mixed[i - 1] + size * mixed[i]
        weights = mixed[at]
    name = f"planted-{kind}"
    truth = PlantedLadder(
        kind=kind,
        name=name,
        checkpoints=tuple(_rung(name, i, rungs, int(step)) for i, step in enumerate(steps)),
        prompts=tuple(Prompt("context", f"context-{i}") for i in range(prompts)),
        tasks=tuple(f"task-{i:02}" for i in range(tasks)),
        options=tuple(f"option-{i:02}" for i in range(options)),
        probabilities=np.einsum("cd,dtpk->tcpk", weights, places),
        validity=np.ones(rungs),
        seeds=np.zeros(tasks, dtype=np.int64),
        seed=seed,
    )
    return LongLadder(truth, kind, cuts)


def _cuts(kind: str, rungs: int, changes: Sequence[int] | None) -> tuple[int, ...]:
    if kind not in ("cuts", "drift", "flat"):
        raise SettingsError(
            "no such planted ladder", where="kind", expected="cuts, drift, flat", got=repr(kind)
        )
    if rungs < 2:
        raise SettingsError("too few checkpoints", where="rungs", expected="2 or more", got=str(rungs))
    if kind != "cuts":
        if changes:
            raise SettingsError("only the story 'cuts' has cuts", where="changes", got=str(tuple(changes)))
        return ()
    cuts = tuple(sorted({rungs // 2} if changes is None else {int(cut) for cut in changes}))
    if not cuts or cuts[0] < 1 or cuts[-1] >= rungs:
        raise SettingsError(
            "a cut lies between two checkpoints",
            where="changes",
            expected=f"in 1 to {rungs - 1}",
            got=str(cuts),
        )
    return cuts


def _steps(rungs: int, spacing: str) -> npt.NDArray[np.int64]:
    if spacing not in ("log", "even"):
        raise SettingsError("no such spacing", where="spacing", expected="log, even", got=repr(spacing))
    rank = np.arange(rungs)
    if spacing == "even":
        return _FIRST_STEP * rank
    # ln(1 + step) is even in the rank, as nearly as whole steps allow.
    top = np.log1p(_FIRST_STEP * 10.0 ** min(rungs / 8, 4))
    steps = np.rint(np.expm1(top * rank / (rungs - 1))).astype(np.int64)
    return np.asarray(np.maximum.accumulate(steps - rank) + rank, dtype=np.int64)


def _rung(name: str, rank: int, rungs: int, step: int) -> Checkpoint:
    stage = "base" if rank == 0 else "sft" if 2 * rank < rungs else "rl"
    return Checkpoint(name, stage, step, f"{stage}-{step}")
