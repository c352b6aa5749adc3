import numpy as np
import pytest
from scipy.optimize import minimize

from crystal.errors import SettingsError
from crystal.ops.resampling import permutation_test
from crystal.statistics.change_points import cut_g, find_change_point
from crystal.statistics.drift import drift_gain

STEPS = np.array([0, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240])


def ladder(weights: np.ndarray, size: int = 40, blocks: int = 2, seed: int = 0) -> np.ndarray:
    """Counts of blocks that go from one distribution to another by a weight a checkpoint."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(blocks):
        ends = np.log(rng.dirichlet(np.ones(5), size=2) + 0.05)
        p = np.exp((1 - weights)[:, None] * ends[0] + weights[:, None] * ends[1])
        result.append([rng.multinomial(size, row / row.sum()) for row in p])
    return np.array(result)


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


def test_a_clean_cut_is_found_where_it_is() -> None:
    change = find_change_point(ladder((np.arange(12) >= 7) * 1.0), STEPS, permutations=999)
    assert change is not None
    assert change.position == 7
    assert 7 in change.cuts
    assert change.low <= 7 <= change.high
    assert change.high - change.low <= 2
    assert change.p < 0.01
    assert change.order_p is not None
    assert change.order_p < 0.05
    assert not change.gradual


def test_a_drift_is_called_gradual() -> None:
    places = np.log1p(STEPS)
    change = find_change_point(ladder(places / places[-1]), STEPS, permutations=199)
    assert change is not None
    assert change.gradual
    assert change.drift > change.g


def test_a_perfect_separation_is_a_cut() -> None:
    counts = [[[40, 0], [40, 0], [0, 40], [0, 40]]]
    change = find_change_point(counts, [0, 1, 2, 3], permutations=199)
    assert change is not None
    assert (change.position, change.cuts, change.gradual) == (2, (2,), False)
    assert change.order_p is None


def test_nothing_changes() -> None:
    p = []
    for seed in range(20):
        change = find_change_point(ladder(np.zeros(6), seed=seed), permutations=199, draws=50)
        assert change is not None
        p.append(change.p)
    assert np.mean(np.array(p) < 0.05) <= 0.2
    assert np.mean(p) > 0.3


def test_the_set_of_cuts_covers() -> None:
    found = 0
    for seed in range(40):
        change = find_change_point(
            ladder((np.arange(8) >= 3) * 1.0, size=12, blocks=1, seed=seed),
            permutations=19,
            draws=200,
            key=seed,
        )
        assert change is not None
        found += 3 in change.cuts
    assert found >= 34


def test_edges() -> None:
    assert find_change_point([[[5, 5]]]) is None
    assert find_change_point([[[0, 0], [0, 0]]]) is None
    with pytest.raises(SettingsError, match="one step"):
        find_change_point([[[5, 1], [1, 5]]], [0, 1, 2])
    with pytest.raises(SettingsError, match="shape"):
        cut_g([[1, 2]])
    twice = [find_change_point([[[5, 1], [1, 5]]], [0, 0], permutations=99, key=4) for _ in range(2)]
    assert twice[0] == twice[1]


def test_the_drifts_gain_is_the_maximum_of_the_likelihood() -> None:
    counts = np.array([[[12, 5, 3], [9, 8, 3], [6, 9, 5], [3, 9, 8]]])
    x = np.arange(4.0)

    def loss(w: np.ndarray) -> float:
        value = np.column_stack([np.zeros(4), w[0] + w[1] * x, w[2] + w[3] * x])
        return -float((counts[0] * (value - np.logaddexp.reduce(value, axis=1, keepdims=True))).sum())

    share = counts[0].sum(axis=0) / counts.sum()
    null = float((counts[0] * np.log(share)).sum())
    best = minimize(loss, np.zeros(4), method="BFGS").fun
    assert drift_gain(counts, x) == pytest.approx(2 * (-best - null), abs=1e-3)
    assert drift_gain(counts, np.zeros(4)) == 0.0
    assert drift_gain(np.array([[[7], [5]]]), np.arange(2.0)) == 0.0
