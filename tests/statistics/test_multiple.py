import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crystal.errors import SettingsError
from crystal.statistics.multiple import benjamini_hochberg, clopper_pearson, paired_t_test, t_test


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_q_values_are_scipys(p: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-15)


def test_missing_p_values_pass_through_and_are_not_counted() -> None:
    q = benjamini_hochberg([0.02, None, 0.5, float("nan"), 0.03])
    np.testing.assert_allclose(q, [0.045, np.nan, 0.5, np.nan, 0.045])
    assert np.isnan(benjamini_hochberg([None, None])).all()
    assert benjamini_hochberg([]).size == 0
    with pytest.raises(SettingsError):
        benjamini_hochberg([1.2])


@pytest.mark.parametrize(("x", "n"), [(0, 5), (5, 5), (3, 9), (1, 100)])
def test_limits_have_their_level_exactly(x: int, n: int) -> None:
    low, high = clopper_pearson(x, n, 0.05)
    if x:
        assert stats.binom.sf(x - 1, n, low) == pytest.approx(0.05)
    else:
        assert low == 0.0
    if x < n:
        assert stats.binom.cdf(x, n, high) == pytest.approx(0.05)
    else:
        assert high == 1.0


def test_limits_at_the_ends() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(5, 5)[0] == pytest.approx(0.05 ** (1 / 5))
    for bad in ((3, 2), (-1, 2)):
        with pytest.raises(SettingsError, match="successes"):
            clopper_pearson(*bad)
    with pytest.raises(SettingsError):
        clopper_pearson(1, 2, 0.0)


def test_t_tests_are_scipys() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.3, 1, 12), rng.normal(0, 1, 12)
    expected = stats.ttest_1samp(a, 0.1, alternative="greater")
    assert t_test(a, 0.1).p == pytest.approx(expected.pvalue)
    assert t_test(a, 0.1).t == pytest.approx(expected.statistic)
    assert paired_t_test(a, b).p == pytest.approx(stats.ttest_rel(a, b, alternative="greater").pvalue)


def test_t_test_leaves_out_missing_values_and_refuses_to_invent() -> None:
    assert t_test([1.0, 2.0, np.nan, 3.0]).p == t_test([1.0, 2.0, 3.0]).p
    assert t_test([1.0]).p is None
    assert math.isnan(t_test([]).mean)
    assert t_test([0.1, 0.1, 0.1], 0.0).p == 0.125
    assert t_test([0.1, 0.1, 0.1], 0.1).p == 1.0
    with pytest.raises(SettingsError):
        paired_t_test([1.0], [1.0, 2.0])
