"""The seed between two checkpoints of a task table."""

from __future__ import annotations

import numpy as np

from crystal.ops.resampling import simulate_counts, stream_key
from crystal.phases.crossfit import whole
from crystal.phases.rows import Rows, seen_options
from crystal.phases.seed import find_seed
from crystal.phases.seed_results import SeedResult
from crystal.phases.seed_search import Search
from crystal.phases.settings import Settings
from crystal.phases.sides import side, usable
from crystal.states.tables import TaskTable
from crystal.statistics.smoothing import smoothed

PLANNED = 10
"""Data sets of another size in which a seed is searched for."""


def decided_share(
    table: TaskTable,
    before: int,
    after: int,
    settings: Settings,
    family: str | None,
    size: int,
    least: float | None = None,
) -> float:
    """Return the share of data sets of ``size`` samples a prompt in which a true seed is decided.

    The nearest of the earlier distributions stands for the later checkpoint: what these few samples
    leave open between seed, blend and neither is noise, which more of them would not keep.

    Parameters
    ----------
    table, before, after, settings, family
        As in :func:`seed_between`; the data sets are drawn from its (smoothed) counts.
    size : int
        Samples of each prompt.
    least : float, optional
        Where only it matters whether the share reaches this, no more data sets are looked at than that
        takes, and the share is that of these, as if all others were on their side.
    """
    base, tuned = usable(table, before), usable(table, after)
    if family is not None:
        tuned = tuned & np.array([prompt.family == family for prompt in table.prompts], dtype=bool)
    counts, other = (
        side(table, checkpoint, prompts, sampled=True).counts
        for checkpoint, prompts in ((before, base), (after, tuned))
    )
    if size < settings.margins.min_valid or len(counts) < 2:
        return 0.0
    rows = smoothed(counts)
    nearest = int(whole(Rows.sampled(counts), Rows.sampled(other)).distances()[0].argmin())
    key = stream_key("planned", table.task, family or "", before, after, size)
    drawn = [
        simulate_counts(
            truth,
            np.full(len(truth), size, dtype=np.int64),
            draws=PLANNED,
            seed=settings.seed,
            key=stream_key(key, word),
            threads=settings.threads,
        )
        for word, truth in (("base", rows), ("tuned", np.repeat(rows[[nearest]], len(other), axis=0)))
    ]
    names = [str(i) for i in range(len(counts))]
    decided = open_ = 0
    for i, pair in enumerate(zip(*drawn, strict=True)):
        sides = seen_options(*(Rows.sampled(one) for one in pair))
        words = stream_key("find_seed", "planned", i)
        search = Search(sides[0], names, sides[1], settings, settings.seed, words)
        if search.found() is None:
            open_ += 1
        else:
            decided += 1
        if least is not None and decided / PLANNED >= least:
            return 1.0 - open_ / PLANNED
        if least is not None and 1.0 - open_ / PLANNED < least:
            return decided / PLANNED
    return decided / PLANNED


def seed_between(
    table: TaskTable, before: int, after: int, settings: Settings, family: str | None = None
) -> SeedResult:
    """Look for the later checkpoint's distribution among the earlier one's, under all of its prompts.

    A seed is a distribution that could be prompted out of the earlier checkpoint by any prompt, so the tuned
    behaviour of one family is looked for among the prompts of all families.

    Parameters
    ----------
    table : TaskTable
        All prompts of the task.
    before, after : int
        Checkpoints, along the ladder.
    settings : Settings
    family : str, optional
        The family whose tuned behaviour is looked for; by default that of all prompts.
    """
    names = table.checkpoints[before].name, table.checkpoints[after].name
    base, tuned = usable(table, before), usable(table, after)
    if family is not None:
        tuned = tuned & np.array([prompt.family == family for prompt in table.prompts], dtype=bool)
    if not base.any() or not tuned.any():
        empty = names[0] if not base.any() else names[1]
        reason = f"{empty} has no valid answer"
        return SeedResult(kind="undetermined", base=names[0], tuned=names[1], reason=reason)
    exact = bool(table.exact[before][base].all() and table.exact[after][tuned].all())
    left = side(table, before, base, sampled=not exact)
    right = side(table, after, tuned, sampled=not exact)
    result = find_seed(
        left.probabilities if exact else left.counts,
        right.probabilities if exact else right.counts,
        prompts=[prompt.prompt for prompt, kept in zip(table.prompts, base, strict=True) if kept],
        seed=settings.seed,
        settings=settings,
        words=(table.ladder, table.task, family or "", *names),
    )
    result.base, result.tuned = names
    return result
