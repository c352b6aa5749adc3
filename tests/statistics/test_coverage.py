import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.statistics.coverage import coverage, good_turing_coverage


def test_the_three_rules_by_hand() -> None:
    # n = 7, f1 = 2, f2 = 1
    assert coverage([4, 2, 1, 0]) == pytest.approx(1 - 1 / 7 * 6 * 1 / (6 * 1 + 2))
    assert coverage([3, 2, 1, 1]) == pytest.approx(1 - 2 / 7 * 6 * 2 / (6 * 2 + 2))
    # f2 = 0: n = 6, f1 = 3
    assert coverage([3, 1, 1, 1]) == pytest.approx(1 - 3 / 6 * 5 * 2 / (5 * 2 + 2))
    assert coverage([1, 1, 1]) == 0.0
    assert coverage([1]) == 0.0


def test_ends() -> None:
    assert coverage([4, 4]) == 1.0
    assert coverage([9, 1]) == 1.0  # one singleton and no pair: the bias-corrected form leaves nothing unseen
    assert np.isnan(coverage([0, 0]))
    assert np.isnan(good_turing_coverage([0]))
    assert good_turing_coverage([[2, 1, 1], [3, 0, 0]]).tolist() == [0.5, 1.0]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9))
def test_it_is_a_share(counts: list[int]) -> None:
    value = coverage(counts)
    assert np.isnan(value) if sum(counts) == 0 else 0 <= value <= 1


def test_it_estimates_the_mass_seen() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(50, 0.5))
    counts = rng.multinomial(40, p, size=3_000)
    seen = ((counts > 0) * p).sum(axis=1)
    assert coverage(counts).mean() == pytest.approx(seen.mean(), abs=0.01)
