import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from crystal.errors import SettingsError
from crystal.statistics.rank import kendall_tau, top_kept

rows = st.integers(2, 8).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 4), min_size=k, max_size=k)] * 2)
)


@given(rows)
@settings(deadline=None)
def test_tau_is_scipys(case: tuple[list[int], list[int]]) -> None:
    np.testing.assert_allclose(kendall_tau(*case), kendalltau(*case).statistic, atol=1e-12)


def test_tau_is_vectorised() -> None:
    a, b = np.arange(12).reshape(3, 4), np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(kendall_tau(a, b), [1.0, -1.0, np.nan])


def test_top_kept_and_its_tie_rule() -> None:
    assert top_kept([3, 1], [2, 1]) == 1.0
    assert top_kept([3, 1], [1, 2]) == 0.0
    assert top_kept([2, 2, 0], [0, 5, 1]) == 1.0
    assert top_kept([2, 2, 0], [0, 1, 5]) == 0.0
    assert np.isnan(top_kept([0, 0], [1, 0]))


def test_shapes() -> None:
    for function in (kendall_tau, top_kept):
        with pytest.raises(SettingsError, match="same options"):
            function([1, 2], [1, 2, 3])


def test_tau_of_many_options_needs_little_memory() -> None:
    random = np.random.default_rng(1)
    x, y = random.poisson(1.0, (2, 50_000))
    assert abs(float(kendall_tau(x.astype(float), y.astype(float)))) < 0.02
