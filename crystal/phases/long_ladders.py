"""Where a ladder changes, over all of its tasks together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.results import ChangePoint
from crystal.phases.settings import Settings
from crystal.states.tables import Counts, TaskTable
from crystal.statistics.change_points import find_change_point

FEWEST_CHECKPOINTS = 3
"""With two checkpoints there is one place to cut."""
SIMULATED_CELLS = 20_000_000
"""Cells of simulated tables that are held at once."""


def change_points(tables: Sequence[TaskTable], settings: Settings) -> list[ChangePoint]:
    """Find the cut of the ladder with the largest G over every task and prompt, with its p and its interval.

    Only prompts that were sampled at every checkpoint take part. The list is empty where there are none, or
    fewer than three checkpoints.

    Parameters
    ----------
    tables : sequence of TaskTable
        The tasks of one ladder.
    settings : Settings

    Returns
    -------
    list of ChangePoint
        At most one; ``at`` names the first checkpoint after the change, ``low`` and ``high`` the first and
        last that the data do not exclude.
    """
    rungs = tables[0].checkpoints
    if len(rungs) < FEWEST_CHECKPOINTS:
        return []
    counts = _blocks(tables)
    if not counts.size:
        return []
    found = find_change_point(
        counts,
        [rung.step for rung in rungs],
        alpha=settings.alpha,
        permutations=settings.draws,
        exceedances=settings.exceedances,
        draws=int(np.clip(SIMULATED_CELLS // counts.size, 40, 400)),
        seed=settings.seed,
        key=stream_key("change point", tables[0].ladder),
        threads=settings.threads,
    )
    if found is None:
        return []
    return [
        ChangePoint(
            at=rungs[found.position].name,
            low=rungs[found.low].name,
            high=rungs[found.high].name,
            p=found.p,
            # A cut that is pinned to one step between neighbours is gradual within it at most.
            gradual=found.gradual and found.low != found.high,
        )
    ]


def _blocks(tables: Sequence[TaskTable]) -> Counts:
    """Stack the prompts of all tasks, int64 [B, C, K], options that a task lacks as zeros."""
    parts = []
    for table in sorted(tables, key=lambda table: table.task):
        everywhere = (table.counts.sum(axis=2) > 0).all(axis=0)
        counts = table.counts[:, everywhere].transpose(1, 0, 2)
        parts.append(counts[..., counts.sum(axis=(0, 1)) > 0])
    options = max(part.shape[2] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, 0), (0, options - part.shape[2]))) for part in parts]
    result: Counts = np.concatenate(padded)
    return result
