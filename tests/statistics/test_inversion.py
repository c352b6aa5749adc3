import numpy as np
import pytest
from scipy import stats

from crystal.statistics.inversion import invert, upper_tail


def test_ties_count_half_even_if_rounded_differently() -> None:
    simulated = np.array([[0.0, 0.3, 0.1 + 0.2, 0.5], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(upper_tail(simulated, 0.3), [0.25 + 0.25, 0.0])


def test_a_normal_location_is_inverted_exactly() -> None:
    """For X ~ N(mu, 1) and x = 2 the limits are 2 -+ 1.96, and the middle is 2."""
    targets = np.linspace(-4, 8, 17)
    tail = stats.norm.sf(2.0 - targets)
    low, middle, high = invert(targets, tail, 100_000, 0.05)
    assert [low, middle, high] == pytest.approx([2 - 1.959964, 2.0, 2 + 1.959964], abs=1e-4)


def test_noise_is_made_monotone_and_ends_are_kept() -> None:
    targets = np.arange(5.0)
    low, middle, high = invert(targets, np.array([0.4, 0.3, 0.5, 0.45, 0.6]), 1_000, 0.05)
    assert low == 0.0
    assert high == 4.0
    assert 0.0 < middle < 4.0
