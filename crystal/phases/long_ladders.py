"""Where a ladder changes, over all of its tasks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.phases.results import ChangePoint, ChangeScan
from crystal.phases.settings import Settings
from crystal.samples import Checkpoint
from crystal.states.tables import Counts, Floats, TaskTable
from crystal.statistics.arnold import Dissimilarity, arnold_scan
from crystal.statistics.segmentation import find_transitions

FEWEST_CHECKPOINTS = 3
"""With two checkpoints there is one place to cut."""
SCAN_DRAWS = 499
"""Most permutations of a scan, which stops for nothing."""


def scan_ladder(
    tables: Sequence[TaskTable], settings: Settings
) -> tuple[list[ChangePoint], ChangeScan | None]:
    """Find the transitions of a ladder over every task and prompt, as ``settings.change_points`` says.

    Only prompts that were sampled at every checkpoint take part; a scan of Arnold et al. takes exact
    distributions where no prompt was sampled so, and then has a curve and no test.

    Parameters
    ----------
    tables : sequence of TaskTable
        The tasks of one ladder.
    settings : Settings

    Returns
    -------
    tuple of list of ChangePoint and ChangeScan or None
        The transitions in ladder order, none where the ladder is not shown to change; and how they were
        sought, None with fewer than three checkpoints or without prompts at every checkpoint.
    """
    rungs = tables[0].checkpoints
    if len(rungs) < FEWEST_CHECKPOINTS:
        return [], None
    tables = sorted(tables, key=lambda table: table.task)
    key = stream_key("change point", tables[0].ladder)
    sampled = _stacked([_sampled(table) for table in tables])
    if settings.change_points != "cuts":
        kind = cast(Dissimilarity, settings.change_points.removeprefix("arnold-"))
        return _scan(
            sampled if sampled.size else _stacked([_exact(table) for table in tables]),
            kind,
            rungs,
            settings,
            key,
        )
    found = find_transitions(
        sampled,
        alpha=settings.alpha,
        permutations=settings.draws,
        exceedances=settings.exceedances,
        seed=settings.seed,
        key=key,
        threads=settings.threads,
    )
    if found is None:
        return [], None
    changes = [
        ChangePoint(
            at=rungs[change.position].name,
            low=rungs[change.low].name,
            high=rungs[change.high].name,
            p=change.p,
            gradual=change.gradual,
        )
        for change in found.transitions
    ]
    return changes, ChangeScan(method="cuts", prompts=len(sampled), p=found.p, order_p=found.order_p)


def _scan(
    values: Counts | Floats, kind: Dissimilarity, rungs: Sequence[Checkpoint], settings: Settings, key: int
) -> tuple[list[ChangePoint], ChangeScan | None]:
    if not values.size:
        return [], None
    scan = arnold_scan(
        values,
        kind,
        window=settings.change_window,
        alpha=settings.alpha,
        permutations=min(settings.draws, SCAN_DRAWS),
        seed=settings.seed,
        key=key,
        threads=settings.threads,
    )
    names = [rung.name for rung in rungs]
    changes = [
        ChangePoint(
            at=names[peak.position], low=names[peak.low], high=names[peak.high], p=peak.p, gradual=None
        )
        for peak in scan.peaks
    ]
    return changes, ChangeScan(
        method=f"arnold-{kind}",
        prompts=len(values),
        p=scan.p,
        window=scan.window,
        curve=scan.curve.tolist(),
        null=[] if scan.null is None else scan.null.tolist(),
    )


def _sampled(table: TaskTable) -> Counts:
    everywhere = (table.counts.sum(axis=2) > 0).all(axis=0)
    counts: Counts = table.counts[:, everywhere].transpose(1, 0, 2)
    return counts


def _exact(table: TaskTable) -> Floats:
    mass = np.nansum(table.probabilities, axis=2, keepdims=True)
    everywhere = (table.exact & (mass[..., 0] > 0)).all(axis=0)
    p = np.nan_to_num(table.probabilities[:, everywhere]) / mass[:, everywhere]
    result: Floats = p.transpose(1, 0, 2)
    return result


def _stacked(parts: Sequence[npt.NDArray[np.generic]]) -> Counts | Floats:
    """Stack the prompts of all tasks [B, C, K], options that a task lacks as zeros."""
    parts = [part[..., part.astype(bool).any(axis=(0, 1))] for part in parts]
    options = max(part.shape[2] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, 0), (0, options - part.shape[2]))) for part in parts]
    result: Counts | Floats = np.concatenate(padded)
    return result
