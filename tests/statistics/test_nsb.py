import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, polygamma, psi

from crystal.errors import SettingsError
from crystal.statistics.entropy import entropy
from crystal.statistics.nsb import nsb_posterior


def reference(counts: list[int], k: int) -> tuple[float, float]:
    """The integral over ln beta by adaptive quadrature, moments by their double sums over options."""
    n = sum(counts)
    values = np.array(counts + [0] * (k - len(counts)))

    def weight(b: float) -> float:
        log = gammaln(k * b) - gammaln(n + k * b) + (gammaln(values + b) - gammaln(b)).sum()
        slope = k * polygamma(1, k * b + 1) - polygamma(1, b + 1)
        return float(np.exp(log) * slope * b)

    def moments(b: float) -> tuple[float, float]:
        a = values + b
        size = n + k * b
        mean = psi(size + 1) - (a / size * psi(a + 1)).sum()
        top, drop = psi(size + 2), polygamma(1, size + 2)
        second = 0.0
        for i, x in enumerate(a):
            for j, y in enumerate(a):
                if i == j:
                    second += x * (x + 1) * ((psi(x + 2) - top) ** 2 + polygamma(1, x + 2) - drop)
                else:
                    second += x * y * ((psi(x + 1) - top) * (psi(y + 1) - top) - drop)
        return float(mean), float(second / (size * (size + 1)))

    integrals = []
    for power in range(3):

        def integrand(t: float, power: int = power) -> float:
            b = math.exp(t)
            return weight(b) * (1.0 if power == 0 else moments(b)[power - 1])

        integrals.append(quad(integrand, -20, 16, points=[-6, -3, -1, 0, 1, 3, 6], limit=200, epsrel=1e-9)[0])
    mean = integrals[1] / integrals[0]
    return mean / math.log(2), math.sqrt(integrals[2] / integrals[0] - mean**2) / math.log(2)


@pytest.mark.parametrize(("counts", "k"), [([5, 5], 2), ([8, 0, 0], 3), ([3, 2, 1, 0], 6), ([1, 1, 1], 5)])
def test_posterior_agrees_with_adaptive_quadrature(counts: list[int], k: int) -> None:
    mean, sd = reference(counts, k)
    posterior = nsb_posterior(counts, k)
    assert posterior.mean == pytest.approx(mean, abs=2e-6)
    assert posterior.sd == pytest.approx(sd, abs=2e-6)


def test_it_is_stable_at_every_size() -> None:
    for n in (1, 10, 1_000, 10**6, 10**9):
        for k in (2, 10, 10_000):
            posterior = nsb_posterior([n, n], k)
            assert 0 < posterior.mean <= math.log2(k)
            assert 0 <= posterior.sd < math.log2(k)
    assert nsb_posterior([10**9, 10**9], 2).mean == pytest.approx(1.0, abs=1e-6)


def test_many_samples_give_the_plugin_and_its_standard_error() -> None:
    counts = np.array([700, 200, 100])
    p = counts / 1000
    posterior = nsb_posterior(counts)
    surprise = -np.log2(p)
    error = math.sqrt((p @ surprise**2 - (p @ surprise) ** 2) / 1000)
    assert posterior.mean == pytest.approx(float(entropy(counts, "miller_madow")), abs=0.003)
    assert posterior.sd == pytest.approx(error, rel=0.02)


def test_edges() -> None:
    assert nsb_posterior([5], 1).mean == 0.0
    assert np.isnan(nsb_posterior([0, 0]).mean)
    with pytest.raises(SettingsError, match="more options"):
        nsb_posterior([1, 1, 1], 2)
    with pytest.raises(SettingsError):
        nsb_posterior([[0, 0]], 0)
