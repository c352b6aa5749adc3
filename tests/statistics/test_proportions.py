"""Shares and their differences against closed forms, scipy, and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crystal.statistics.proportions import mean_share, mean_share_difference, wilson_limits


@pytest.mark.parametrize(("x", "n"), [(0, 7), (3, 7), (7, 7), (50, 1_000), (1, 1)])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_wilson_is_scipys(x: int, n: int, alpha: float) -> None:
    low, high = wilson_limits(x, n, alpha)
    want = stats.binomtest(x, n).proportion_ci(1 - alpha, method="wilson")
    assert float(low) == pytest.approx(want.low, abs=1e-9)
    assert float(high) == pytest.approx(want.high, abs=1e-9)


def test_newcombe_is_the_published_example() -> None:
    """Newcombe (1998), method 10: 56/70 less 48/80 has limits 0.0524 and 0.3339."""
    change = mean_share_difference([[48, 32]], [[56, 14]])
    assert change.value == pytest.approx(0.2)
    assert change.low == pytest.approx(0.0524, abs=1e-4)
    assert change.high == pytest.approx(0.3339, abs=1e-4)


def test_one_prompt_is_wilson_and_empty_prompts_are_left_out() -> None:
    low, high = wilson_limits(9, 12)
    estimate = mean_share([[9, 3], [0, 0]])
    assert estimate.low == pytest.approx(float(low))
    assert estimate.high == pytest.approx(float(high))
    assert mean_share([[0, 0]]).value is None
    assert mean_share_difference([[0, 0]], [[1, 1]]).reason == "no samples"


def test_limits_cover_at_their_level() -> None:
    random = np.random.default_rng(7)
    first, second = np.array([0.02, 0.5, 0.9]), np.array([0.1, 0.5, 0.99])
    hits = shares = 0
    for _ in range(400):
        a, b = random.binomial(25, first), random.binomial(25, second)
        change = mean_share_difference(np.stack([a, 25 - a], 1), np.stack([b, 25 - b], 1))
        share = mean_share(np.stack([a, 25 - a], 1))
        assert None not in (change.low, change.high, share.low, share.high)
        hits += change.low <= second.mean() - first.mean() <= change.high
        shares += share.low <= first.mean() <= share.high
    assert hits >= 370
    assert shares >= 370
