"""Small tables, drawn sixteen replicates at a time: word by word, and beside SciPy's tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from crystal.ops.core import load
from crystal.ops.resampling import permutation_test, permute_counts

MARK = [0x63727973, 0x74616C00]


def by_hand(table: list[list[int]], seed: int, key: int, replicate: int) -> tuple[list[list[int]], int]:
    """Label sample after sample as docs/decisions/randomness.md says; also count the numbers drawn anew."""
    core = load()
    counts = np.array(table)
    turned = counts.shape[1] < counts.shape[0]
    labels, totals = (
        (counts.sum(axis=0), counts.sum(axis=1)) if turned else (counts.sum(axis=1), counts.sum(axis=0))
    )
    order = list(range(len(totals)))
    largest = int(totals.argmax())
    order[-1], order[largest] = order[largest], order[-1]
    derived = core.philox([seed, 0, key, 0], MARK)[:2]
    left = labels.tolist()
    drawn = np.zeros((len(labels), len(totals)), dtype=int)
    step = again = 0
    for run in order[:-1]:
        for _ in range(totals[run]):
            m = sum(left)
            word = core.philox([step // 8, 0, replicate, 0], derived)[step % 8 // 2]
            number, low = divmod((word >> 16 * (step % 2)) % 2**16 * m, 2**16)
            attempt = 0
            while low < 2**16 % m:
                again += 1
                word = core.philox([step, 2**31 + (attempt // 4 << 16), replicate, 0], derived)[attempt % 4]
                number, low = divmod((word >> 16) * m, 2**16)
                attempt += 1
            label = int(np.searchsorted(np.cumsum(left), number, side="right"))
            left[label] -= 1
            drawn[label, run] += 1
            step += 1
    drawn[:, order[-1]] = left
    return (drawn.T if turned else drawn).tolist(), again


@pytest.mark.parametrize(
    "table",
    [
        [[3, 2], [1, 4]],
        [[5, 0, 2, 1], [1, 1, 1, 6]],
        [[2, 2, 3], [4, 1, 0], [1, 1, 1], [0, 2, 2]],
        [
            [2, 1, 3, 4, 1],
            [1, 4, 1, 0, 3],
            [1, 1, 1, 1, 1],
            [2, 0, 2, 5, 1],
            [1, 1, 3, 1, 2],
            [4, 3, 2, 1, 0],
        ],
        [[20 + (i * j) % 3 for i in range(7)] for j in range(6)],
    ],
)
def test_tables_are_those_made_by_hand(table: list[list[int]]) -> None:
    seed, key = 12, 34
    draws = 20
    drawn = permute_counts([table], draws=draws, seed=seed, key=key, threads=1)[:, 0]
    again = 0
    for replicate in (0, 1, 7, 15, 16, 19):
        expected, rejected = by_hand(table, seed, key, replicate)
        assert drawn[replicate].tolist() == expected
        again += rejected
    # Among nine hundred samples some numbers have to be drawn anew: that way is taken too.
    assert (again > 0) == (sum(map(sum, table)) > 800)


def g_of(tables: np.ndarray) -> np.ndarray:
    return np.asarray(2 * np.where(tables > 0, tables * np.log(np.maximum(tables, 1)), 0.0).sum(axis=(1, 2)))


@pytest.mark.parametrize(
    "shape",
    [
        (2, 10, 20),
        (3, 4, 25),
        (8, 30, 20),
        (8, 4, 100),
        (12, 5, 40),
        (9, 12, 30),
        (34, 40, 6),
        (2, 6, 160),
        (2, 6, 161),
    ],
)
def test_larger_tables_have_the_law_of_scipys(shape: tuple[int, int, int]) -> None:
    """Around the 32 labels and 160 samples a label where the method changes, too."""
    groups, options, size = shape
    rng = np.random.default_rng(list(shape))
    counts = rng.multinomial(size, rng.dirichlet(np.ones(options)), size=groups)
    draws = 3000
    ours = permute_counts(counts[None], draws=draws, seed=1)[:, 0]
    theirs = stats.random_table(counts.sum(axis=1), counts.sum(axis=0)).rvs(size=draws, random_state=2)
    assert stats.ks_2samp(g_of(ours), g_of(theirs), method="asymp").pvalue > 1e-3
    for cells in ((slice(None), 0, 0), (slice(None), -1, -1), (slice(None), 0, -1)):
        assert stats.ks_2samp(ours[cells], theirs[cells], method="asymp").pvalue > 1e-3
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    assert np.abs(ours.mean(axis=0) - expected).max() < 5 * math.sqrt(expected.max() / draws) + 1e-9


@pytest.mark.parametrize("name", ["g", "js", "retention"])
def test_blocks_of_any_size_stand_beside_one_another(name: str) -> None:
    """Blocks drawn side by side and blocks drawn one by one make one replicate; its p is uniform."""
    rng = np.random.default_rng(8)
    values = []
    for trial in range(300):
        sizes = np.array([[15, 20], [700, 500], [9, 9]])
        counts = np.stack([[rng.multinomial(n, [0.5, 0.3, 0.2]) for n in row] for row in sizes])
        result = permutation_test(counts, name, draws=99, exceedances=100, seed=trial, threads=1)  # type: ignore[arg-type]
        values.append((result.greater + rng.uniform() * (1 + result.equal)) / 100)
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_draws_up_to_the_stop_follow_the_negative_binomial_law() -> None:
    """Besag and Clifford: with P(as large as the data) known, so is the law of the number of draws."""
    table, stop, most = np.array([[[4, 1], [1, 3]]], dtype=np.int64), 4, 30
    cells = stats.hypergeom(9, 5, 5)
    g = {a: float(g_of(np.array([[[a, 5 - a], [5 - a, a - 1]]]))[0]) for a in range(1, 6)}
    share = sum(float(cells.pmf(a)) for a in g if g[a] >= g[4] - 1e-9)
    results = [
        permutation_test(table, "g", draws=most, exceedances=stop, seed=s, threads=1) for s in range(4000)
    ]
    seen = np.bincount([r.draws for r in results], minlength=most + 1)
    law = np.append(np.zeros(stop), stats.nbinom(stop, share).pmf(np.arange(most - stop + 1)))
    law[most] += 1 - law.sum()
    kept = law * 4000 > 5
    statistic = ((seen - law * 4000)[kept] ** 2 / (law * 4000)[kept]).sum()
    assert stats.chi2.sf(statistic, kept.sum() - 1) > 1e-3
    assert all(r.p == (r.greater + r.equal + 1) / (r.draws + 1) for r in results)


def test_p_is_valid_as_it_stands_under_stopping() -> None:
    """Exactly: P(p <= alpha) over all tables of a null, stopped draws and all, is at most alpha."""
    cells, stop, most = stats.hypergeom(14, 7, 6), 5, 60
    tables = {a: np.array([[a, 6 - a], [7 - a, 1 + a]]) for a in range(7)}
    g = {a: float(g_of(table[None])[0]) for a, table in tables.items()}
    chance = {a: float(cells.pmf(a)) for a in g}
    share = {a: sum(chance[b] for b in g if g[b] >= g[a] - 1e-9) for a in g}
    outcomes: dict[float, float] = {}
    for a, weight in chance.items():
        for draws in range(stop, most + 1):
            p = (stop + 1) / (draws + 1)
            outcomes[p] = outcomes.get(p, 0.0) + weight * float(
                stats.nbinom(stop, share[a]).pmf(draws - stop)
            )
        for exceeding in range(stop):
            p = (exceeding + 1) / (most + 1)
            outcomes[p] = outcomes.get(p, 0.0) + weight * float(stats.binom(most, share[a]).pmf(exceeding))
    assert sum(outcomes.values()) == pytest.approx(1.0)
    for alpha in sorted(outcomes):
        assert sum(weight for p, weight in outcomes.items() if p <= alpha) <= alpha + 1e-12
    # And the test gives those p-values: its share below each level is what the law says.
    rng = np.random.default_rng(3)
    given = [
        permutation_test(tables[int(a)][None], "g", draws=most, exceedances=stop, seed=seed, threads=1).p
        for seed, a in enumerate(cells.rvs(size=4000, random_state=rng))
    ]
    for alpha in (0.02, 0.05, 0.1, 0.3, 0.6):
        expected = sum(weight for p, weight in outcomes.items() if p <= alpha + 1e-12)
        assert np.mean(np.array(given) <= alpha + 1e-12) == pytest.approx(
            expected, abs=4 * math.sqrt(0.25 / 4000)
        )
