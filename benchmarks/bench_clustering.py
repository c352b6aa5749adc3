"""Clustering of distributions beside scikit-learn, fastcluster and SciPy, on one thread; answers first.

k-means in the geometry that both have (square roots, Hellinger), from the same start and until no row moves,
so that the passes are the same, by either of its algorithms; then both whole jobs with ten starts, whose
objectives are compared. The linkages from the same condensed distances, and from the rows on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from crystal.clustering.distributions import cluster_distributions
from crystal.ops.clustering import link, lloyd
from crystal.ops.divergence_matrix import hellinger_matrix

sklearn_cluster = pytest.importorskip("sklearn.cluster")
fastcluster = pytest.importorskip("fastcluster")


@pytest.mark.parametrize(("rows", "options", "k"), [(50_000, 16, 8), (20_000, 100, 8)])
def test_kmeans(race: Callable[..., None], rows: int, options: int, k: int) -> None:
    rng = np.random.default_rng(0)
    x = np.sqrt(rng.dirichlet(np.full(options, 0.5), size=rows))
    start, weights = x[:k].copy(), np.ones(rows)
    limit = 20

    def theirs(algorithm: str) -> Any:
        model = sklearn_cluster.KMeans(k, init=start, n_init=1, tol=0, max_iter=limit, algorithm=algorithm)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the limit was reached
            return model.fit(x)

    ours = lloyd(x, weights, start, "hellinger", limit=limit, threads=1)
    for algorithm in ("lloyd", "elkan"):
        peer = theirs(algorithm)
        assert ours.iterations == peer.n_iter_ == limit
        assert ours.objective <= peer.inertia_ / 2 * (1 + 1e-3)  # the last labels are one step apart
    race(
        f"k-means {rows} x {options}, k = {k}, row-passes",
        rows * limit,
        crystal=lambda: lloyd(x, weights, start, "hellinger", limit=limit, threads=1),
        sklearn_lloyd=lambda: theirs("lloyd"),
        sklearn_elkan=lambda: theirs("elkan"),
    )


def test_whole_kmeans(race: Callable[..., None]) -> None:
    rows, options, k = 10_000, 16, 8
    rng = np.random.default_rng(1)
    centres = rng.dirichlet(np.ones(options), size=k)
    p = np.stack([rng.dirichlet(20 * centres[i % k]) for i in range(rows)])
    roots = np.sqrt(p)

    def ours() -> Any:
        return cluster_distributions(p, k=k, geometry="hellinger", threads=1)

    def theirs() -> Any:
        return sklearn_cluster.KMeans(k, n_init=10, tol=0, random_state=0).fit(roots)

    assert ours().objective <= theirs().inertia_ / 2 / rows * (1 + 1e-9)
    race(f"whole k-means {rows} x {options}, k = {k}, rows", rows, crystal=ours, scikit_learn=theirs)


@pytest.mark.parametrize("method", ["average", "complete", "single"])
def test_linkage(race: Callable[..., None], method: str) -> None:
    rows = 2000
    p = np.random.default_rng(0).dirichlet(np.ones(16), size=rows)
    condensed = squareform(hellinger_matrix(p, threads=1), checks=False)
    ours = link(condensed, method)
    for peer in (hierarchy.linkage(condensed, method), fastcluster.linkage(condensed, method)):
        np.testing.assert_allclose(ours.height, peer[:, 2], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(ours.left, peer[:, :2].min(axis=1))
    race(
        f"{method} linkage of {rows}, pairs",
        rows * (rows - 1) // 2,
        crystal=lambda: link(condensed, method),
        fastcluster=lambda: fastcluster.linkage(condensed, method),
        scipy=lambda: hierarchy.linkage(condensed, method),
    )


def test_whole_linkage(race: Callable[..., None]) -> None:
    rows = 5000
    p = np.random.default_rng(0).dirichlet(np.ones(16), size=rows)

    def ours() -> Any:
        return link(hellinger_matrix(p, threads=1), "average", overwrite=True)

    def theirs() -> Any:
        return fastcluster.linkage(pdist(np.sqrt(p)) * np.sqrt(0.5), "average", preserve_input=False)

    np.testing.assert_allclose(ours().height, theirs()[:, 2], rtol=0, atol=1e-12)
    race(
        f"average linkage from rows, {rows} x 16, pairs",
        rows * (rows - 1) // 2,
        rounds=3,
        crystal=ours,
        pdist_fastcluster=theirs,
    )
