"""The cells of a task, one a checkpoint and prompt, in clusters of like distributions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.clustering.distributions import cluster_distributions
from crystal.clustering.partitions import Way
from crystal.clustering.results import Clusters
from crystal.ops.resampling import stream_key
from crystal.phases.cluster_results import Cluster, ClusterResult, ClusterTest
from crystal.phases.rows import rows_of
from crystal.phases.seed_results import SeedResult
from crystal.phases.settings import Settings
from crystal.states.tables import TaskTable

LEAST, MOST = 4, 256
"""Cells below which there is nothing to cluster, and above which checkpoints are left out."""
OPTIONS, SHOWN = 32, 8
"""Options that are told apart (the rarest of more are one), and those of a cluster that the report names."""

Mask = npt.NDArray[np.bool_]


def task_clusters(table: TaskTable, seed: SeedResult | None, settings: Settings) -> ClusterResult:
    """Cluster the distributions of all cells of a task, and say which cell is in which.

    Complete linkage of Jensen-Shannon divergences. Of samples it is cut where the null of so many clusters
    is first kept at ``settings.alpha`` (:func:`crystal.cluster_distributions`). Exact distributions have no
    noise to test, so two of one cluster are nearer than ``margins.jsd``, as the base's twins are in the
    search for a seed.

    Where some cells are exact and others sampled, the kind that more of them have is used. Of a long ladder,
    checkpoints evenly spaced take part, so many that there are at most 256 cells.

    Parameters
    ----------
    table : TaskTable
    seed : SeedResult or None
        The task's seed, to say which cluster holds it.
    settings : Settings
        ``alpha``, ``seed``, ``threads``, ``margins.min_valid`` and ``margins.jsd`` are used.
    """
    used, exact = _usable(table, settings.margins.min_valid)
    chosen = _spaced(used)
    mask = used & chosen[:, None]
    found = ClusterResult(
        exact=exact,
        k=0,
        prompts=[prompt.prompt for prompt in table.prompts],
        families=[prompt.family for prompt in table.prompts],
        left_out=int((table.present & ~mask).sum()),
    )
    cells = int(mask.sum())
    if cells < LEAST:
        found.reason = (
            f"more than {MOST} cells at two checkpoints"
            if used.sum() >= LEAST and not chosen.any()
            else f"{cells} of {LEAST} cells that it takes"
            + ("" if exact else f" have {settings.margins.min_valid} valid samples")
        )
        return found
    if not chosen.all():
        found.reason = f"of {len(chosen)} checkpoints {int(chosen.sum())}, evenly spaced, take part"
    rows, options = _rows(table, mask, exact)
    clusters = _clusters(rows, table, settings)
    found.k = clusters.k
    found.tests = [ClusterTest(k=test.k, p=test.p, draws=test.draws) for test in clusters.tests]
    found.stability = clusters.stability
    found.within = clusters.objective
    numbers = np.zeros(mask.shape, dtype=np.int64)
    numbers[mask] = clusters.labels + 1
    names = [rung.name for rung in table.checkpoints]
    found.cells = {
        name: [number or None for number in numbers[i].tolist()]
        for i, name in enumerate(names)
        if mask[i].any()
    }
    found.clusters = _members(clusters, numbers, names, options, exact=exact)
    if seed is not None and seed.found and seed.base in found.cells and seed.prompt in found.prompts:
        found.seed = found.cells[seed.base][found.prompts.index(seed.prompt)]
    return found


def _clusters(rows: npt.NDArray[np.generic], table: TaskTable, settings: Settings) -> Clusters:
    if rows.dtype.kind == "f":
        heights = (
            Way("complete", "js", restarts=1, threads=settings.threads).tree(rows.astype(np.float64)).height
        )
        k = len(rows) - int((heights < settings.margins.jsd).sum())
        return cluster_distributions(rows, "complete", k=k, threads=settings.threads)
    return cluster_distributions(
        rows,
        "complete",
        counts=True,
        alpha=settings.alpha,
        draws=math.ceil(2 / settings.alpha) - 1,
        threads=settings.threads,
        seed=stream_key("clusters", settings.seed, table.ladder, table.task),
    )


def _usable(table: TaskTable, min_valid: int) -> tuple[Mask, bool]:
    """Return the cells [C, P] that can take part, all of the kind that more of them have."""
    kinds = {True: np.zeros(table.present.shape, bool), False: np.zeros(table.present.shape, bool)}
    for number in range(len(table.checkpoints)):
        rows, mask = rows_of(table, number, min_valid)
        kinds[rows.exact][number] = mask
    exact = bool(kinds[True].sum() > kinds[False].sum())
    return kinds[exact], exact


def _spaced(used: Mask) -> Mask:
    """Return the checkpoints [C] that take part: all, or as many as leave at most ``MOST`` cells."""
    checkpoints = len(used)
    for count in range(checkpoints, min(checkpoints, 2) - 1, -1):
        chosen = np.zeros(checkpoints, bool)
        chosen[np.linspace(0, checkpoints - 1, count).round().astype(int)] = True
        if used[chosen].sum() <= MOST:
            return chosen
    return np.zeros(checkpoints, bool)


def _rows(table: TaskTable, mask: Mask, exact: bool) -> tuple[npt.NDArray[np.generic], list[str]]:
    """Return the distributions of the cells, and the options that are not among "all others", the last."""
    rows: npt.NDArray[np.generic] = (table.probabilities if exact else table.counts)[mask]
    if exact:
        rows = np.nan_to_num(rows)
        rows = rows / rows.sum(axis=1, keepdims=True)
    mass = (rows / rows.sum(axis=1, keepdims=True)).sum(axis=0)
    order = np.argsort(-mass, kind="stable")[: int((mass > 0).sum())]
    if len(order) > OPTIONS:
        rare = rows[:, order[OPTIONS - 1 :]].sum(axis=1, keepdims=True)
        order = order[: OPTIONS - 1]
        rows = np.concatenate([rows[:, order], rare], axis=1)
    else:
        rows = rows[:, order]
    return rows, [table.options[i] for i in order]


def _members(
    clusters: Clusters, numbers: npt.NDArray[np.int64], names: list[str], options: list[str], *, exact: bool
) -> list[Cluster]:
    members = []
    for c in range(clusters.k):
        counts = (numbers == c + 1).sum(axis=1).tolist()
        centre = clusters.centroids[c, : len(options)]
        likely = [int(i) for i in np.argsort(-centre, kind="stable")[:SHOWN] if centre[i] > 0]
        members.append(
            Cluster(
                cells={name: count for name, count in zip(names, counts, strict=True) if count},
                samples=None if exact else int(clusters.sizes[c]),
                distribution={options[i]: float(centre[i]) for i in likely},
            )
        )
    return members
