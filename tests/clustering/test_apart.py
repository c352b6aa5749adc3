"""Nulls that cannot reach the data: none is drawn, and every one would have been rejected."""

from __future__ import annotations

import numpy as np
import pytest

from crystal import cluster_distributions
from crystal.clustering import number
from crystal.clustering.apart import beyond_null

CENTRES = 0.6 * np.eye(4)[:3] + 0.1
TRUTH = np.arange(24) % 3


def table(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, CENTRES[TRUTH])


@pytest.mark.parametrize("n", [15, 2_000])
@pytest.mark.parametrize("method", ["complete", "average"])
def test_what_is_not_drawn_would_have_been_rejected(
    n: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = table(n, n)
    quick = cluster_distributions(counts, method, counts=True, draws=39, seed=5)  # type: ignore[arg-type]
    monkeypatch.setattr(number, "beyond_null", lambda *_: None)
    drawn = cluster_distributions(counts, method, counts=True, draws=39, seed=5)  # type: ignore[arg-type]
    assert [test.p for test in quick.tests] == [test.p for test in drawn.tests]
    # With 15 samples a row nothing is beyond doubt, with 2,000 two nulls are.
    same = [one == other for one, other in zip(quick.tests, drawn.tests, strict=True)]
    assert same == ([True] * len(same) if n == 15 else [False, False, True])
    for bound, mean in zip(quick.tests, drawn.tests, strict=True):
        assert mean.chance <= bound.chance
        assert mean.drop == bound.drop


def test_no_draw_of_a_null_exceeds_its_bound() -> None:
    """Three centres, 500 draws: the fall to four clusters stays below, the three are found in each."""
    counts = table(400, 1)
    sizes = counts.sum(axis=1)
    rows, labels = counts / sizes[:, None], TRUTH.astype(np.int32)
    bound = beyond_null(rows, sizes, labels, 1.0)
    assert bound is not None
    assert beyond_null(rows, sizes, labels, bound) is None
    for seed in range(500):
        drawn = cluster_distributions(table(400, 100 + seed), "complete", counts=True, k=3)
        assert drawn.labels.tolist() == TRUTH.tolist()
        assert drawn.objective < bound


def test_centres_that_samples_may_mix_up_are_no_matter_of_course() -> None:
    rows = np.repeat([[0.5, 0.5], [0.6, 0.4]], 4, axis=0)
    labels = np.repeat([0, 1], 4).astype(np.int32)
    assert beyond_null(rows, np.full(8, 50), labels, 1.0) is None
    assert beyond_null(rows, np.full(8, 50_000), labels, 1.0) is not None
