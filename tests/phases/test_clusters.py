"""Clusters of a task's cells: planted ones are found and named, and what takes no part is counted."""

from __future__ import annotations

import numpy as np
import pytest

from crystal.phases.clusters import MOST, OPTIONS, task_clusters
from crystal.phases.seed_results import SeedResult
from crystal.phases.settings import Margins, Settings
from crystal.samples import Checkpoint, Prompt
from crystal.states.tables import TaskTable

SETTINGS = Settings(threads=1)
STATES = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])
"""What a liquid base answers: prompts 0 and 1, 2 and 3, 4 and 5."""


def table(p: np.ndarray, n: int | None = 60, seed: int = 0, **changed: object) -> TaskTable:
    """Make the table of distributions [C, P, K]: sampled n times, or exact."""
    checkpoints, prompts, options = p.shape
    counts = np.zeros(p.shape, np.int64)
    exact = np.full(p.shape, np.nan)
    if n is None:
        exact = p
    else:
        counts = np.random.default_rng(seed).multinomial(n, p)
    fields = {
        "ladder": "l",
        "task": "t",
        "checkpoints": tuple(Checkpoint("l", "base", i, f"c{i}") for i in range(checkpoints)),
        "prompts": tuple(Prompt("f" if i % 2 else "", f"p{i:03}") for i in range(prompts)),
        "options": tuple(f"o{i}" for i in range(options)),
        "counts": counts,
        "invalid": np.zeros(p.shape[:2], np.int64),
        "probabilities": exact,
    }
    return TaskTable(**{**fields, **changed})  # type: ignore[arg-type]


def crystallised() -> np.ndarray:
    """Three distributions at the base, the second one at every later checkpoint."""
    base = STATES[[0, 0, 1, 1, 2, 2]]
    return np.stack([base, np.repeat(STATES[1:2], 6, 0), np.repeat(STATES[1:2], 6, 0)])


@pytest.mark.parametrize("n", [60, None])
def test_tuned_prompts_lie_in_the_seeds_cluster(n: int | None) -> None:
    seed = SeedResult(kind="one", found=True, base="c0", tuned="c1", prompt="p003")
    found = task_clusters(table(crystallised(), n), seed, SETTINGS)
    assert found.k == 3
    assert found.exact == (n is None)
    assert found.cells == {"c0": [1, 1, 2, 2, 3, 3], "c1": [2] * 6, "c2": [2] * 6}
    assert found.seed == 2
    assert [one.cells for one in found.clusters] == [{"c0": 2}, {"c0": 2, "c1": 6, "c2": 6}, {"c0": 2}]
    assert [one.samples for one in found.clusters] == ([None] * 3 if n is None else [120, 840, 120])
    assert [max(one.distribution, key=one.distribution.__getitem__) for one in found.clusters] == [
        "o0",
        "o1",
        "o3",
    ]
    assert all(sum(one.distribution.values()) == pytest.approx(1) for one in found.clusters)
    assert (found.left_out, found.reason) == (0, None)
    assert found.prompts == [f"p{i:03}" for i in range(6)]
    assert found.families == ["", "f"] * 3
    if n is None:
        assert (found.tests, found.stability) == ([], None)
        assert found.within == pytest.approx(0.0, abs=1e-12)
    else:
        assert [test.k for test in found.tests] == [1, 2, 3]
        assert [test.p <= 0.05 for test in found.tests] == [True, True, False]
        assert found.stability == pytest.approx(1.0)


def test_one_distribution_is_one_cluster() -> None:
    for n in (60, None):
        found = task_clusters(table(np.full((2, 4, 5), 0.2), n), None, SETTINGS)
        assert (found.k, found.seed) == (1, None)
        assert found.cells == {"c0": [1] * 4, "c1": [1] * 4}


def test_exact_clusters_are_as_wide_as_the_margin() -> None:
    p = np.array([[[0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [0.88, 0.12]]])  # 0.007 bits, far, 0.0007 bits
    assert task_clusters(table(p, None), None, SETTINGS).cells == {"c0": [1, 1, 2, 2]}
    narrow = Settings(margins=Margins(jsd=0.001))
    assert task_clusters(table(p, None), None, narrow).cells == {"c0": [1, 2, 3, 3]}


def test_cells_without_samples_enough_take_no_part() -> None:
    sampled = table(crystallised())
    sampled.counts[1, 2] = [3, 3, 2, 1]
    sampled.counts[2, 5] = 0
    found = task_clusters(sampled, None, SETTINGS)
    assert found.left_out == 1  # the other cell has nothing in it
    assert found.cells["c1"][2] is None
    assert found.cells["c2"][5] is None
    assert sum(sum(one.cells.values()) for one in found.clusters) == 16
    few = task_clusters(table(STATES[None, :3]), None, SETTINGS)
    assert (few.k, few.cells, few.clusters) == (0, {}, [])
    assert few.reason == "3 of 4 cells that it takes have 10 valid samples"
    assert task_clusters(table(STATES[None, :3], None), None, SETTINGS).reason == "3 of 4 cells that it takes"


def test_of_exact_and_sampled_cells_the_more_frequent_kind_is_used() -> None:
    p = crystallised()
    mixed = table(p[:2])
    mixed.counts[0] = 0
    mixed.probabilities[0] = p[0]
    mixed.counts[1, :2] = 0
    found = task_clusters(mixed, None, SETTINGS)
    assert found.exact
    assert found.left_out == 4
    assert found.cells == {"c0": [1, 1, 2, 2, 3, 3]}


def test_of_a_long_ladder_checkpoints_evenly_spaced_take_part() -> None:
    p = np.repeat(STATES[[0, 1, 2, 0]][None], 100, 0)
    found = task_clusters(table(p, None), None, SETTINGS)
    assert sum(sum(one.cells.values()) for one in found.clusters) <= MOST
    assert len(found.cells) == MOST // 4
    assert {"c0", "c99"} <= found.cells.keys()
    assert found.reason == "of 100 checkpoints 64, evenly spaced, take part"
    assert found.left_out == 36 * 4
    wide = task_clusters(table(np.repeat(STATES[:1], 2 * MOST, 0)[None].repeat(2, 0), None), None, SETTINGS)
    assert (wide.k, wide.reason) == (0, f"more than {MOST} cells at two checkpoints")


def test_rare_options_count_as_one() -> None:
    """A long list: its head is told apart, the rest has one mass, and no cluster names it."""
    k = 300
    p = np.full((1, 6, k), 0.3 / (k - 2))
    p[0, :3, 7], p[0, 3:, 9] = 0.7, 0.7
    p[0, :3, 9] = p[0, 3:, 7] = 0
    p /= p.sum(axis=2, keepdims=True)
    found = task_clusters(table(p, 100), None, SETTINGS)
    assert found.cells == {"c0": [1, 1, 1, 2, 2, 2]}
    assert [next(iter(one.distribution)) for one in found.clusters] == ["o7", "o9"]
    assert all(sum(one.distribution.values()) < 0.9 for one in found.clusters)
    assert k > OPTIONS


def test_threads_change_nothing_and_the_seed_does() -> None:
    sampled = table(crystallised(), 12, seed=3)
    one, two, other = (
        task_clusters(sampled, None, Settings(threads=threads, seed=seed))
        for threads, seed in ((1, 0), (2, 0), (1, 1))
    )
    assert one == two
    assert one.tests != other.tests
