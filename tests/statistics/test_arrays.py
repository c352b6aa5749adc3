import numpy as np
import pytest

from crystal.errors import InputError, SettingsError
from crystal.statistics.arrays import as_counts, as_probabilities, row_probabilities


@pytest.mark.parametrize("bad", [[-1, 2], [0.5, 1], [np.nan, 1.0], [np.inf], ["a"], [True, False]])
def test_what_is_no_count_is_refused(bad: list[object]) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        as_counts(bad)  # type: ignore[arg-type]


def test_whole_floats_are_counts() -> None:
    assert as_counts([1.0, 2.0]).dtype == np.int64


def test_shapes_are_checked() -> None:
    with pytest.raises(SettingsError, match="wrong shape"):
        as_counts(3)
    with pytest.raises(SettingsError, match="wrong shape"):
        as_counts([1, 2], ndim=2)
    with pytest.raises(SettingsError, match="wrong shape"):
        as_probabilities([0.5, 0.5], ndim=2)


@pytest.mark.parametrize("bad", [[-0.1, 1.1], [np.nan, 1.0], [np.inf, 0.0]])
def test_what_is_no_probability_is_refused(bad: list[float]) -> None:
    with pytest.raises(InputError, match="finite and not negative"):
        as_probabilities(bad)


def test_a_sum_that_is_not_one_is_named() -> None:
    with pytest.raises(InputError, match=r"sum to 1 \(expected 1, got 3\)"):
        as_probabilities([[0.5, 0.5], [1.0, 2.0]])


def test_rounding_of_the_sum_is_mended() -> None:
    p = as_probabilities([0.5, 0.5 + 1e-7])
    assert p.sum() == pytest.approx(1.0, abs=1e-15)
    assert p[0] < 0.5


def test_rows_without_samples_are_nan() -> None:
    p = row_probabilities(as_counts([[1, 3], [0, 0]]))
    np.testing.assert_array_equal(p, [[0.25, 0.75], [np.nan, np.nan]])


def test_tables_of_unequal_rows_are_refused() -> None:
    for refuse in (as_counts, as_probabilities):
        with pytest.raises(InputError, match="rows of one length"):
            refuse([[1, 0], [1]])  # type: ignore[list-item]


def test_counts_beyond_exact_sums_are_refused() -> None:
    """Their sum would leave int64, and an entropy came out as -5.7e20 bits."""
    with pytest.raises(InputError, match="2\\^53"):
        as_counts([[2**62, 2**62]])
    assert as_counts([2**53 - 1, 1]).sum() == 2**53
