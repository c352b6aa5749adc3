"""G of every cut, against its definition, against simulated counts, and where it cannot be had."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crystal.errors import InputError, SettingsError
from crystal.ops import cuts
from crystal.ops.resampling import permutation_test, simulate_counts
from crystal.ops.resampling_reference import statistic

Counts = npt.NDArray[np.int64]


def by_definition(counts: Counts) -> list[float]:
    """G of each cut of [B, S, K], from two pooled groups."""
    return [
        statistic(np.stack([counts[:, :t].sum(axis=1), counts[:, t:].sum(axis=1)], axis=1), "g")
        for t in range(1, counts.shape[1])
    ]


def rows(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.full(shape[-1], 0.5), size=shape[:-1])


def test_two_options_by_hand() -> None:
    # Before: 10 and 0, after: 0 and 10. G = 2 * (10 ln 2 + 10 ln 2).
    assert cuts.cut_g([[[10, 0], [0, 10]]]).tolist() == pytest.approx([40 * np.log(2)])
    assert cuts.cut_g([[[3, 6], [1, 2], [20, 40]]]).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


@given(arrays(np.int64, st.tuples(*[st.integers(1, 4)] * 3), elements=st.integers(0, 40)))
def test_every_cut_is_the_definition(counts: Counts) -> None:
    np.testing.assert_allclose(cuts.cut_g(counts), by_definition(counts), atol=1e-9)
    assert permutation_test(counts, "max_cut_g", draws=1).observed == pytest.approx(
        max(by_definition(counts), default=0.0), abs=1e-9
    )


def test_large_counts_are_no_table() -> None:
    counts = np.array([[[3_000_000, 1], [70_000, 2], [0, 4]], [[1, 1], [2, 0], [0, 5]]])
    np.testing.assert_allclose(cuts.cut_g(counts), by_definition(counts), rtol=1e-9)


def test_many_ladders_are_each_alone() -> None:
    counts = np.random.default_rng(2).integers(0, 9, size=(3, 5, 7, 30, 5))
    together = cuts.cut_g(counts)
    assert together.shape == (3, 5, 29)
    for place in np.ndindex(3, 5):
        np.testing.assert_array_equal(together[place], cuts.cut_g(counts[place]))


def test_orders_are_of_checkpoints() -> None:
    random = np.random.default_rng(3)
    counts = random.integers(0, 9, size=(4, 12, 5))
    orders = np.array([random.permutation(12) for _ in range(7)])
    for order, found in zip(orders, cuts.ordered_cut_g(counts, orders), strict=True):
        np.testing.assert_array_equal(found, cuts.cut_g(counts[:, order]))


@pytest.mark.parametrize("size", [5, 50, 3_000, 100_000])
def test_simulated_ladders_are_those_of_simulated_counts(size: int) -> None:
    p = rows((3, 6, 4), size)
    sizes = np.random.default_rng(size).integers(0, size, size=(3, 6))
    sizes[1, 2], p[1, 2] = 0, np.nan  # what has no samples needs no row
    drawn = simulate_counts(p.reshape(-1, 4), sizes.ravel(), draws=40, seed=5, key=6)
    expected = cuts.cut_g(drawn.reshape(40, 3, 6, 4))
    found = cuts.simulate_cut_g(p, sizes, draws=40, seed=5, key=6)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[:9], cuts.simulate_cut_g(p, sizes, draws=9, seed=5, key=6))


def test_unchanged_ladders_have_chi_squared_cuts() -> None:
    # Four options that all have many samples: 3 degrees of freedom a block, whatever the cut.
    p = np.broadcast_to([0.1, 0.2, 0.3, 0.4], (2, 5, 4)).copy()
    g = cuts.simulate_cut_g(p, np.full((2, 5), 400), draws=4_000, seed=1)
    assert g.mean(axis=0) == pytest.approx(np.full(4, 6.0), abs=4 * (12 / 4_000) ** 0.5)
    assert g.var(axis=0) == pytest.approx(np.full(4, 12.0), rel=0.15)


def test_same_bytes_for_any_number_of_threads() -> None:
    random = np.random.default_rng(4)
    counts = random.integers(0, 60, size=(40, 12, 30, 8))
    orders = np.array([random.permutation(30) for _ in range(400)])
    p, sizes = rows((12, 30, 8), 5), np.full((12, 30), 30)

    def found(threads: int) -> list[bytes]:
        return [
            cuts.cut_g(counts, threads=threads).tobytes(),
            cuts.ordered_cut_g(counts[0], orders, threads=threads).tobytes(),
            cuts.simulate_cut_g(p, sizes, draws=300, seed=7, threads=threads).tobytes(),
        ]

    assert found(1) == found(2) == found(5)


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 4, 0), (2, 1, 3)])
def test_nothing_to_cut(shape: tuple[int, int, int]) -> None:
    none = np.zeros(shape, dtype=np.int64)
    assert cuts.cut_g(none).tolist() == [0.0] * (shape[1] - 1)
    assert cuts.ordered_cut_g(none, [list(range(shape[1]))]).tolist() == [[0.0] * (shape[1] - 1)]
    p = np.zeros(shape)
    assert cuts.simulate_cut_g(p, none.sum(axis=2), draws=2).tolist() == [[0.0] * (shape[1] - 1)] * 2
    assert cuts.cut_g(np.zeros((0, *shape), dtype=np.int64)).shape == (0, shape[1] - 1)


GOOD: Counts = np.ones((2, 3, 4), dtype=np.int64)


@pytest.mark.parametrize(
    "wrong", [[[1, 2]], GOOD.astype(float), -GOOD, GOOD * 2**22, np.zeros((2, 0, 4), np.int64), "no"]
)
def test_what_is_no_ladder_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        cuts.cut_g(wrong)
    with pytest.raises(InputError):
        cuts.ordered_cut_g(wrong, [[0, 1, 2]])


@pytest.mark.parametrize(
    "wrong", [[[0, 1]], [[0, 1, 1]], [[0, 1, 3]], [[-1, 0, 1]], [0, 1, 2], [[0.0, 1.5, 2.0]]]
)
def test_what_is_no_order_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="order"):
        cuts.ordered_cut_g(GOOD, wrong)


def test_what_cannot_be_drawn_is_refused() -> None:
    sizes = np.full((2, 3), 5)
    with pytest.raises(InputError):
        cuts.simulate_cut_g(np.ones((2, 3, 4)), sizes, draws=1)
    with pytest.raises(InputError):
        cuts.simulate_cut_g(np.full((2, 2, 4), 0.25), sizes, draws=1)
    with pytest.raises(InputError):
        cuts.simulate_cut_g(np.full((2, 0, 4), 0.25), sizes[:, :0], draws=1)
    with pytest.raises(SettingsError):
        cuts.simulate_cut_g(np.full((2, 3, 4), 0.25), sizes, draws=0)
    with pytest.raises(SettingsError):
        cuts.cut_g(GOOD, threads=-1)
