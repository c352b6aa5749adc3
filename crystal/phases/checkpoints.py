"""The metrics of one checkpoint on one task: how broad, how promptable, how well seen, how valid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.permuting import SECONDARY_DRAWS
from crystal.phases.results import CHECKPOINT_METRICS, CheckpointResult, Metric
from crystal.phases.settings import Settings
from crystal.phases.sides import Side, side, usable
from crystal.phases.units import UNITS, EachPrompt, Statistic, add_prompt_limits, as_metric
from crystal.phases.verdict import Limits
from crystal.states.tables import TaskTable
from crystal.statistics.coverage import coverage
from crystal.statistics.divergence import js_information
from crystal.statistics.diversity import collision, top_probability
from crystal.statistics.entropy import entropy, shannon_entropy
from crystal.statistics.entropy_interval import entropy_interval
from crystal.statistics.estimate import Estimate
from crystal.statistics.jackknife import js_values
from crystal.statistics.promptability import effective_number, promptability
from crystal.statistics.proportions import mean_share

Known = dict[str, Estimate]
"""Estimates by the name of their metric."""

# What the jackknife over prompts deletes prompts from.
_STATISTICS: dict[str, Statistic] = {"promptability": js_values}
_MEANS: dict[str, EachPrompt] = {"entropy": lambda rows: np.asarray(entropy(rows, "jackknife"))}
_EXACT_STATISTICS: dict[str, Statistic] = {"promptability": js_information}
_EXACT_MEANS: dict[str, EachPrompt] = {"entropy": shannon_entropy}


def checkpoint_result(
    table: TaskTable, index: int, settings: Settings, key: int
) -> tuple[CheckpointResult, Known | None]:
    """Measure one checkpoint on one task.

    Parameters
    ----------
    table : TaskTable
        All prompts of the task, or one family's.
    index : int
        The checkpoint, along the ladder.
    settings : Settings
    key : int
        Stream of the random numbers used here.

    Returns
    -------
    CheckpointResult
        Its phase is LIQUID where that is shown, else UNDETERMINED: the transitions know the rest.
    dict of Estimate, or None
        The same metrics as estimates, for the transitions that begin and end here.
    """
    prompts = usable(table, index)
    if not prompts.any():
        refused = int(table.invalid[index].sum())
        reason = f"none of {refused} samples is a valid answer" if refused else "not sampled"
        empty = {name: Metric(unit=UNITS[name], reason=reason) for name in CHECKPOINT_METRICS}
        nothing = CheckpointResult(
            phase="UNDETERMINED", reason=reason, n=0, validity=None, coverage=None, metrics=empty
        )
        return nothing, None
    rows = side(table, index, prompts)
    estimates = _exact(rows, table) if rows.exact else sampled_estimates(rows, table, settings, key)
    metrics = {
        name: as_metric(estimates[name], name, rows.samples, rows.prompts) for name in CHECKPOINT_METRICS
    }
    metrics["promptability"].margin = settings.margins.liquid
    values = rows.probabilities if rows.exact else rows.counts
    statistics, means = (_EXACT_STATISTICS, _EXACT_MEANS) if rows.exact else (_STATISTICS, _MEANS)
    add_prompt_limits(metrics, statistics, means, values, settings.alpha)
    limits = Limits(metrics["promptability"].low, metrics["promptability"].high)
    result = CheckpointResult(
        phase="LIQUID" if limits.above(settings.margins.liquid) else "UNDETERMINED",
        n=rows.samples,
        validity=rows.validity,
        coverage=metrics["coverage"].value,
        metrics=metrics,
    )
    return result, estimates


def sampled_promptability(rows: Side, settings: Settings, key: int) -> Estimate:
    """Estimate I(prompt; answer) of a sampled side by the settings' gates, bits."""
    return promptability(
        rows.counts,
        alpha=settings.alpha,
        draws=settings.interval_draws,
        permutations=min(settings.draws, SECONDARY_DRAWS),
        exceedances=settings.exceedances,
        seed=settings.seed,
        key=stream_key(key, "promptability"),
        threads=settings.threads,
        min_coverage=settings.margins.promptability_coverage,
        min_valid=settings.margins.min_valid,
    )


def sampled_estimates(rows: Side, table: TaskTable, settings: Settings, key: int) -> Known:
    """Estimate every metric of a sampled side."""
    counts = rows.counts if table.closed else rows.counts[:, rows.counts.sum(axis=0) > 0]
    entropy = entropy_interval(
        counts,
        table.closed,
        alpha=settings.alpha,
        draws=settings.interval_draws,
        seed=settings.seed,
        key=stream_key(key, "entropy"),
        threads=settings.threads,
    )
    liquid = sampled_promptability(rows, settings, key)
    return {
        "entropy": entropy,
        "entropy_normalised": _normalised(entropy, table),
        "collision": _plain(float(np.mean(collision(counts))), "unbiased"),
        "top_probability": _plain(float(np.mean(top_probability(counts))), "plugin"),
        "promptability": liquid,
        "effective_distributions": effective_number(liquid),
        "coverage": _plain(float(np.mean(coverage(counts))), "chao_jost"),
        "validity": mean_share(rows.trials, alpha=settings.alpha)
        if table.closed
        else Estimate.unknown(_OPEN),
    }


def _exact(rows: Side, table: TaskTable) -> Known:
    p = rows.probabilities
    entropy = Estimate.of_exact(float(shannon_entropy(p).mean()))
    liquid = (
        Estimate.unknown("one prompt") if rows.prompts < 2 else Estimate.of_exact(float(js_information(p)))
    )
    return {
        "entropy": entropy,
        "entropy_normalised": _normalised(entropy, table),
        "collision": Estimate.of_exact(float((p**2).sum(axis=1).mean())),
        "top_probability": Estimate.of_exact(float(p.max(axis=1).mean())),
        "promptability": liquid,
        "effective_distributions": effective_number(liquid),
        "coverage": Estimate.of_exact(1.0),
        "validity": Estimate.unknown(_OPEN) if rows.validity is None else Estimate.of_exact(rows.validity),
    }


_OPEN = "the list of options is open"


def _plain(value: float, estimator: str) -> Estimate:
    if not math.isfinite(value):
        return Estimate.unknown("fewer than 2 valid samples")
    return Estimate(value=value, estimator=estimator)


def _normalised(entropy: Estimate, table: TaskTable) -> Estimate:
    if not table.closed:
        return Estimate.unknown(_OPEN)
    if len(table.options) < 2:
        return Estimate.unknown("there is only one option")
    return _mapped(entropy, lambda bits: bits / math.log2(len(table.options)))


def _mapped(estimate: Estimate, change: Callable[[float], float]) -> Estimate:
    """Apply a monotone function to the value, its limits and its null."""

    def moved(value: float | None) -> float | None:
        return None if value is None else change(value)

    return replace(
        estimate,
        value=moved(estimate.value),
        low=moved(estimate.low),
        high=moved(estimate.high),
        null=moved(estimate.null),
    )
