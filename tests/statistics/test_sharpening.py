import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from crystal.errors import SettingsError
from crystal.statistics.sharpening import MOST, fit_exponent, sharpened, sharpening

BASE = np.array([0.5, 0.25, 0.15, 0.1])


def test_sharpened_is_the_power() -> None:
    np.testing.assert_allclose(sharpened(BASE, 2.0), BASE**2 / (BASE**2).sum())
    np.testing.assert_allclose(sharpened(BASE, [0.0, 1.0]), [[0.25] * 4, BASE], atol=1e-15)
    assert sharpened(BASE, MOST)[0] > 1 - 1e-15


def test_the_exponent_is_the_maximum_of_the_likelihood() -> None:
    counts = np.array([30, 6, 9, 1])
    best = minimize_scalar(
        lambda t: -float(counts @ np.log(sharpened(BASE, t))),
        bounds=(0, 10),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fit_exponent(BASE, counts) == pytest.approx(best.x, abs=1e-5)
    np.testing.assert_allclose(
        fit_exponent(BASE, sharpened(BASE, [0.3, 1.0, 4.0])), [0.3, 1.0, 4.0], atol=1e-8
    )


@given(seed=st.integers(0, 2**32), options=st.integers(2, 30), even=st.sampled_from([0.05, 0.5, 3.0]))
def test_the_slope_ends_at_the_exponent_and_no_fit_depends_on_its_neighbours(
    seed: int, options: int, even: float
) -> None:
    random = np.random.default_rng(seed)
    base = random.dirichlet(np.full(options, even), 12) + 1e-9
    base /= base.sum(axis=-1, keepdims=True)
    target = np.where(
        random.random((12, 1)) < 0.5,
        sharpened(base, random.uniform(0, 9, 12)),
        random.dirichlet(np.full(options, even), 12),
    )
    exponent, log = fit_exponent(base, target), np.log(base)
    wanted = (target * log).sum(axis=-1)
    for step in (-1e-6, 1e-6):
        moved = np.clip(exponent * (1 + step) + step, 0.0, MOST)
        slope = np.sign(step) * (wanted - (sharpened(base, moved) * log).sum(axis=-1))
        inside = (exponent > 0.0) & (exponent < MOST)
        assert (slope[inside] <= 1e-13).all()
    assert (exponent[wanted <= log.mean(axis=-1)] == 0.0).all()
    alone = [float(fit_exponent(p, q)) for p, q in zip(base, target, strict=True)]
    # Sums of other shapes round otherwise, and a flat likelihood magnifies that by one over its curvature.
    fit = sharpened(base, exponent)
    spread = (fit * (log - (fit * log).sum(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    known = 1e-12 * (1 + exponent) + 1e-13 * (1 + np.abs(wanted)) / np.maximum(spread, 1e-300)
    assert (np.abs(exponent - alone) <= known).all()


def test_all_mass_on_the_likeliest_option_has_no_finite_exponent() -> None:
    assert fit_exponent(BASE, [1, 0, 0, 0]) == MOST
    assert fit_exponent(BASE, [0, 0, 0, 1]) == 0.0
    assert fit_exponent([0.5, 0.5], [3, 1]) in (0.0, MOST)  # flat: every exponent fits alike


def test_an_exact_base_leaves_the_profile_interval() -> None:
    base = np.rint(BASE * (1 << 22)).astype(np.int64)
    counts = np.rint(sharpened(BASE, 2.0) * 200).astype(np.int64)
    result = sharpening(base, counts)
    # 1/sqrt(information): the variance of log p under the fit, times n.
    fit, log = sharpened(BASE, 2.0), np.log(BASE)
    error = 1 / np.sqrt(200 * (fit @ log**2 - (fit @ log) ** 2))
    assert result.exponent.value == pytest.approx(2.0, abs=0.02)
    assert result.exponent.high - result.exponent.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    few = sharpening(np.rint(BASE * 60).astype(np.int64), counts)
    assert few.exponent.width > 1.2 * result.exponent.width


def test_cooling_and_a_new_shape_are_told_apart() -> None:
    base = np.rint(BASE * 400).astype(np.int64)
    cooled = sharpening(base, np.rint(sharpened(BASE, 2.5) * 200).astype(np.int64))
    assert cooled.exponent.low > 1.5
    assert cooled.unexplained.low == 0.0
    assert cooled.unexplained.p > 0.05
    assert 0.0 < cooled.unexplained.high < 0.05
    moved = sharpening(base, [20, 30, 20, 130])
    assert moved.unexplained.low > 0.05
    assert moved.unexplained.p < 0.01


def test_where_there_is_no_exponent() -> None:
    assert "flat base" in sharpening([20, 21, 19, 20], [70, 5, 3, 2]).exponent.reason
    assert "fewer than 3" in sharpening([20, 5], [24, 1]).exponent.reason
    assert sharpening([0, 0, 0], [5, 1, 1]).exponent.reason == "no valid samples"
    sparse = sharpening([9, 1, 1, 1, 1, 1, 1, 1, 0, 0], [20, 3, 1, 0, 0, 0, 0, 0, 0, 0])
    assert sparse.exponent.value is not None
    assert "coverage" in sparse.unexplained.reason
    with pytest.raises(SettingsError, match="same options"):
        sharpening([1, 2, 3], [1, 2])


def test_coverage_of_the_exponent() -> None:
    rng = np.random.default_rng(21)
    covered = known = 0
    for index in range(72):
        p = rng.dirichlet(np.full(6, 0.8)) * 0.98 + 0.02 / 6
        truth = [0.5, 1.0, 2.0][index % 3]
        result = sharpening(
            rng.multinomial(80, p), rng.multinomial(60, sharpened(p, truth)), draws=100, key=index
        )
        if result.exponent.value is not None:
            known += 1
            covered += result.exponent.low <= truth <= result.exponent.high
    assert known >= 66
    assert covered >= 0.88 * known


def test_p_of_a_new_shape_is_valid_at_few_base_samples() -> None:
    random = np.random.default_rng(5)
    p = []
    for number in range(60):
        base = random.dirichlet(np.ones(6))
        tuned = random.multinomial(60, sharpened(base, 1.5))
        found = sharpening(random.multinomial(30, base), tuned, draws=200, seed=number).unexplained.p
        p += [] if found is None else [found]
    assert len(p) > 30
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / len(p))
