"""Limits for prompts that nobody asked: the jackknife over prompts, joined with the metric's own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crystal.phases.results import Metric
from crystal.phases.units import add_prompt_limits
from crystal.statistics.difference import mean_jackknife, prompt_jackknife
from crystal.statistics.divergence import js_information

VALUES = np.array([0.2, 0.5, 0.9, 0.1, 0.4, 0.6, 0.8, 0.3])
MEAN, LIMITS = 0.475, mean_jackknife(VALUES)
assert LIMITS is not None
HALF = (LIMITS[1] - LIMITS[0]) / 2


def limits(name: str, low: float | None, high: float | None, value: float | None = MEAN) -> Metric:
    """Return a metric whose prompts have VALUES."""
    metric = Metric(value=value, low=low, high=high, unit="bits")
    add_prompt_limits({name: metric}, {}, {name: lambda rows: rows}, VALUES, 0.05)
    return metric


def test_without_noise_a_change_has_students_interval() -> None:
    found = limits("entropy_change", MEAN, MEAN)
    assert (found.prompt_low, found.prompt_high) == pytest.approx(LIMITS)


def test_the_metrics_own_limits_are_joined_by_squares_side_by_side() -> None:
    found = limits("entropy_change", MEAN - 0.3, MEAN + 0.4)
    assert found.prompt_low == pytest.approx(MEAN - math.hypot(0.3, HALF))
    assert found.prompt_high == pytest.approx(MEAN + math.hypot(0.4, HALF))


def test_an_estimate_outside_its_limits_is_brought_to_them() -> None:
    """A value far from what its limits allow is bias: few samples of many options."""
    found = limits("entropy_change", MEAN + 0.5, MEAN + 0.7)
    assert found.prompt_low == pytest.approx(MEAN + 0.5 - HALF)
    assert found.prompt_high == pytest.approx(MEAN + 0.5 + math.hypot(0.2, HALF))


def test_what_cannot_be_negative_is_not_and_its_upper_limit_is_symmetrical_in_the_logarithm() -> None:
    found = limits("jsd", MEAN, MEAN)
    assert found.prompt_low == pytest.approx(MEAN - HALF)
    assert found.prompt_high == pytest.approx(MEAN * math.exp(HALF / MEAN))
    near = limits("jsd", 0.01, 0.02, 0.01)
    assert near.prompt_low == 0
    assert near.prompt_high == pytest.approx(0.01 + math.hypot(0.01, HALF) * (math.e - 1))


def test_one_limit_stays_one_and_none_stays_none() -> None:
    assert limits("entropy", 0.1, None).prompt_high is None
    assert limits("entropy", 0.1, None).prompt_low is not None
    assert limits("entropy", None, None).prompt_low is None
    assert limits("jsd", 0.1, 0.2, None).prompt_high is None


def test_promptability_keeps_the_jackknifes_shift_and_may_lie_as_far_again() -> None:
    p = np.random.default_rng(4).dirichlet(np.full(5, 0.5), size=9)
    value = float(js_information(p))
    metric = Metric(value=value, low=value, high=value, unit="bits")
    add_prompt_limits({"promptability": metric}, {"promptability": js_information}, {}, p, 0.05)
    low, high = prompt_jackknife(js_information, p)  # type: ignore[misc]
    centre, half = (low + high) / 2, (high - low) / 2
    assert centre > value
    assert metric.prompt_low == pytest.approx(low)
    assert metric.prompt_high == pytest.approx(centre * math.exp(half / centre) + centre - value)


def test_prompts_that_are_all_the_same_leave_the_samples_limits() -> None:
    metric = Metric(value=0.2, low=0.1, high=0.4, unit="bits")
    add_prompt_limits(
        {"entropy_change": metric}, {}, {"entropy_change": lambda rows: rows}, np.full(8, 0.2), 0.05
    )
    assert (metric.prompt_low, metric.prompt_high) == pytest.approx((0.1, 0.4))
