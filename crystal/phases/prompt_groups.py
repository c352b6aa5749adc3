"""Prompts of one checkpoint and task in groups of like distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crystal.clustering.distributions import Geometry, Method, cluster_distributions
from crystal.clustering.results import Clusters, NullTest
from crystal.errors import SettingsError
from crystal.ops.resampling import stream_key
from crystal.phases.rows import Rows, rows_of
from crystal.phases.settings import Settings
from crystal.states.measurement import Measurement
from crystal.states.tables import TaskTable


@dataclass(frozen=True)
class Group:
    """Prompts whose answers are distributed alike."""

    prompts: tuple[str, ...]
    samples: int | None
    """Valid samples behind the group; None where distributions are exact."""
    distribution: tuple[tuple[str, float], ...]
    """Options and their probabilities in the group's mean, the largest first, without zeros."""


@dataclass(frozen=True)
class PromptGroups:
    """The groups of one task at one checkpoint."""

    ladder: str
    task: str
    checkpoint: str
    exact: bool
    """Whether distributions were scored exactly; then a group is a cloud, else one distribution."""
    left_out: int
    """Prompts with fewer valid samples than asked for."""
    groups: tuple[Group, ...]
    """None are there where no prompt has samples enough."""
    within: float | None
    """Bits that prompts tell about answers beyond their groups (half squared Hellinger distance in that
    geometry)."""
    tests: tuple[NullTest, ...]
    """The nulls of 1, 2, ... groups; empty where their number was given."""
    stability: float | None
    """Adjusted Rand index with the groups of 0.8 of the prompts."""


def prompt_groups(
    measurement: Measurement,
    *,
    ladder: str | None = None,
    tasks: Sequence[str] = (),
    checkpoints: Sequence[str] = (),
    method: Method = "kmeans",
    geometry: Geometry = "js",
    k: int | Literal["auto"] = "auto",
    settings: Settings | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> list[PromptGroups]:
    """Group the prompts of each task at each checkpoint by :func:`crystal.cluster_distributions`.

    Sampled prompts are grouped as counts: two groups are shown to be two distributions.

    Parameters
    ----------
    measurement : Measurement
    ladder : str, optional
        Which ladder, where there are several.
    tasks, checkpoints : sequence of str
        Names; all by default.
    method, geometry, k
        As of :func:`crystal.cluster_distributions`; a ``k`` above the number of prompts is that number.
    settings : Settings, optional
        ``alpha``, ``seed``, ``order`` and ``margins.min_valid`` are used.
    progress : callable, optional
        Told what is done: (text, done, total).

    Returns
    -------
    list of PromptGroups
        By task, then in the ladder's order.

    Raises
    ------
    SettingsError
        If a ladder has to be named, or a ladder, checkpoint or setting is unknown.
    StateError
        If a task is unknown.
    """
    chosen = settings or Settings()
    names = measurement.ladder_names()
    if ladder is None and len(names) == 1:
        ladder = names[0]
    if ladder not in names:
        raise SettingsError(
            "one ladder has to be named", where="ladder", expected=", ".join(names), got=repr(ladder)
        )
    found: list[PromptGroups] = []
    wanted = list(tasks) or list(measurement.task_names(ladder))
    for done, task in enumerate(wanted):
        if progress is not None:
            progress("tasks", done, len(wanted))
        table = measurement.table(ladder, task, chosen.order)
        known = [rung.name for rung in table.checkpoints]
        if unknown := set(checkpoints) - set(known):
            raise SettingsError(
                "no such checkpoint",
                where="checkpoints",
                expected=", ".join(known),
                got=", ".join(sorted(unknown)),
            )
        found += [
            _groups(table, number, method, geometry, k, chosen)
            for number, name in enumerate(known)
            if not checkpoints or name in checkpoints
        ]
    return found


def _groups(
    table: TaskTable,
    number: int,
    method: Method,
    geometry: Geometry,
    k: int | Literal["auto"],
    settings: Settings,
) -> PromptGroups:
    rows, mask = rows_of(table, number, settings.margins.min_valid)
    rung = table.checkpoints[number]
    prompts = [prompt.prompt for prompt, used in zip(table.prompts, mask, strict=True) if used]
    clusters: Clusters | None = None
    if prompts:
        clusters = cluster_distributions(
            rows.whole,
            method,
            k=k if k == "auto" else min(k, len(prompts)),
            geometry=geometry,
            counts=not rows.exact,
            alpha=settings.alpha,
            draws=max(199, math.ceil(2 / settings.alpha)),
            threads=settings.threads,
            seed=stream_key("prompt groups", settings.seed, table.ladder, table.task, rung.key()),
        )
    return PromptGroups(
        ladder=table.ladder,
        task=table.task,
        checkpoint=rung.name,
        exact=rows.exact,
        left_out=int(table.present[number].sum()) - len(prompts),
        groups=() if clusters is None else _members(clusters, rows, prompts, table.options),
        within=None if clusters is None else clusters.objective,
        tests=() if clusters is None else clusters.tests,
        stability=None if clusters is None else clusters.stability,
    )


def _members(
    clusters: Clusters, rows: Rows, prompts: list[str], options: tuple[str, ...]
) -> tuple[Group, ...]:
    groups = []
    for c in range(clusters.k):
        centre = clusters.centroids[c]
        order = [int(i) for i in np.argsort(-centre, kind="stable") if centre[i] > 0]
        groups.append(
            Group(
                prompts=tuple(
                    name for name, label in zip(prompts, clusters.labels, strict=True) if label == c
                ),
                samples=None if rows.exact else int(clusters.sizes[c]),
                distribution=tuple((options[i], float(centre[i])) for i in order),
            )
        )
    return tuple(groups)
