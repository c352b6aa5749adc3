"""The unit of each metric in the report: fixed names, one unit each."""

from __future__ import annotations

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
    found = {name: prompt_jackknife(statistic, values, alpha=alpha) for name, statistic in statistics.items()}
    found |= {name: mean_jackknife(each(values), alpha=alpha) for name, each in means.items()}
    for name, limits in found.items():
        if limits is not None and metrics[name].value is not None:
            metrics[name].prompt_low, metrics[name].prompt_high = limits


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
