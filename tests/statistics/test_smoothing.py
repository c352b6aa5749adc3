import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from crystal.statistics import smoothing
from crystal.statistics.divergence import kl
from crystal.statistics.smoothing import smoothed, smoothed_kl, smoothing_weight


def evidence(counts: np.ndarray, a: float) -> float:
    k = counts.shape[-1]
    n = counts.sum(axis=-1)
    rows = gammaln(k * a) - gammaln(n + k * a) + (gammaln(counts + a) - gammaln(a)).sum(axis=-1)
    return float(rows.sum())


def test_the_weight_maximises_the_evidence() -> None:
    rng = np.random.default_rng(6)
    for concentration in (0.05, 0.2, 0.5):
        counts = rng.multinomial(30, rng.dirichlet(np.full(12, concentration), size=6))
        best = minimize_scalar(
            lambda t, c=counts: -evidence(c, np.exp(t)), bounds=np.log([0.02, 1.0]), method="bounded"
        )
        assert smoothing_weight(counts) == pytest.approx(np.exp(best.x), rel=0.01)


def test_edges_and_leading_axes() -> None:
    counts = np.array([[[9, 9, 9]], [[20, 0, 0]], [[0, 0, 0]], [[12, 3, 1]]])
    weights = smoothing_weight(counts)
    assert weights.shape == (4,)
    np.testing.assert_allclose(weights[:3], [1.0, 0.02, 1.0])
    assert weights[3] == pytest.approx(float(smoothing_weight(counts[3])))


def test_smoothed_by_hand() -> None:
    np.testing.assert_allclose(smoothed([[3, 1, 0]], 0.5), [[3.5 / 5.5, 1.5 / 5.5, 0.5 / 5.5]])
    p = smoothed(np.random.default_rng(0).integers(0, 5, size=(4, 3, 6)))
    np.testing.assert_allclose(p.sum(axis=-1), 1.0)
    assert (p > 0).all()


def test_smoothed_kl_is_finite_where_kl_is_not() -> None:
    before, after = np.array([5, 5, 0]), np.array([10, 0, 0])
    assert kl(before / 10, after / 10) == np.inf
    p = smoothed(np.stack([before, after]))
    assert smoothed_kl(before, after) == pytest.approx(float((p[0] * np.log2(p[0] / p[1])).sum()))


def test_many_samples_have_the_same_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weight where Stirling's series is used without a shift is that of the general formula."""
    random = np.random.default_rng(4)
    counts = random.multinomial([3_000, 9_000], random.dirichlet(np.full(9, 0.3), (20, 2)))
    many = smoothing_weight(counts)
    monkeypatch.setattr(smoothing, "_TABULATED", 1 << 16)
    smoothing._table.cache_clear()
    np.testing.assert_allclose(many, smoothing_weight(counts), rtol=1e-7)
    smoothing._table.cache_clear()
