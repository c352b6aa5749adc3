from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crystal.errors import InputError, SettingsError
from crystal.ops.blend import fit_blend

Floats = npt.NDArray[np.float64]


def likelihood(target: Floats, rows: Floats, w: Floats) -> float:
    seen = target > 0
    return float(np.sum(target[seen] / target.sum() * np.log(w @ rows[:, seen])))


def reference(target: Floats, rows: Floats, passes: int = 30_000) -> Floats:
    """Plain EM, to the letter."""
    seen = target > 0
    t, d = target[seen] / target.sum(), rows[:, seen]
    w = np.full(len(rows), 1 / len(rows))
    for _ in range(passes):
        w = w * (d @ (t / (w @ d)))
    return w / w.sum()


def gradient(target: Floats, rows: Floats, w: Floats) -> Floats:
    seen = target > 0
    return rows[:, seen] @ (target[seen] / target.sum() / (w @ rows[:, seen]))


def test_two_disjoint_rows_take_the_shares_of_the_target() -> None:
    fit = fit_blend([[3, 3, 2, 0]], [[0.5, 0.5, 0, 0], [0, 0, 0.9, 0.1]])
    assert fit.weights[0] == pytest.approx([0.75, 0.25], abs=1e-7)


def test_a_row_of_the_dictionary_is_found_whole() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]])
    fit = fit_blend(rows, rows, tolerance=1e-12)
    assert fit.weights == pytest.approx(np.eye(3), abs=1e-4)


def test_two_rows_by_the_root_of_the_derivative() -> None:
    # f(w) = .5 log(.2 + .6 w) + .5 log(.8 - .6 w): the derivative is zero at w = 1/2; with .8 / .2 at w = 1.
    rows = [[0.8, 0.2], [0.2, 0.8]]
    fit = fit_blend([[1, 1], [8, 2], [19, 1], [7, 3]], rows)
    assert fit.weights[:, 0] == pytest.approx([0.5, 1.0, 1.0, 5 / 6], abs=1e-4)


def test_against_plain_em() -> None:
    rng = np.random.default_rng(1)
    for size, options in ((2, 3), (5, 10), (8, 30)):
        rows = rng.dirichlet(np.full(options, 0.7), size)
        target = rng.multinomial(200, rng.dirichlet(np.ones(size)) @ rows).astype(float)
        fit = fit_blend(target, rows)
        expected = reference(target, rows)
        assert fit.weights[0] == pytest.approx(expected, abs=2e-3)
        assert likelihood(target, rows, fit.weights[0]) >= likelihood(target, rows, expected) - 1e-8


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_gap_is_a_certificate(size: int, options: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(options, 0.4), size) + 1e-9
    targets = rng.multinomial(50, rng.dirichlet(np.ones(options)), size=3).astype(float)
    fit = fit_blend(targets, rows, tolerance=1e-6)
    assert fit.weights.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert (fit.weights >= 0).all()
    for target, w, gap in zip(targets, fit.weights, fit.gap, strict=True):
        g = gradient(target, rows, w)
        assert max(g.max() - 1, 0.0) == pytest.approx(gap, abs=1e-9)
        # Complementarity: what carries weight has the steepest slope, weight by weight.
        assert float(w @ np.abs(g - 1)) <= 2 * gap + 1e-9
        others = rng.dirichlet(np.full(size, 0.5), 50)
        assert max(likelihood(target, rows, v) for v in others) <= likelihood(target, rows, w) + gap + 1e-12


def test_nothing_is_lost_by_the_acceleration_where_rows_nearly_agree() -> None:
    rng = np.random.default_rng(4)
    centre = rng.dirichlet(np.ones(10))
    rows = np.array([rng.dirichlet(centre * 300 + 0.01) for _ in range(30)])
    targets = rng.multinomial(300, centre, size=50).astype(float)
    fit = fit_blend(targets, rows, tolerance=1e-5)
    assert (fit.gap <= 1e-5).all()
    assert fit.iterations.mean() < 2_000


def test_threads_and_batches_never_change_a_byte() -> None:
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.full(9, 0.5), (300, 7)) + 1e-6
    targets = rng.multinomial(80, rng.dirichlet(np.ones(9)), size=300).astype(float)
    once = fit_blend(targets, rows, threads=1)
    twice = fit_blend(targets, rows, threads=2)
    many = fit_blend(targets, rows, threads=5)
    alone = [fit_blend(targets[i], rows[i : i + 1]) for i in (0, 123, 299)]
    for name in ("weights", "iterations", "gap"):
        one = getattr(once, name)
        assert one.tobytes() == getattr(twice, name).tobytes() == getattr(many, name).tobytes()
        for place, fit in zip((0, 123, 299), alone, strict=True):
            assert one[place].tobytes() == getattr(fit, name)[0].tobytes()


def test_a_shared_dictionary_equals_its_copies() -> None:
    rng = np.random.default_rng(3)
    rows = rng.dirichlet(np.ones(6), 4)
    targets = rng.random((20, 6))
    shared = fit_blend(targets, rows)
    own = fit_blend(targets, np.repeat(rows[None], 20, axis=0))
    assert shared.weights.tobytes() == own.weights.tobytes()


def test_scale_of_the_target_has_no_part() -> None:
    rows = np.array([[0.8, 0.1, 0.1], [0.1, 0.3, 0.6]])
    small, large = fit_blend([[1, 2, 3]], rows), fit_blend([[1e6, 2e6, 3e6]], rows)
    assert small.weights == pytest.approx(large.weights, abs=1e-12)


def test_a_target_inside_the_hull_keeps_to_the_equal_start() -> None:
    corners = np.vstack([np.eye(3), np.full((1, 3), 1 / 3)])
    assert fit_blend(np.ones(3), corners).weights[0] == pytest.approx([0.25] * 4, abs=1e-9)


def test_the_limit_ends_a_fit_and_tells_its_gap() -> None:
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.full(10, 0.5), 12)
    target = rng.multinomial(50, rows[0]).astype(float)
    cut, full = fit_blend(target, rows + 1e-6, limit=6), fit_blend(target, rows + 1e-6)
    assert cut.iterations[0] <= 6
    assert cut.gap[0] > 1e-8 >= full.gap[0]


def test_one_row_and_no_target() -> None:
    assert fit_blend([[1, 2]], [[0.5, 0.5]]).weights.tolist() == [[1.0]]
    assert fit_blend(np.empty((0, 2)), [[0.5, 0.5]]).weights.shape == (0, 1)


@pytest.mark.parametrize(
    ("targets", "dictionary", "message"),
    [
        ([[1.0, 2.0]], [[0.5, 0.25, 0.25]], "do not fit together"),
        ([[1.0, 2.0]], [[[0.5, 0.5]], [[0.5, 0.5]]], "do not fit together"),
        ([[1.0, 2.0]], np.empty((0, 2)), "at least one row"),
        ([[1.0, -2.0]], [[0.5, 0.5]], "finite and not negative"),
        ([[1.0, np.nan]], [[0.5, 0.5]], "finite and not negative"),
        ([[1.0, 2.0]], [[0.5, np.inf]], "finite and not negative"),
        ([[1.0, 2.0], [0.0, 0.0]], [[0.5, 0.5]], "no mass"),
        ([[1.0, 2.0]], [[1.0, 0.0], [0.5, 0.0]], "no row of its dictionary"),
    ],
)
def test_bad_input_is_named(targets: object, dictionary: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_blend(targets, dictionary)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting", [{"tolerance": 0.0}, {"tolerance": np.nan}, {"limit": 0}, {"threads": -1}]
)
def test_bad_settings_are_named(setting: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        fit_blend([[1, 2]], [[0.5, 0.5]], **setting)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (2, 4), elements=st.floats(0, 1e300)))
def test_extreme_targets_stay_finite(targets: Floats) -> None:
    targets = targets + 1e-300
    fit = fit_blend(
        targets / targets.max(axis=1, keepdims=True), np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    )
    assert np.isfinite(fit.weights).all()


def test_the_start_decides_among_blends_that_fit_alike() -> None:
    """Three rows over two options: the target is the middle row, and a mixture of the outer ones."""
    rows = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    even = fit_blend([[1, 1]], rows).weights[0]
    assert even == pytest.approx([1 / 3] * 3)
    leaning = fit_blend([[1, 1]] * 2, rows, start=[[0.05, 0.9, 0.05], [0.45, 0.1, 0.45]]).weights
    assert leaning[:, 1] == pytest.approx([0.9, 0.1])
    # From a start that fits worse, the fit goes no farther than the likelihood asks.
    tilted = fit_blend([[1, 1]], rows, start=[[0.9, 0.05, 0.05]], tolerance=1e-10).weights[0]
    assert tilted @ np.array(rows) == pytest.approx([0.5, 0.5], abs=1e-4)


def test_unique_blends_do_not_depend_on_the_start() -> None:
    rng = np.random.default_rng(4)
    rows = rng.dirichlet(np.full(12, 0.6), 4)
    target = np.array([0.1, 0.2, 0.3, 0.4]) @ rows
    starts = rng.dirichlet(np.ones(4), 5)
    fits = fit_blend(np.repeat(target[None], 5, axis=0), rows, start=starts, tolerance=1e-12).weights
    assert fits == pytest.approx(np.repeat([[0.1, 0.2, 0.3, 0.4]], 5, axis=0), abs=1e-3)


@pytest.mark.parametrize("start", [[[0.5, 0.5]], [[1.0, 0.0, 0.0]], [[0.3, 0.3, 0.3]], [[0.2, 0.3, 0.5]] * 2])
def test_starts_are_positive_weights_for_every_target(start: list[list[float]]) -> None:
    with pytest.raises(InputError, match="start"):
        fit_blend([[1, 1]], [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]], start=start)
