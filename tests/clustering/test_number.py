"""The number of clusters: what the nulls are, what they refuse, and that the seed decides the result."""

from __future__ import annotations

import numpy as np
import pytest

from crystal import cluster_distributions
from crystal.clustering.number import _cloud, _samples
from crystal.clustering.partitions import Way, adjusted_rand_index, shares
from crystal.errors import CrystalError

TRUTH = np.arange(24) % 3
CENTRES = 0.6 * np.eye(4)[:3] + 0.1


def planted_counts(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(60, CENTRES[TRUTH])


@pytest.mark.parametrize("geometry", ["js", "hellinger"])
@pytest.mark.parametrize("method", ["kmeans", "average", "complete"])
def test_planted_clusters_of_counts_are_counted(method: str, geometry: str) -> None:
    counts = planted_counts()
    found = cluster_distributions(counts, method, counts=True, geometry=geometry, draws=39, restarts=3)  # type: ignore[arg-type]
    assert found.k == 3
    assert adjusted_rand_index(found.labels, TRUTH) == 1.0
    assert [test.k for test in found.tests] == [1, 2, 3]
    assert all(test.p <= 0.05 for test in found.tests[:-1])
    assert found.tests[-1].p > 0.05
    assert all(test.drop > test.chance for test in found.tests[:-1])
    assert found.stability == pytest.approx(1.0)
    np.testing.assert_array_equal(found.sizes, [480, 480, 480])
    pooled = np.stack([counts[c == TRUTH].sum(axis=0) for c in range(3)]) / 480
    np.testing.assert_allclose(found.centroids, pooled, atol=1e-14)


@pytest.mark.parametrize("method", ["kmeans", "average", "complete"])
def test_planted_clouds_are_counted(method: str) -> None:
    rng = np.random.default_rng(1)
    p = np.stack([rng.dirichlet(80 * CENTRES[c]) for c in TRUTH])
    found = cluster_distributions(p, method, draws=39, restarts=3)  # type: ignore[arg-type]
    assert found.k == 3
    assert adjusted_rand_index(found.labels, TRUTH) == 1.0


def test_noise_of_sampling_makes_no_clusters() -> None:
    """Sixteen worlds of one distribution: at most a few are cut at alpha = .05 (P(4 or more) = .007)."""
    cut = 0
    for seed in range(16):
        counts = np.random.default_rng(seed).multinomial(20, np.full(6, 1 / 6), 20)
        found = cluster_distributions(counts, counts=True, draws=39, restarts=2, seed=seed)
        cut += found.k > 1
        assert (found.k > 1) == (found.tests[0].p <= 0.05)
    assert cut <= 3


def test_one_cloud_is_not_cut_although_its_rows_differ() -> None:
    p = np.random.default_rng(0).dirichlet(np.full(5, 4.0), 40)
    assert cluster_distributions(p, draws=39).k == 1
    # The same rows, well sampled, are different distributions: that is what counts ask.
    counts = np.round(p * 10_000).astype(int)
    assert cluster_distributions(counts, counts=True, draws=39, restarts=2, max_k=3).k == 3


def test_equal_rows_are_one_cluster() -> None:
    for rows, counts in ((np.full((9, 4), 0.25), False), (np.full((9, 4), 5), True), (np.eye(1, 4), False)):
        found = cluster_distributions(rows, counts=counts, draws=19)
        assert found.k == 1
        assert found.stability is None
        assert all(test.p > 0.05 for test in found.tests)
    assert cluster_distributions(np.eye(1, 4)).tests == ()


def test_rows_of_one_option_can_be_drawn_from() -> None:
    """Their weighted mean rounds to more than 1 for some numbers of rows, which is no probability."""
    beyond = 0
    for rows in range(2, 40):
        labels, sizes = np.zeros(rows, dtype=np.int32), np.full(rows, 30)
        p = (shares(labels, sizes.astype(float)) @ np.tile([1.0, 0.0], (rows, 1)))[labels]
        beyond += bool((p > 1.0).any())
        assert _samples(sizes, p)(np.random.default_rng(0)).tolist() == [[1.0, 0.0]] * rows
    assert beyond > 0


def test_a_cloud_keeps_centre_and_covariance() -> None:
    """Well inside the simplex the draws' roots have the moments of the cluster's own, up to the norm."""
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.full(4, 300.0), 12)
    draw = _cloud(rows, np.ones(12), np.zeros(12, dtype=np.int32))
    drawn = np.sqrt(np.concatenate([draw(rng) for _ in range(3000)]))
    np.testing.assert_allclose(drawn.mean(axis=0), np.sqrt(rows).mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(np.sqrt(rows).T), atol=2e-5)
    np.testing.assert_allclose((drawn**2).sum(axis=1), 1.0)


def test_a_cloud_of_weighted_rows_is_that_of_repeated_rows() -> None:
    rows = np.random.default_rng(2).dirichlet(np.full(4, 300.0), 6)
    w = np.array([1.0, 3.0, 1.0, 2.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    draw = _cloud(rows, w, np.zeros(6, dtype=np.int32))
    drawn = np.sqrt(np.concatenate([draw(rng) for _ in range(6000)]))
    expected = np.sqrt(np.repeat(rows, w.astype(int), axis=0))
    np.testing.assert_allclose(drawn.mean(axis=0), expected.mean(axis=0), atol=1e-3)


def test_samples_have_their_sizes_and_their_clusters_distribution() -> None:
    sizes, p = np.array([1, 50, 1000]), CENTRES
    drawn = _samples(sizes, p)(np.random.default_rng(0))
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    np.testing.assert_allclose((drawn * sizes[:, None]) % 1, 0.0, atol=1e-9)
    np.testing.assert_allclose(drawn[2], p[2], atol=0.06)


def test_a_result_is_a_function_of_the_seed() -> None:
    counts = planted_counts(3)
    one, same, other = (
        cluster_distributions(
            counts, counts=True, draws=19, alpha=0.05, restarts=2, seed=seed, threads=threads
        )
        for seed, threads in ((1, 1), (1, 3), (2, 1))
    )
    assert one.tests == same.tests
    assert one.labels.tobytes() == same.labels.tobytes()
    assert one.stability == same.stability
    assert one.tests != other.tests


def test_most_clusters_and_no_resamples() -> None:
    found = cluster_distributions(planted_counts(), counts=True, draws=19, restarts=2, max_k=2, resamples=0)
    assert found.k == 2
    assert [test.k for test in found.tests] == [1]
    assert found.stability is None
    assert cluster_distributions(planted_counts(), counts=True, k=3, resamples=4).stability == 1.0


def test_the_rand_index_counts_pairs() -> None:
    """By the definition: pairs together in both, less what is expected when labels are permuted."""
    rng = np.random.default_rng(0)
    for clusters in (1, 2, 5, 40):
        a, b = rng.integers(0, clusters, 30), rng.integers(0, 4, 30)
        upper = np.triu_indices(30, 1)
        one, other = (np.equal.outer(x, x)[upper] for x in (a, b))
        expected = one.mean() * other.mean()
        most = (one.mean() + other.mean()) / 2
        assert adjusted_rand_index(a, b) == pytest.approx(
            ((one & other).mean() - expected) / (most - expected)
        )
    assert adjusted_rand_index([3, 3], [1, 1]) == 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "single"}, "single linkage"),
        ({"k": "many"}, "number of clusters"),
        ({"alpha": 0.001}, "alpha"),
        ({"alpha": 1.0}, "alpha"),
        ({"draws": 0}, "alpha|draws"),
        ({"max_k": 0}, "max_k"),
        ({"resamples": -1}, "resamples"),
        ({"seed": -1}, "seed"),
        ({"counts": True, "weights": [1, 1, 1]}, "weigh as many"),
        ({"counts": True}, "no samples"),
    ],
)
def test_bad_settings(options: dict, text: str) -> None:  # type: ignore[type-arg]
    rows = np.eye(3, dtype=int)
    rows[2] = 0 if options.get("counts") and "weights" not in options else rows[2]
    with pytest.raises(CrystalError, match=text):
        cluster_distributions(rows, **options)


@pytest.mark.parametrize("geometry", ["js", "hellinger"])
@pytest.mark.parametrize("method", ["average", "complete"])
def test_what_merges_cost_adds_up_to_the_objective(method: str, geometry: str) -> None:
    """The objective of every cut of a tree, from its merges and from its labels; rows without weight too."""
    rng = np.random.default_rng(4)
    rows = rng.dirichlet(np.full(5, 0.3), 14)
    rows[3] = rows[8]
    w = rng.uniform(0.0, 3.0, 14)
    w[[2, 5]] = 0.0
    way, ks = Way(method, geometry, 1, 1), range(1, 15)
    parts = way.partitions(rows, w, ks, rng)
    direct = [way.objective(rows, w, part.labels) for part in parts]
    np.testing.assert_allclose([part.objective for part in parts], direct, atol=1e-13)
    other = rng.dirichlet(np.full(5, 0.3), 14)
    both = way.objectives([rows, other], w, ks, rng)
    np.testing.assert_array_equal(both[0], [part.objective for part in parts])
    np.testing.assert_array_equal(both[1:], way.objectives([other], w, ks, rng))
