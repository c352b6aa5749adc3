import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.ops.resampling import permutation_test
from crystal.statistics.change_points import cut_g, order_test


def test_g_of_a_cut_is_the_definition() -> None:
    counts = np.random.default_rng(1).integers(0, 9, size=(3, 4, 5))
    expected = []
    for t in range(1, 4):
        g = 0.0
        for block in counts:
            table = np.stack([block[:t].sum(axis=0), block[t:].sum(axis=0)]).astype(float)
            margins = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
            seen = table > 0
            g += 2 * float((table[seen] * np.log(table[seen] / margins[seen])).sum())
        expected.append(g)
    np.testing.assert_allclose(cut_g(counts), expected, atol=1e-9)
    assert permutation_test(counts, "max_cut_g", draws=1).observed == pytest.approx(max(expected))


def test_many_data_sets_at_once_are_each_alone() -> None:
    # More cells than are looked at at once, and not a whole number of times as many.
    counts = np.random.default_rng(2).integers(0, 9, size=(130, 7, 30, 5))
    together = cut_g(counts)
    assert together.shape == (130, 29)
    for one, alone in zip(together, counts, strict=True):
        np.testing.assert_array_equal(one, cut_g(alone))
    assert cut_g(counts[:0]).shape == (0, 29)


def test_one_odd_checkpoint_differs_but_not_in_this_order() -> None:
    counts = np.full((1, 12, 2), 200)
    counts[0, 5] = [400, 0]
    assert permutation_test(counts, "max_cut_g", draws=199).p < 0.05
    p = order_test(counts, draws=199)
    assert p is not None
    assert p > 0.1
    assert order_test(counts[:, :9]) is None


def test_shapes_are_checked() -> None:
    with pytest.raises(SettingsError, match="shape"):
        cut_g([[1, 2]])
    with pytest.raises(SettingsError, match="shape"):
        order_test([[1, 2]])
