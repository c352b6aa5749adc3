import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crystal.statistics.inversion import invert, search, upper_tail
from crystal.statistics.special import normal_cdf


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


@given(
    centre=st.floats(-1.5, 1.5),
    slope=st.floats(0.3, 4.0),
    bend=st.floats(0.0, 0.2),
    guess=st.floats(-2.0, 2.0),
    error=st.floats(0.0, 3.0),
)
def test_a_search_finds_what_the_whole_family_gives(
    centre: float, slope: float, bend: float, guess: float, error: float
) -> None:
    """Whatever it is told to begin with; at ends of the family too."""
    grid = np.linspace(-3.0, 3.0, 17)
    tail = np.array([normal_cdf(slope * (x - centre) + bend * (x - centre) ** 3) for x in grid])
    asked: list[int] = []

    def tails(at: list[int]) -> np.ndarray:
        asked.extend(at)
        return tail[at]

    found = search(grid, tails, 400, 0.05, centre=guess, error=error)
    assert found == pytest.approx(invert(grid, tail, 400, 0.05), abs=1e-6)
    assert len(asked) == len(set(asked))


def test_a_search_asks_for_little() -> None:
    grid = np.linspace(-3.0, 3.0, 17)
    asked: list[int] = []

    def tails(at: list[int]) -> np.ndarray:
        asked.extend(at)
        return np.array([normal_cdf(2 * grid[i]) for i in at])

    low, _, high = search(grid, tails, 400, 0.05, centre=0.1, error=0.5, wanted=(True, False, True))
    assert (low, high) == pytest.approx((-0.98, 0.98), abs=0.02)
    assert len(asked) <= 6
