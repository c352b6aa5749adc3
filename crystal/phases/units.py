"""The unit of each metric in the report: fixed names, one unit each."""

from __future__ import annotations

from crystal.phases.results import Metric
from crystal.statistics.estimate import Estimate

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
