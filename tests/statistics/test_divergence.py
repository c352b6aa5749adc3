import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from crystal.errors import InputError, SettingsError
from crystal.statistics import divergence as d
from crystal.statistics.entropy import shannon_entropy


@st.composite
def pairs(draw: Callable[..., object]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two distributions, with zeros and very small masses, and a set of options."""
    k = draw(st.integers(2, 9))
    masses = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.floats(0.1, 1.0))
    rows = []
    for _ in range(2):
        row = np.array(draw(st.lists(masses, min_size=k, max_size=k)))  # type: ignore[call-overload]
        if row.sum() == 0:
            row[0] = 1.0
        rows.append(row / row.sum())
    mask = np.array(draw(st.lists(st.booleans(), min_size=k, max_size=k)))  # type: ignore[call-overload]
    return rows[0], rows[1], mask


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_chain_rule_is_exact(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Each term by its definition with conditional distributions; their sum is the JSD to 1e-12."""
    p, q, mask = case
    terms = d.chain_rule(p, q, mask)
    assert min(terms) >= 0
    assert sum(terms) == pytest.approx(float(d.js_divergence(p, q)), abs=1e-12)
    a, b = math.fsum(p[mask]), math.fsum(q[mask])
    assert terms.escape_term == pytest.approx(binary_js(a, b), abs=1e-12)
    assert terms.redistribution == pytest.approx((a + b) / 2 * conditional(p[mask], q[mask]), abs=1e-12)
    assert terms.outside == pytest.approx((2 - a - b) / 2 * conditional(p[~mask], q[~mask]), abs=1e-12)


def h(p: np.ndarray) -> float:
    return math.fsum(-x * math.log2(x) for x in p if x > 0)


def binary_js(a: float, b: float) -> float:
    def two(x: float) -> float:
        return h(np.array([x, max(1 - x, 0.0)]))

    return two((a + b) / 2) - (two(a) + two(b)) / 2


def conditional(p: np.ndarray, q: np.ndarray) -> float:
    a, b = math.fsum(p), math.fsum(q)
    if a == 0 or b == 0:
        return 0.0
    w = a / (a + b)
    p, q = p / a, q / b
    return h(w * p + (1 - w) * q) - w * h(p) - (1 - w) * h(q)


def test_equal_weights_inside_would_be_false() -> None:
    p, q = np.array([0.7, 0.1, 0.1, 0.1]), np.array([0.1, 0.2, 0.4, 0.3])
    mask = np.array([True, True, False, False])
    a, b = p[mask].sum(), q[mask].sum()
    wrong = (a + b) / 2 * d.js_divergence(p[mask] / a, q[mask] / b)
    assert abs(wrong - d.chain_rule(p, q, mask).redistribution) > 0.01


@given(pairs())
@settings(deadline=None)
def test_js_is_symmetric_bounded_and_scipys(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    p, q, _ = case
    value = float(d.js_divergence(p, q))
    assert 0 <= value <= 1
    assert value == pytest.approx(float(d.js_divergence(q, p)), abs=1e-15)
    assert value == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert value == pytest.approx(float(d.js_information(np.stack([p, q]))), abs=1e-12)
    assert value == pytest.approx(float(d.weighted_jsd(p, q, 0.5)), abs=1e-12)


def test_tiny_differences_do_not_cancel() -> None:
    """JSD of p and p + e is e^2/(8 ln 2) sum 1/p_k e_k^2: 1e-17 bit here, far under the rounding of H."""
    p = np.array([0.5, 0.5])
    q = p + np.array([5e-9, -5e-9])
    assert float(d.js_divergence(p, q)) == pytest.approx(100e-18 / (8 * math.log(2)), rel=1e-5)


def test_information_of_many_groups() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 5))
    expected = shannon_entropy(p.mean(axis=1)) - shannon_entropy(p).mean(axis=1)
    np.testing.assert_allclose(d.js_information(p), expected, atol=1e-14)
    assert d.js_information([[0.2, 0.8]]) == 0.0
    with pytest.raises(SettingsError, match="groups"):
        d.js_information([0.2, 0.8])


def test_weighted_jsd_and_its_ends() -> None:
    p, q = [0.5, 0.5, 0.0], [0.0, 0.2, 0.8]
    for w in (0.0, 1.0):
        assert d.weighted_jsd(p, q, w) == 0.0
    mixed = 0.25 * np.array(p) + 0.75 * np.array(q)
    expected = h(mixed) - 0.25 * h(np.array(p)) - 0.75 * h(np.array(q))
    assert d.weighted_jsd(p, q, 0.25) == pytest.approx(expected)
    with pytest.raises(SettingsError, match="weight"):
        d.weighted_jsd(p, q, 1.5)


def test_tv_hellinger_kl_by_hand() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert d.tv(p, q) == 0.5
    assert d.hellinger(p, q) == pytest.approx(math.sqrt(1 - 2 * math.sqrt(0.125)))
    assert d.kl(p, q) == 1.0
    assert d.kl(q, p) == math.inf
    assert d.kl([[0.5, 0.5], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]).tolist() == [0.0, 1.0]


@given(pairs(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_wasserstein_on_line_and_circle(case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    p, q, _ = case
    k = p.size
    places = np.random.default_rng(seed).uniform(0, 10, k)
    line = float(d.wasserstein1(p, q, places))
    assert line == pytest.approx(wasserstein_distance(places, places, p, q), abs=1e-9)
    gap = np.abs(places[:, None] - places[None, :])
    circle = float(d.wasserstein1(p, q, places, period=12.0))
    assert circle == pytest.approx(transport(p, q, np.minimum(gap, 12 - gap)), abs=1e-7)
    assert circle <= line + 1e-9


def transport(p: np.ndarray, q: np.ndarray, cost: np.ndarray) -> float:
    """The cheapest plan by linear programming."""
    k = p.size
    rows = np.kron(np.eye(k), np.ones(k))
    columns = np.kron(np.ones(k), np.eye(k))
    # By default a row may be off by 1e-7, times a distance: too coarse for options of that probability.
    exactly = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    plan = linprog(
        cost.ravel(),
        A_eq=np.vstack([rows, columns[:-1]]),
        b_eq=np.append(p, q[:-1]),
        method="highs",
        options=exactly,
    )
    return float(plan.fun)


def test_weekdays_go_round() -> None:
    sunday, monday = np.eye(7)[6], np.eye(7)[0]
    assert d.wasserstein1(sunday, monday, np.arange(7), period=7) == 1.0
    assert d.wasserstein1(sunday, monday, np.arange(7)) == 6.0
    batch = d.wasserstein1(np.eye(7), monday, np.arange(7), period=7)
    np.testing.assert_allclose(batch, [0, 1, 2, 3, 3, 2, 1], atol=1e-12)


@pytest.mark.parametrize("kind", ["js", "tv", "hellinger", "kl", "wasserstein1"])
def test_matrix(kind: str) -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(5), size=4)
    matrix = d.divergence_matrix(p, kind, positions=np.arange(5))  # type: ignore[arg-type]
    assert np.all(np.diag(matrix) == 0)
    if kind == "kl":
        assert matrix[1, 2] == pytest.approx(float(d.kl(p[1], p[2])))
        assert matrix[2, 1] == pytest.approx(float(d.kl(p[2], p[1])))
    else:
        np.testing.assert_array_equal(matrix, matrix.T)
    if kind == "js":
        assert matrix[0, 3] == pytest.approx(float(d.js_divergence(p[0], p[3])))


def test_bad_arguments() -> None:
    with pytest.raises(SettingsError, match="unknown divergence"):
        d.divergence_matrix([[1.0]], "euclid")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="places"):
        d.divergence_matrix([[1.0]], "wasserstein1")
    with pytest.raises(InputError, match="sum to 1"):
        d.divergence_matrix([[1.0, 1.0]])
    with pytest.raises(SettingsError, match="different options"):
        d.tv([1.0], [0.5, 0.5])
    with pytest.raises(SettingsError, match="place"):
        d.wasserstein1([1.0], [1.0], [1, 2])
    with pytest.raises(SettingsError, match="period"):
        d.wasserstein1([1.0], [1.0], [1], period=0)
