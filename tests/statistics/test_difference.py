import math

import numpy as np
import pytest
from scipy import stats

from crystal.statistics.difference import prompt_jackknife, studentised_difference
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import entropy, shannon_entropy
from crystal.statistics.entropy_interval import entropy_interval
from crystal.statistics.estimate import Estimate
from crystal.statistics.jackknife import Jackknife, entropy_jackknife, js_values


def jackknife(value: float, variance: float, freedom: float = 20.0) -> Jackknife:
    return Jackknife(value, value, variance, freedom)


def test_it_is_welchs_interval() -> None:
    change = studentised_difference(jackknife(1.0, 0.04, 9), jackknife(2.0, 0.09, 29))
    freedom = 0.13**2 / (0.04**2 / 9 + 0.09**2 / 29)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(0.13)
    assert (change.low, change.high) == pytest.approx((1 - half, 1 + half))
    assert change.p == pytest.approx(2 * stats.t.sf(1 / math.sqrt(0.13), freedom))


def test_ratio_weighs_the_earlier_side() -> None:
    change = studentised_difference(jackknife(1.0, 0.04), jackknife(0.2, 0.01), ratio=0.5)
    assert change.value == pytest.approx(-0.3)
    assert change.high - change.value == pytest.approx(
        stats.t.ppf(0.975, 0.02**2 / (2 * 0.01**2 / 20)) * math.sqrt(0.02)
    )


def test_limits_widen_it_and_p_follows_the_interval() -> None:
    before = Estimate(value=1.0, low=0.9, high=1.3)
    after = Estimate(value=0.5, low=0.1, high=0.6)
    naive = studentised_difference(jackknife(1.0, 1e-6), jackknife(0.5, 1e-6))
    change = studentised_difference(jackknife(1.0, 1e-6), jackknife(0.5, 1e-6), limits=(before, after))
    assert change.value == -0.5
    assert change.low == pytest.approx(-0.5 - math.hypot(0.4, 0.3))
    assert change.high == pytest.approx(-0.5 + math.hypot(0.1, 0.1))
    assert change.p > naive.p
    edge = 0.5 / stats.norm.ppf(0.975)  # a high limit at exactly 0 has p = alpha
    at_zero = Estimate(value=0.5, low=0.5, high=0.5 + 0.5)
    exact = studentised_difference(
        jackknife(1.0, 0.0), jackknife(0.5, 0.0), limits=(Estimate.of_exact(1.0), at_zero)
    )
    assert exact.high == pytest.approx(0.0)
    assert exact.p == pytest.approx(0.05)
    assert edge > 0


def test_what_is_missing_is_said() -> None:
    nothing = studentised_difference(jackknife(math.nan, math.nan), jackknife(1.0, 0.1))
    assert nothing.reason == "fewer than 2 valid samples"
    still = studentised_difference(jackknife(0.0, 0.0), jackknife(0.0, 0.0))
    assert still.reason == "the samples do not vary"
    assert still.low is None
    known = Estimate(value=1.0, low=0.5, high=1.5)
    opened = Estimate(value=2.0, low=1.5, reason="the number of options is open")
    change = studentised_difference(jackknife(1, 0.1), jackknife(2, 0.1), limits=(known, opened))
    assert change.value == 1.0
    assert change.low is None
    assert "open" in change.reason
    gone = studentised_difference(
        jackknife(1, 0.1), jackknife(2, 0.1), limits=(known, Estimate.unknown("coverage"))
    )
    assert gone.value is None
    assert gone.reason == "coverage"


@pytest.mark.parametrize(("options", "size", "frozen"), [(2, 20, True), (10, 20, False), (10, 50, True)])
def test_coverage_of_entropy_differences(options: int, size: int, frozen: bool) -> None:
    rng = np.random.default_rng(options + size)
    covered = agrees = 0
    for index in range(80):
        p = rng.dirichlet(np.full(options, 0.8))
        q = 0.05 * rng.dirichlet(np.full(options, 1.0)) + 0.95 * np.eye(options)[0] if frozen else p[::-1]
        sides = [rng.multinomial(size, row)[None] for row in (p, q)]
        limits = tuple(entropy_interval(c, True, draws=200, key=2 * index + i) for i, c in enumerate(sides))
        change = studentised_difference(
            entropy_jackknife(sides[0]), entropy_jackknife(sides[1]), limits=(limits[0], limits[1])
        )
        truth = float(shannon_entropy(q) - shannon_entropy(p))
        covered += change.low <= truth <= change.high
        agrees += (change.p < 0.05) == (change.low > 0 or change.high < 0)
    assert covered >= 71
    assert agrees == 80


def test_prompt_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.array([0.2, 0.5, 0.9, 0.1, 0.4, 0.6, 0.8, 0.3, 0.7])
    limits = prompt_jackknife(lambda sets: sets.mean(axis=1), values)
    expected = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert limits == pytest.approx(expected)


def test_prompt_jackknife_needs_eight_prompts_and_all_values() -> None:
    assert prompt_jackknife(lambda sets: sets.mean(axis=1), np.arange(7.0)) is None
    assert prompt_jackknife(lambda sets: np.full(len(sets), np.nan), np.arange(8.0)) is None
    assert (
        prompt_jackknife(lambda v: np.full(len(v), math.nan if v.shape[1] == 7 else 1.0), np.arange(8.0))
        is None
    )


def test_prompts_that_nobody_asked_are_covered() -> None:
    """Promptability over all prompts of a population, from 10 of them: 17 % for a bootstrap over 5."""
    rng = np.random.default_rng(12)
    population = rng.dirichlet(np.full(6, 0.7), size=4_000)
    truth = float(js_information(population))
    covered = 0
    for _ in range(150):
        p = population[rng.integers(0, len(population), 10)]
        low, high = prompt_jackknife(js_information, p)  # type: ignore[misc]
        covered += low <= truth <= high
    assert covered >= 132


def test_jackknife_of_counts_goes_through() -> None:
    counts = np.random.default_rng(0).multinomial(40, np.full(4, 0.25), size=9)
    low, high = prompt_jackknife(js_values, counts)  # type: ignore[misc]
    assert low < 0.02 < high + 0.05
    assert entropy(counts, "plugin").shape == (9,)
