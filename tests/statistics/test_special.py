import math

import numpy as np
import pytest
from scipy import special as sp
from scipy import stats

from crystal.errors import SettingsError
from crystal.statistics import special

X = np.concatenate([np.logspace(-8, 8, 97), np.arange(1, 40) / 2])


def test_digamma_and_trigamma_agree_with_scipy() -> None:
    np.testing.assert_allclose(special.digamma(X), sp.digamma(X), rtol=2e-14, atol=2e-14)
    np.testing.assert_allclose(special.trigamma(X), sp.polygamma(1, X), rtol=2e-13)


def test_log_rising_agrees_with_scipy_where_scipy_does_not_cancel() -> None:
    x, n = np.meshgrid(np.logspace(-6, 2, 20), [0, 1, 2, 3, 17, 1000])
    np.testing.assert_allclose(
        special.log_rising(x, n), sp.gammaln(x + n) - sp.gammaln(x), rtol=1e-12, atol=2e-12
    )


@pytest.mark.parametrize("x", [1e-9, 0.3, 5.0, 1e4, 1e9, 1e14])
def test_log_rising_is_the_sum_of_logs(x: float) -> None:
    n = 50
    exact = math.fsum(math.log(x + j) for j in range(n))
    assert special.log_rising(x, n) == pytest.approx(exact, rel=1e-13)
    assert special.log_rising(x, 0) == 0.0


def test_xlog2x_at_zero() -> None:
    np.testing.assert_array_equal(special.xlog2x([0.0, 0.5, 1.0, 2.0]), [0.0, -0.5, 0.0, 2.0])


@pytest.mark.parametrize("x", [-38.0, -8.0, -1.0, 0.0, 0.5, 6.0])
def test_normal(x: float) -> None:
    assert special.normal_cdf(x) == pytest.approx(stats.norm.cdf(x), rel=1e-13)


def test_normal_quantile_inverts() -> None:
    for p in (1e-10, 0.025, 0.5, 0.975):
        assert special.normal_quantile(p) == pytest.approx(stats.norm.ppf(p), rel=1e-12, abs=1e-15)
    assert special.normal_quantile(0.0) == -math.inf
    assert special.normal_quantile(1.0) == math.inf


@pytest.mark.parametrize("a", [0.5, 1.0, 3.0, 40.0, 2e4])
@pytest.mark.parametrize("b", [0.5, 1.0, 7.5, 300.0, 1e5])
def test_beta_agrees_with_scipy(a: float, b: float) -> None:
    for p in (1e-9, 0.01, 0.3, 0.5, 0.9, 0.999):
        x = float(stats.beta.ppf(p, a, b))
        assert special.beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-9)
        assert special.beta_quantile(p, a, b) == pytest.approx(x, rel=1e-8)
    assert special.beta_cdf(0.0, a, b) == 0.0
    assert special.beta_cdf(1.0, a, b) == 1.0


@pytest.mark.parametrize("freedom", [1.0, 2.0, 7.0, 29.0, 1e3, math.inf])
def test_student_agrees_with_scipy(freedom: float) -> None:
    for p in (1e-6, 0.025, 0.3, 0.5, 0.62, 0.975, 0.999):
        x = float(stats.norm.ppf(p) if math.isinf(freedom) else stats.t.ppf(p, freedom))
        assert special.t_quantile(p, freedom) == pytest.approx(x, rel=1e-9, abs=1e-12)
        assert special.t_cdf(x, freedom) == pytest.approx(p, rel=1e-9)
        assert special.t_survival(x, freedom) == pytest.approx(1 - p, rel=1e-9)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_probabilities_outside_their_range_are_refused(p: float) -> None:
    for function in (
        special.normal_quantile,
        lambda q: special.beta_quantile(q, 1, 1),
        lambda q: special.t_quantile(q, 3),
    ):
        with pytest.raises(SettingsError, match="outside its range"):
            function(p)
    with pytest.raises(SettingsError, match="positive"):
        special.beta_cdf(0.5, 0.0, 1.0)
