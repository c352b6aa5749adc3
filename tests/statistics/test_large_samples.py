"""The law of many samples, held to enumeration, to simulation, and to the limits that simulation gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from crystal.ops.resampling import simulate
from crystal.statistics import js_interval as intervals
from crystal.statistics import large_samples
from crystal.statistics.entropy_interval import tilted_inversion
from crystal.statistics.js_interval import js_interval
from crystal.statistics.large_samples import enough, entropy_law, js_law, poisson_gain, tails
from crystal.statistics.special import LN2

Law = large_samples.Law


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    mean = float((weights * values).sum())
    off = values - mean
    return mean, float((weights * off**2).sum()), float((weights * off**3).sum())


@pytest.mark.parametrize(("n", "p"), [(300, 0.3), (1000, 0.05), (10_000, 0.5)])
def test_entropy_of_two_options_has_the_cumulants_of_its_binomial_law(n: int, p: float) -> None:
    x = np.arange(n + 1)
    share = np.stack([x, n - x]) / n
    plain = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=0)
    mean, variance, third = _moments(plain, binom.pmf(x, n, p))
    law = entropy_law(np.array([[[p, 1 - p]]]), np.array([n]))
    assert law.mean[0] == pytest.approx(mean, abs=0.02 * variance**0.5)
    assert law.variance[0] == pytest.approx(variance, rel=0.02)
    assert law.third[0] == pytest.approx(third, abs=0.05 * variance**1.5)


@pytest.mark.parametrize("apart", [0.0, 0.02, 1.0])
@pytest.mark.parametrize(("blocks", "groups", "options"), [(1, 8, 16), (8, 2, 16), (3, 3, 5)])
def test_information_has_the_cumulants_that_simulation_shows(
    apart: float, blocks: int, groups: int, options: int
) -> None:
    random = np.random.default_rng([blocks, groups, options, int(100 * apart)])
    shared = random.dirichlet(np.full(options, 0.4), (blocks, 1))
    p = (1 - apart) * shared + apart * random.dirichlet(np.full(options, 0.4), (blocks, groups))
    sizes = random.integers(300, 600, (blocks, groups))
    drawn = simulate(p[None], sizes, "js", draws=6_000, seed=3, threads=1)[0] * LN2
    law = js_law(p[None], sizes)
    sd = drawn.std()
    assert law.mean[0] == pytest.approx(drawn.mean(), abs=0.06 * sd)
    assert law.variance[0] ** 0.5 == pytest.approx(sd, rel=0.1)
    assert law.third[0] / sd**3 == pytest.approx(((drawn - drawn.mean()) ** 3).mean() / sd**3, abs=0.2)


def test_gain_of_a_poisson_count() -> None:
    x = np.arange(1, 400)
    for mean in (1e-6, 0.01, 0.3, 1.0, 7.0, 29.9, 30.1, 100.0):
        mass = np.exp(x * np.log(mean) - mean - np.cumsum(np.log(x)))
        wanted = (mass * x * np.log(x)).sum() - mean * np.log(mean)
        assert poisson_gain(np.array(mean)) == pytest.approx(wanted, abs=1e-4)
    assert poisson_gain(np.array(1e9)) == pytest.approx(0.5, abs=1e-9)


def test_tails_are_those_of_a_gamma_law() -> None:
    from scipy.stats import gamma

    shape = 20.0  # skewness .45
    law = Law(np.array([shape]), np.array([shape]), np.array([2 * shape]))
    for observed in (10.0, 20.0, 30.0):
        tail = tails(law, observed)
        assert tail is not None
        assert tail[0] == pytest.approx(gamma.sf(observed, shape), abs=5e-4)
    normal = tails(Law(np.zeros(1), np.ones(1), np.zeros(1)), 1.959964)
    assert normal is not None
    assert normal[0] == pytest.approx(0.025, abs=1e-6)


def test_skewed_members_are_left_to_simulation_only_where_limits_may_lie() -> None:
    far, near = Law(*np.array([[50.0], [1.0], [2.0]])), Law(*np.array([[0.0], [1.0], [2.0]]))
    assert tails(far, 0.0) is not None
    assert tails(near, 0.0) is None
    assert tails(Law(np.zeros(1), np.zeros(1), np.zeros(1)), 0.0) is None


def test_enough_samples_in_all_and_for_each_option() -> None:
    assert enough(np.array([[100, 200]]), 10)
    assert not enough(np.array([[99, 200]]), 2)
    assert not enough(np.array([[200, 200]]), 21)


@pytest.mark.parametrize("apart", [0.0, 0.03, 0.6])
def test_limits_of_information_are_those_of_simulation(apart: float, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    shared = random.dirichlet(np.full(12, 0.4), (6, 1))
    p = (1 - apart) * shared + apart * random.dirichlet(np.full(12, 0.4), (6, 2))
    counts = random.multinomial(400, p).astype(np.int64)
    law = js_interval(counts)
    monkeypatch.setattr(intervals.large_samples, "enough", lambda *_: False)
    simulated = js_interval(counts, draws=4_000)
    assert law.value == pytest.approx(simulated.value)
    assert law.low == pytest.approx(simulated.low, abs=0.04 * (simulated.high - simulated.low))
    assert law.high == pytest.approx(simulated.high, abs=0.06 * (simulated.high - simulated.low))


def test_limits_of_entropy_are_those_of_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(6)
    counts = random.multinomial(400, random.dirichlet(np.full(12, 0.4), 4)).astype(np.int64)
    low, high = tilted_inversion(counts, 0.05, draws=400)
    monkeypatch.setattr(large_samples, "enough", lambda *_: False)
    wanted = tilted_inversion(counts, 0.05, draws=4_000)
    assert (low, high) == pytest.approx(wanted, abs=0.04 * (wanted[1] - wanted[0]))


def test_options_of_probability_zero_are_no_trouble() -> None:
    members = np.array([[[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]]])
    law = js_law(members, np.array([[300, 300]]))
    assert all(np.isfinite(part).all() for part in law)
