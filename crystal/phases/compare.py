"""Compare two models: whether their tuned behaviours, and the seeds they nucleated on, are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crystal.errors import InputError, LadderError
from crystal.ops.resampling import stream_key
from crystal.phases.classify import stated, version
from crystal.phases.clauses import Rungs, find_rungs
from crystal.phases.compare_results import ComparedLadder, Comparison, Likeness, TaskLikeness
from crystal.phases.likeness import likeness, overall
from crystal.phases.renaming import Pair, Renamed
from crystal.phases.seed_between import seed_between
from crystal.phases.seed_results import SeedResult
from crystal.phases.settings import Settings
from crystal.phases.sides import as_samples, side, usable
from crystal.samples import Prompt
from crystal.states.measurement import Measurement
from crystal.states.needed import need_measurement
from crystal.states.tables import Counts, Floats, TaskTable
from crystal.statistics.multiple import benjamini_hochberg


@dataclass(frozen=True)
class _Model:
    measurement: Measurement
    ladder: str
    tables: dict[str, TaskTable]
    rungs: Rungs

    @property
    def tuned(self) -> int:
        """The rung that is compared: the end of SFT, or what the picture takes in its place."""
        return self.rungs.last if self.rungs.tuned is None else self.rungs.tuned

    @property
    def described(self) -> ComparedLadder:
        names = [rung.name for rung in next(iter(self.tables.values())).checkpoints]
        base = None if self.rungs.base is None else names[self.rungs.base]
        return ComparedLadder(ladder=self.ladder, base=base, tuned=names[self.tuned])


def compare(
    a: Measurement,
    b: Measurement | None = None,
    *,
    ladders: tuple[str | None, str | None] = (None, None),
    alpha: float = 0.05,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Comparison:
    """Say for each task of two ladders whether the models share the tuned behaviour, and the seed.

    The tuned behaviour is that at the end of SFT (without SFT, at the least promptable later checkpoint),
    the prompts of a family pooled; families that both models were asked take part, and in each the prompts
    that both were asked, where there are any. The seed is the base distribution that this behaviour is, found
    in each ladder by itself (:func:`crystal.find_seed`). Options are matched by name; one that only one
    model gave is a difference.

    SHARED: the upper limit of the divergence is below a third of the control, the divergence after the second
    model's options are renamed, and no more than a share alpha of the renamings lie as near (with too few
    options for that, the first alone). DIFFERENT: the lower limit is above it. Else UNDETERMINED.

    Parameters
    ----------
    a, b : Measurement
        Two measurements, or one that holds both ladders.
    ladders : tuple of str or None
        The ladder of each, where there are several.
    alpha, seed, settings
        As for :func:`crystal.classify`.
    progress : callable, optional
        Called with what is being done, the tasks compared so far, and how many there are.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If the ladders have no task in common.
    LadderError
        If a ladder is not named where there are several, does not exist, or would be compared with itself.

    Examples
    --------
    >>> import crystal
    >>> from crystal.testing.planted_pairs import pair
    >>> a, b = (crystal.measure(model.distributions()) for model in pair("same", tasks=5, prompts=4))
    >>> result = crystal.compare(a, b)
    >>> result.tuned.shared, result.seeds.shared, result.seeds.p < 0.01
    (5, 5, True)
    """
    for name, one in (("a", a), *((("b", b),) if b is not None else ())):
        need_measurement(one, f"compare, {name}")
    settings = settings if settings is not None else Settings(alpha=alpha, seed=seed)
    first, second = _models(a, b, ladders, settings)
    common = sorted(first.tables.keys() & second.tables.keys())
    if not common:
        raise InputError(
            "the ladders have no task in common",
            where="compare",
            got=f"{', '.join(sorted(first.tables)[:5])} and {', '.join(sorted(second.tables)[:5])}",
        )
    tuned: list[tuple[Pair, Likeness, Renamed | None]] = []
    seeds: list[tuple[Pair, Likeness, Renamed | None]] = []
    tasks = {}
    for done, task in enumerate(common):
        if progress is not None:
            progress("comparing tasks", done, len(common))
        tasks[task] = _task(task, first, second, settings, tuned, seeds)
    for found in (tuned, seeds):
        q = benjamini_hochberg([one.p for _, one, _ in found]) if found else np.zeros(0)
        for (_, one, _), value in zip(found, q.tolist(), strict=True):
            one.q = None if np.isnan(value) else value
    key = stream_key("compare", first.ladder, second.ladder)
    return Comparison(
        crystal_version=version(),
        settings=stated(settings, first.measurement),
        a=first.described,
        b=second.described,
        tuned=overall(tuned, len(common), settings, stream_key("tuned", key)),
        seeds=overall(seeds, len(common), settings, stream_key("seeds", key)),
        tasks=tasks,
        only_a=sorted(first.tables.keys() - second.tables.keys()),
        only_b=sorted(second.tables.keys() - first.tables.keys()),
    )


def _models(
    a: Measurement, b: Measurement | None, ladders: tuple[str | None, str | None], settings: Settings
) -> tuple[_Model, _Model]:
    names = list(ladders)
    if b is None:
        known = a.ladder_names()
        if names == [None, None] and len(known) == 2:
            names = list(known)
        b = a
    chosen = [_ladder(one, name, which) for one, name, which in zip((a, b), names, "ab", strict=True)]
    if chosen[0] == chosen[1] and (a is b or a.digest() == b.digest()):
        raise LadderError(
            "a ladder is compared with itself",
            where="compare",
            expected="two ladders",
            got=repr(chosen[0]),
            fix="name the other one with ladders=(A, B) (--ladders A,B)",
        )
    return _model(a, chosen[0], settings), _model(b, chosen[1], settings)


def _ladder(measurement: Measurement, name: str | None, which: str) -> str:
    known = measurement.ladder_names()
    if name is None and len(known) == 1:
        return known[0]
    if name is None or name not in known:
        raise LadderError(
            "which ladder?" if name is None else "there is no such ladder",
            where=f"compare, side {which}",
            expected=", ".join(known) or "a measurement with a ladder",
            got=None if name is None else repr(name),
            fix="name both with ladders=(A, B) (--ladders A,B)",
        )
    return name


def _model(measurement: Measurement, ladder: str, settings: Settings) -> _Model:
    tables = {
        task: measurement.table(ladder, task, settings.order) for task in measurement.task_names(ladder)
    }
    return _Model(measurement, ladder, tables, find_rungs(list(tables.values()), settings))


def _task(
    task: str,
    first: _Model,
    second: _Model,
    settings: Settings,
    tuned: list[tuple[Pair, Likeness, Renamed | None]],
    seeds: list[tuple[Pair, Likeness, Renamed | None]],
) -> TaskLikeness:
    models = (first, second)
    tables = [model.tables[task] for model in models]
    options = tuple(sorted({*tables[0].options, *tables[1].options}))
    key = stream_key("compare", first.ladder, second.ladder, task)
    usables = [usable(table, model.tuned) for table, model in zip(tables, models, strict=True)]
    asked = [
        {prompt for prompt, kept in zip(table.prompts, keep, strict=True) if kept}
        for table, keep in zip(tables, usables, strict=True)
    ]
    families = sorted({p.family for p in asked[0]} & {p.family for p in asked[1]})
    blocks = []
    for family in families:
        both = {p for p in asked[0] & asked[1] if p.family == family}
        rows = [
            _pooled(
                table,
                model.tuned,
                {p for p in own if p.family == family and (not both or p in both)},
                options,
            )
            for table, model, own in zip(tables, models, asked, strict=True)
        ]
        blocks.append(rows)
    behaviour = _likeness(
        task,
        options,
        blocks,
        settings,
        stream_key("tuned", key),
        tuned,
        "no family of prompts with valid answers is common to both",
    )
    found = [_seed(table, model, settings) for table, model in zip(tables, models, strict=True)]
    missing = [
        f"{model.ladder} has no seed that was found ({result.reason or result.kind})"
        for model, result in zip(models, found, strict=True)
        if not result.found
    ]
    rows = []
    if not missing:
        for table, model, result in zip(tables, models, found, strict=True):
            prompts = {prompt for prompt in table.prompts if prompt.prompt == result.prompt}
            rows.append(_pooled(table, model.rungs.base or 0, prompts, options))
    own = _likeness(
        task, options, [rows] if rows else [], settings, stream_key("seeds", key), seeds, "; ".join(missing)
    )
    return TaskLikeness(
        tuned=behaviour,
        seed=own,
        seeds=(found[0].prompt if found[0].found else None, found[1].prompt if found[1].found else None),
        kinds=(found[0].kind, found[1].kind),
        families=families,
        shared_prompts=len(asked[0] & asked[1]),
    )


def _seed(table: TaskTable, model: _Model, settings: Settings) -> SeedResult:
    if model.rungs.base is None or model.rungs.tuned is None:
        return SeedResult(kind="undetermined", reason="the ladder has no base checkpoint and a later one")
    return seed_between(table, model.rungs.base, model.tuned, settings)


def _likeness(
    task: str,
    options: tuple[str, ...],
    blocks: list[list[Counts | Floats]],
    settings: Settings,
    key: int,
    found: list[tuple[Pair, Likeness, Renamed | None]],
    missing: str,
) -> Likeness:
    if not blocks:
        return Likeness(verdict="UNDETERMINED", reason=missing)
    if any(row.dtype.kind == "i" for rows in blocks for row in rows):
        # An exact side that meets a sampled one counts as very many samples.
        blocks = [[_as_counts(row) for row in rows] for rows in blocks]
    values = np.array(blocks)
    seen = np.flatnonzero(values.astype(bool).any(axis=(0, 1)))
    pair = Pair(task, tuple(options[i] for i in seen), values[..., seen])
    result, renamed = likeness(pair, settings, key)
    found.append((pair, result, renamed))
    return result


def _as_counts(row: Counts | Floats) -> Counts:
    if row.dtype.kind == "i":
        return row.astype(np.int64, copy=False)
    samples: Counts = as_samples(row[None].astype(np.float64, copy=False))[0]
    return samples


def _pooled(
    table: TaskTable, checkpoint: int, prompts: set[Prompt], options: tuple[str, ...]
) -> Counts | Floats:
    """Pool prompts of one checkpoint over the options of both models [K]: counts, or exact probabilities."""
    keep = usable(table, checkpoint) & np.array([prompt in prompts for prompt in table.prompts], dtype=bool)
    rows = side(table, checkpoint, keep)
    place = [options.index(option) for option in table.options]
    if rows.exact:
        p = np.zeros(len(options))
        p[place] = rows.probabilities.mean(axis=0)
        return p
    # Where a family has both kinds, the sampled prompts stand for it.
    sampled = ~table.exact[checkpoint] & keep
    counts = np.zeros(len(options), dtype=np.int64)
    counts[place] = table.counts[checkpoint][sampled].sum(axis=0)
    return counts
