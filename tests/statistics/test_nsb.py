import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, polygamma, psi

from crystal.errors import SettingsError
from crystal.statistics.entropy import entropy
from crystal.statistics.nsb import nsb_mean


def reference(counts: list[int], k: int) -> float:
    """The integral over ln beta by adaptive quadrature, the mean as a sum over options."""
    n = sum(counts)
    values = np.array(counts + [0] * (k - len(counts)))

    def weight(t: float) -> float:
        b = math.exp(t)
        log = gammaln(k * b) - gammaln(n + k * b) + (gammaln(values + b) - gammaln(b)).sum()
        slope = k * polygamma(1, k * b + 1) - polygamma(1, b + 1)
        return float(np.exp(log) * slope * b)

    def weighted_mean(t: float) -> float:
        a = values + math.exp(t)
        size = a.sum()
        return weight(t) * float(psi(size + 1) - (a / size * psi(a + 1)).sum())

    places = [-6, -3, -1, 0, 1, 3, 6]
    whole, mean = (
        quad(f, -20, 16, points=places, limit=200, epsrel=1e-9)[0] for f in (weight, weighted_mean)
    )
    return float(mean / whole / math.log(2))


@pytest.mark.parametrize(("counts", "k"), [([5, 5], 2), ([8, 0, 0], 3), ([3, 2, 1, 0], 6), ([1, 1, 1], 5)])
def test_mean_agrees_with_adaptive_quadrature(counts: list[int], k: int) -> None:
    assert nsb_mean(counts, k) == pytest.approx(reference(counts, k), abs=2e-6)


def test_it_is_stable_at_every_size() -> None:
    for n in (1, 10, 1_000, 10**6, 10**9):
        for k in (2, 10, 10_000):
            assert 0 < nsb_mean([n, n], k) <= math.log2(k)
    assert nsb_mean([10**9, 10**9], 2) == pytest.approx(1.0, abs=1e-6)


def test_many_samples_give_the_plugin() -> None:
    counts = np.array([700, 200, 100])
    assert nsb_mean(counts) == pytest.approx(float(entropy(counts, "miller_madow")), abs=0.003)


def test_edges() -> None:
    assert nsb_mean([5], 1) == 0.0
    assert np.isnan(nsb_mean([0, 0]))
    assert np.isnan(nsb_mean([[0, 0], [1, 1]])).tolist() == [True, False]
    with pytest.raises(SettingsError, match="more options"):
        nsb_mean([1, 1, 1], 2)
    with pytest.raises(SettingsError):
        nsb_mean([[0, 0]], 0)
