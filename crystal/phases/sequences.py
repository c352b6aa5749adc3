"""The texts of a ladder: diversity at a fixed budget, repetition, compression, and what neighbours share.

Per input: a value for each prompt, then averaged over prompts with equal weights. Across inputs: all prompts'
draws together. The two are never mixed. Prompts are those that every checkpoint has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from crystal.phases.results import (
    Metric,
    SequenceCheckpoint,
    SequenceGroup,
    SequenceResult,
    SequenceTransition,
)
from crystal.phases.sequence_draws import TEXTS, Panel
from crystal.phases.settings import Settings
from crystal.states.sequence_cells import CellTexts, SequenceCells
from crystal.states.sequence_sample import FRACTION, LENGTHS
from crystal.statistics import token_means
from crystal.statistics.multiple import benjamini_hochberg
from crystal.statistics.special import t_survival
from crystal.statistics.token_means import Mean

FEWEST_PROMPTS = 8
"""From so many prompts on, limits for prompts that nobody asked are given."""

SPECK = 1e-12
"""Changes below are rounding."""

Floats = npt.NDArray[np.float64]
Key = tuple[str, str, str]
TOO_SHORT = "less than half of the prompts have enough at every checkpoint"


def sequence_result(
    cells: SequenceCells, checkpoints: Sequence[str], settings: Settings
) -> SequenceResult | None:
    """Return the section of one ladder; None where its texts were not looked at.

    Parameters
    ----------
    cells : SequenceCells
        Of the ladder: :func:`crystal.states.sequence_cells.sequence_cells`.
    checkpoints : sequence of str
        Names in ladder order.
    settings : Settings

    Returns
    -------
    SequenceResult or None
        All tasks together, each prompt of each task with the same weight, and each task alone.
    """
    if not cells:
        return None
    places: dict[tuple[str, Key], int] = {}
    held: list[CellTexts] = []
    for task, rungs in cells.items():
        for name, prompts in rungs.items():
            for prompt, cell in prompts.items():
                places[name, (task, *prompt)] = len(held)
                held.append(cell)
    alone = sum(cell.sums.get("from_tokens", 0) for cell in held)
    samples = sum(cell.sums["samples"] for cell in held)
    unit: Literal["words", "tokens", "mixed"] = (
        "words" if not alone else "tokens" if alone == samples else "mixed"
    )
    panel = Panel(held, LENGTHS)
    names = [name for name in checkpoints if any(rung == name for rung, _ in places)]
    whole = _Group(panel, places, names, None, unit, settings).result()
    tasks = {task: _Group(panel, places, names, task, unit, settings).result() for task in cells}
    for step in range(len(whole.transitions)):
        _add_q([group.transitions[step] for group in tasks.values() if len(group.transitions) > step])
    return SequenceResult(
        unit=unit,
        budgets=whole.budgets,
        prompts=whole.prompts,
        left_out=whole.left_out,
        checkpoints=whole.checkpoints,
        transitions=whole.transitions,
        tasks=tasks,
    )


class _Group:
    """One task, or all of them, while its result is put together."""

    def __init__(
        self,
        panel: Panel,
        places: dict[tuple[str, Key], int],
        names: Sequence[str],
        task: str | None,
        unit: str,
        settings: Settings,
    ) -> None:
        self.panel, self.unit, self.settings = panel, unit, settings
        mine = {key for _, key in places if task in (None, key[0])}
        self.names = [name for name in names if any((name, key) in places for key in mine)]
        shared = sorted(key for key in mine if all((name, key) in places for name in self.names))
        self.left_out = len(mine) - len(shared)
        self.grid = np.array(
            [[places[name, key] for key in shared] for name in self.names], np.int64
        ).reshape(len(self.names), len(shared))
        self.budgets: dict[str, int] = {}
        self.inside: list[dict[str, Metric]] = [{} for _ in self.names]
        self.across: list[dict[str, Metric]] = [{} for _ in self.names]
        self.steps: list[dict[str, Metric]] = [{} for _ in self.names[1:]]

    def result(self) -> SequenceGroup:
        self._draws(TEXTS, "texts", "1")
        for n in LENGTHS:
            self._draws(n, str(n), "bits")
        for n in LENGTHS:
            self._repetition(n)
        self._compression()
        return SequenceGroup(
            budgets=self.budgets,
            prompts=self.grid.shape[1],
            left_out=self.left_out,
            checkpoints={
                name: self._checkpoint(index, self.inside[index], self.across[index])
                for index, name in enumerate(self.names)
            },
            transitions=[
                SequenceTransition(from_=self.names[i], to=self.names[i + 1], metrics=metrics)
                for i, metrics in enumerate(self.steps)
            ],
        )

    def _checkpoint(self, rung: int, inside: Any, across: Any) -> SequenceCheckpoint:
        cells = [self.panel.cells[cell] for cell in self.grid[rung].tolist()]
        samples = sum(cell.sums["samples"] for cell in cells)
        return SequenceCheckpoint(
            samples=samples,
            words=sum(cell.sums.get("words", 0) for cell in cells),
            prompts=len(cells),
            kept=sum(sum(cell.counts) for cell in cells) / samples if samples else 0.0,
            per_input=inside,
            across_input=across,
        )

    def _samples(self, rungs: Sequence[int], chosen: Any) -> int:
        return sum(
            self.panel.cells[cell].sums["samples"]
            for rung in rungs
            for cell in self.grid[rung, chosen].tolist()
        )

    def _draws(self, n: int, name: str, entropy_unit: str) -> None:
        """Add everything that is expected of a fixed number of draws of whole texts, or of n-grams."""
        found = self.panel.draws(self.grid, n) if self.grid.size else None
        thing = "texts" if n == TEXTS else f"{n}-grams"
        overlap = f"overlap_{name}"
        if found is None:
            names = [f"distinct_{name}"]
            if n != TEXTS:
                names += [f"adjusted_distinct_{name}", f"ngram_entropy_{name}"]
            self._missing(names, {f"distinct_{name}": "1"}, [overlap])
            return
        self.budgets[name] = found.budget
        how = f"expected in {found.budget} drawn {thing}"
        self._values(f"distinct_{name}", found.distinct, "1", how, found.chosen)
        if n != TEXTS:
            kinds = self.panel.things[n].distinct
            most = -kinds * math.expm1(found.budget * math.log1p(-1.0 / kinds)) if kinds > 1 else 1.0
            adjusted = found.distinct * (found.budget / most)
            self._values(f"adjusted_distinct_{name}", adjusted, "1", f"{how}, of {kinds} kinds", found.chosen)
            self._values(f"ngram_entropy_{name}", found.entropy, entropy_unit, how, found.chosen)
        for rung, value in enumerate(found.across.tolist()):
            self.across[rung][f"distinct_{name}"] = Metric(
                value=value,
                unit="1",
                estimator=f"{how} of each prompt",
                n=self._samples([rung], found.chosen),
                prompts=len(found.chosen),
            )
        for step, metrics in enumerate(self.steps):
            n_both = self._samples([step, step + 1], found.chosen)
            metric = self._metric(found.overlap[step], "1", f"{how} of each side", n_both)
            metric.null = float(np.mean(found.null[step]))
            metrics[overlap] = metric

    def _repetition(self, n: int) -> None:
        """Add the share of a sample's n-grams that repeat another one of it: over all samples, not drawn."""
        name = f"repetition_{n}"
        rows = [[_mean_of(self.panel.cells[cell].sums, n) for cell in row] for row in self.grid.tolist()]
        chosen = [p for p in range(self.grid.shape[1]) if all(row[p] is not None for row in rows)]
        if not chosen:
            self._missing([name], {}, [])
            return
        known = [[mean for p in chosen if (mean := row[p]) is not None] for row in rows]
        for rung, means in enumerate(known):
            metric = self._interval(means, self._samples([rung], chosen), test=False)
            self.inside[rung][name] = metric
        for step, metrics in enumerate(self.steps):
            pairs = zip(known[step], known[step + 1], strict=True)
            changes = [token_means.difference(a, b) for a, b in pairs]
            n_both = self._samples([step, step + 1], chosen)
            metrics[f"{name}_change"] = self._interval(changes, n_both, test=True)

    def _compression(self) -> None:
        name = "compression_ratio"
        found = self.panel.compression(self.grid) if self.grid.size and self.unit == "words" else None
        if found is None:
            self._missing([name], {}, [], None if self.unit == "words" else "samples are token ids")
            return
        budget, chosen, ratio = found
        self.budgets["bytes"] = budget
        self._values(name, ratio, "1", f"{budget} bytes of samples, zlib 9, once", chosen)

    def _values(self, name: str, values: Floats, unit: str, how: str, chosen: Any) -> None:
        """Add a metric of each prompt, and its changes."""
        for rung, row in enumerate(values):
            self.inside[rung][name] = self._metric(row, unit, how, self._samples([rung], chosen))
        for step, metrics in enumerate(self.steps):
            change = values[step + 1] - values[step]
            change[np.abs(change) < SPECK] = 0.0
            metric = self._metric(change, unit, how, self._samples([step, step + 1], chosen), test=True)
            metrics[f"{name}_change"] = metric

    def _metric(self, values: Floats, unit: str, how: str, n: int, *, test: bool = False) -> Metric:
        means = [Mean(value, None, 0) for value in values.tolist()]
        metric = Metric(value=float(np.mean(values)), unit=unit, estimator=how, n=n, prompts=len(means))
        limits = token_means.over_prompts(means, self.settings.alpha, FEWEST_PROMPTS)
        if limits is None:
            metric.reason = f"limits need {FEWEST_PROMPTS} prompts"
            return metric
        metric.prompt_low, metric.prompt_high = limits
        if test:
            error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
            if error > 0:
                size = abs(float(np.mean(values))) / error
                metric.p = min(1.0, 2 * t_survival(size, len(values) - 1))
            else:
                metric.p = None if np.any(values) else 1.0
        return metric

    def _interval(self, means: Sequence[Mean], n: int, *, test: bool) -> Metric:
        estimate = token_means.interval(token_means.average(means), self.settings.alpha, test=test)
        metric = Metric(
            value=estimate.value,
            low=estimate.low if test or estimate.low is None else max(0.0, estimate.low),
            high=estimate.high,
            interval_kind="samples" if estimate.low is not None else None,
            unit="1",
            estimator="mean over all samples, Student" if estimate.low is not None else None,
            n=n,
            prompts=len(means),
            p=estimate.p,
            reason=estimate.reason,
        )
        limits = token_means.over_prompts(means, self.settings.alpha, FEWEST_PROMPTS)
        if limits is not None:
            metric.prompt_low, metric.prompt_high = limits
        return metric

    def _missing(
        self, inside: Sequence[str], across: dict[str, str], steps: Sequence[str], why: str | None = None
    ) -> None:
        """Say for metrics that they are unknown, and why."""

        def unknown() -> Metric:
            return Metric(unit="1", prompts=self.grid.shape[1], reason=why or TOO_SHORT)

        for rung in range(len(self.names)):
            self.inside[rung].update({name: unknown() for name in inside})
            self.across[rung].update({name: unknown() for name in across})
        for metrics in self.steps:
            metrics.update({name: unknown() for name in [*steps, *(f"{name}_change" for name in inside)]})


def _mean_of(sums: dict[str, int], n: int) -> Mean | None:
    """Return the mean repetition of a cell's samples; None where no sample has an n-gram."""
    k = sums.get(f"repeating.{n}", 0)
    if not k:
        return None
    unit = 1 << FRACTION
    mean = sums.get(f"repeats.{n}", 0) / unit / k
    if k < 2:
        return Mean(mean, None, 0)
    # Squares are cut to whole units, so that equal samples leave a speck.
    squares = max(sums.get(f"squares.{n}", 0) / unit - k * mean * mean, 0.0)
    return Mean(mean, squares / (k - 1) / k if squares > 2 * k / unit else 0.0, k - 1)


def _add_q(transitions: Sequence[SequenceTransition]) -> None:
    """Give each task's change its q over the tasks of the transition."""
    for name in sorted({name for transition in transitions for name in transition.metrics}):
        metrics = [t.metrics[name] for t in transitions if name in t.metrics]
        for metric, q in zip(metrics, benjamini_hochberg([m.p for m in metrics]).tolist(), strict=True):
            metric.q = None if metric.p is None else q
