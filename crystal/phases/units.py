"""The unit of each metric in the report: fixed names, one unit each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from crystal.phases.results import Metric
from crystal.statistics.arrays import Floats
from crystal.statistics.difference import PROMPTS_FOR_JACKKNIFE, mean_jackknife, prompt_jackknife
from crystal.statistics.estimate import Estimate

Statistic = Callable[[npt.NDArray[Any]], Floats]
"""From the counts or distributions of many sets of prompts [S, m, ...] to a number each [S]."""
EachPrompt = Callable[[npt.NDArray[Any]], Floats]
"""From the counts or distributions of prompts [m, ...] to a number each [m]."""

UNITS = {
    "entropy": "bits",
    "entropy_normalised": "1",
    "collision": "probability",
    "top_probability": "probability",
    "promptability": "bits",
    "effective_distributions": "1",
    "coverage": "probability",
    "validity": "probability",
    "jsd": "bits",
    "tv": "probability",
    "hellinger": "1",
    "kl": "bits",
    "wasserstein1": "options",
    "entropy_change": "bits",
    "promptability_change": "bits",
    "validity_change": "probability",
    "retention_change": "probability",
    "escape_term": "bits",
    "redistribution": "bits",
    "outside": "bits",
    "kendall_tau": "1",
    "top_kept": "probability",
}


_NEVER_BELOW_ZERO = {"entropy", "promptability", "jsd"}


def add_prompt_limits(
    metrics: dict[str, Metric],
    statistics: Mapping[str, Statistic],
    means: Mapping[str, EachPrompt],
    values: npt.NDArray[Any],
    alpha: float,
) -> None:
    """Give metrics their limits for prompts that nobody asked, where there are enough prompts to delete.

    Parameters
    ----------
    metrics : dict of Metric
        Changed in place; one without a value stays as it is.
    statistics, means : mapping of str to callable
        By metric, what is computed from the values of sets of prompts; or from those of each prompt, where
        the metric is the mean of that.
    values : ndarray [P, ...]
        Counts or distributions, a prompt an entry.
    alpha : float
        One minus the level.
    """
    if len(values) < PROMPTS_FOR_JACKKNIFE:
        return
    for name, statistic in statistics.items():
        limits = prompt_jackknife(statistic, values, alpha=alpha)
        _add(metrics[name], name, limits, float(statistic(values[None])[0]))
    for name, each in means.items():
        limits = mean_jackknife(each(values), alpha=alpha)
        _add(metrics[name], name, limits, None)


def _add(metric: Metric, name: str, limits: tuple[float, float] | None, whole: float | None) -> None:
    """Join what other prompts would change with what other samples of these would.

    The jackknife's error holds the spread of both, but not the bias of few samples, which the metric's own
    limits know: each side has the root of the sum of both squares. The jackknife's shift of a statistic that
    grows with the number of prompts (`whole` is its value; a mean has none) is kept, and may be as much
    again: where new prompts show new options, one step of the jackknife does not go the whole way.
    """
    value, low, high = metric.value, metric.low, metric.high
    if limits is None or value is None:
        return
    half = (limits[1] - limits[0]) / 2
    shift = 0.0 if whole is None else (limits[0] + limits[1]) / 2 - whole
    value = max(value if low is None else low, value if high is None else min(value, high))
    centre = value + shift
    size = name in _NEVER_BELOW_ZERO
    if low is not None:
        down = math.hypot(value - low, half)
        metric.prompt_low = max(0.0, centre - down) if size else centre - down - abs(shift)
    if high is not None:
        up = math.hypot(high - value, half)
        metric.prompt_high = centre + abs(shift) + up * (_stretch(up, centre) if size else 1.0)


def _stretch(up: float, centre: float) -> float:
    """Return how much farther a limit lies that is symmetrical in the logarithm, at most e - 1.

    What few prompts cause is skew: most sets of prompts lack it, and they are near 0 and seem certain.
    """
    ratio = min(1.0, up / centre) if centre > 0 else 1.0
    return math.expm1(ratio) / ratio if ratio > 0 else 1.0


def as_metric(estimate: Estimate, name: str, n: int | None, prompts: int) -> Metric:
    """Put an estimate into the report's form."""
    limited = estimate.low is not None or estimate.high is not None
    return Metric(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        interval_kind="exact" if estimate.exact else "samples" if limited else None,
        estimator=estimate.estimator,
        unit=UNITS[name],
        n=None if estimate.exact else n,
        prompts=prompts,
        null=estimate.null,
        p=estimate.p,
        reason=estimate.reason,
        exact=estimate.exact,
    )
