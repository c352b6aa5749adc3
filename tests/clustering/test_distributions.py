"""Clusters of distributions: SciPy's trees, best objectives by hand, planted clusters, weights, threads."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from crystal import cluster_distributions
from crystal.clustering.partitions import adjusted_rand_index
from crystal.clustering.results import Clusters
from crystal.errors import CrystalError
from crystal.ops.clustering import best_lloyd, link, lloyd, start_rows
from crystal.statistics.divergence import divergence_matrix, js_information, kl

METHODS = ["kmeans", "average", "complete", "single"]
GEOMETRIES = ["js", "hellinger"]


def cluster(p: object, method: str = "kmeans", **options: object) -> Clusters:
    return cluster_distributions(p, method, **options)  # type: ignore[arg-type]


def planted(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.eye(4) * 0.6 + 0.1
    truth = rng.permutation(np.arange(rows) % 4)
    return np.array([rng.dirichlet(60 * centres[c]) for c in truth]), truth


@pytest.mark.parametrize("method", ["single", "complete", "average"])
@pytest.mark.parametrize("rows", [1, 2, 3, 16, 90])
def test_the_tree_is_scipys(rows: int, method: str) -> None:
    p = np.random.default_rng(rows).dirichlet(np.ones(6), size=rows)
    found = cluster(p, method, k=1)
    assert found.tree is not None
    if rows == 1:
        assert len(found.tree.left) == 0
        return
    expected = hierarchy.linkage(squareform(divergence_matrix(p), checks=False), method)
    mine = found.tree.to_scipy()
    np.testing.assert_array_equal(mine[:, [0, 1, 3]], expected[:, [0, 1, 3]])
    np.testing.assert_allclose(mine[:, 2], expected[:, 2], rtol=0, atol=1e-12)
    for k in {1, 2, rows // 2, rows} - {0}:
        mine_cut = cluster(p, method, k=k).labels
        scipys = hierarchy.cut_tree(expected, n_clusters=k)[:, 0]
        assert len(set(zip(mine_cut.tolist(), scipys.tolist(), strict=True))) == k


@given(st.integers(2, 24), st.integers(0, 999), st.sampled_from(["single", "complete", "average"]))
@settings(max_examples=40, deadline=None)
def test_ties_give_a_tree_of_the_same_heights(rows: int, seed: int, method: str) -> None:
    """Whole-numbered distances tie often; single linkage has the same heights whatever the choice."""
    rng = np.random.default_rng(seed)
    table = np.triu(rng.integers(1, 5, (rows, rows)), 1).astype(float)
    table += table.T
    tree = link(table, method)
    assert (np.diff(tree.height) >= 0).all()
    assert tree.size[-1] == rows
    assert sorted([*tree.left, *tree.right]) == list(range(2 * rows - 2))
    if method == "single":
        expected = hierarchy.linkage(squareform(table), method)[:, 2]
        np.testing.assert_array_equal(tree.height, expected)


def test_among_equals_the_lowest_number_is_nearest() -> None:
    tree = link(np.ones((4, 4)), "average")
    assert (tree.left[0], tree.right[0]) == (0, 1)
    np.testing.assert_array_equal(tree.height, 1.0)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_kmeans_finds_the_best_partition(geometry: str, k: int) -> None:
    """All partitions of seven weighted rows, by the definition of the objective."""
    rng = np.random.default_rng(3)
    p, w = rng.dirichlet(np.ones(3), size=7), rng.uniform(0.2, 2.0, 7)
    best = np.inf
    for labels in itertools.product(range(k), repeat=7):
        total = 0.0
        for c in set(labels):
            member = np.array(labels) == c
            share = w[member] / w[member].sum()
            if geometry == "js":
                costs = kl(p[member], share @ p[member])
            else:
                roots = np.sqrt(p[member])
                costs = ((roots - share @ roots) ** 2).sum(axis=1) / 2
            total += float(w[member] @ costs)
        best = min(best, total / w.sum())
    found = cluster(p, k=k, geometry=geometry, weights=w, restarts=20)
    assert found.objective == pytest.approx(best, rel=1e-9)
    assert found.sizes.sum() == pytest.approx(w.sum())


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("method", METHODS)
def test_planted_clusters_are_found(method: str, geometry: str) -> None:
    p, truth = planted(80, seed=1)
    found = cluster(p, method, k=4, geometry=geometry)
    assert len(set(zip(found.labels.tolist(), truth.tolist(), strict=True))) == 4
    for c in range(4):
        np.testing.assert_allclose(found.centroids[c], p[found.labels == c].mean(axis=0), atol=1e-14)
    firsts = [int(np.flatnonzero(found.labels == c)[0]) for c in range(4)]
    assert firsts == sorted(firsts)
    assert pa.table(found)["cluster"].to_pylist() == found.labels.tolist()


def test_information_splits_into_between_and_within() -> None:
    """What the objective means: promptability = information of the cluster + what is left within."""
    p, _ = planted(80, seed=2)
    found = cluster(p, k=4)
    between = (found.sizes / 80) @ kl(found.centroids, p.mean(axis=0))
    assert between + found.objective == pytest.approx(float(js_information(p)), abs=1e-12)


def test_weights_are_repeated_rows() -> None:
    p, _ = planted(30, seed=4)
    w = np.random.default_rng(0).integers(1, 4, 30)
    weighted, repeated = cluster(p, k=4, weights=w), cluster(np.repeat(p, w, axis=0), k=4)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-9)
    np.testing.assert_array_equal(np.repeat(weighted.labels, w), repeated.labels)


def test_bytes_are_the_same_for_any_threads() -> None:
    x = np.random.default_rng(0).dirichlet(np.ones(5), size=20_000)
    one = lloyd(x, np.ones(len(x)), x[:6], "js", threads=1, limit=5)
    three = lloyd(x, np.ones(len(x)), x[:6], "js", threads=3, limit=5)
    assert one.centroids.tobytes() == three.centroids.tobytes()
    assert one.objective == three.objective
    np.testing.assert_array_equal(one.labels, three.labels)
    assert cluster(x[:99], k=5, seed=1).labels.tobytes() == cluster(x[:99], k=5, seed=1).labels.tobytes()


def test_zeros_and_equal_rows() -> None:
    p = np.repeat(np.eye(3), 4, axis=0)
    for geometry in GEOMETRIES:
        found = cluster(p, k=3, geometry=geometry)
        assert found.objective == 0.0
        assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert cluster(p, k=5, geometry=geometry).k == 3


def test_an_emptied_cluster_moves_to_the_dearest_row() -> None:
    x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    fit = lloyd(x, np.ones(3), [[0.95, 0.05], [0.95, 0.05]], "js")
    assert sorted(np.bincount(fit.labels).tolist()) == [1, 2]
    assert fit.converged


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"k": 0}, "number of clusters"),
        ({"k": 4}, "number of clusters"),
        ({"k": True}, "number of clusters"),
        ({"k": 2, "method": "ward"}, "unknown setting"),
        ({"k": 2, "geometry": "flat"}, "unknown setting"),
        ({"k": 2, "weights": [1, 2]}, "weights"),
        ({"k": 2, "weights": [1, -1, 1]}, "weights"),
        ({"k": 2, "weights": [0, 0, 0]}, "weights"),
        ({"k": 2, "restarts": 0}, "restarts"),
        ({"k": 2, "threads": -1}, "threads"),
    ],
)
def test_bad_settings(options: dict, text: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(CrystalError, match=text):
        cluster([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], **options)


def test_bad_tables() -> None:
    with pytest.raises(CrystalError, match="sum to 1"):
        cluster([[2.0, 1.0]], k=1)
    for table in ([[0.0, 1.0]], [[0.0, np.inf], [np.inf, 0.0]], [[0.0, 1.0], [2.0, 0.0]], np.zeros((0, 0))):
        with pytest.raises(CrystalError, match="distances"):
            link(table, "average")
    with pytest.raises(CrystalError, match="linkage"):
        link(np.zeros((2, 2)), "ward")
    with pytest.raises(CrystalError, match="geometry"):
        lloyd([[1.0]], [1.0], [[1.0]], "flat")
    with pytest.raises(CrystalError, match="match"):
        lloyd([[1.0]], [1.0], [[1.0], [1.0]], "js")
    with pytest.raises(CrystalError, match="not negative"):
        lloyd([[np.nan]], [1.0], [[1.0]], "js")


@pytest.mark.parametrize("options", [3, 4, 17])
def test_both_paths_give_the_same_bytes(options: int) -> None:
    rng = np.random.default_rng(options)
    p = rng.dirichlet(np.full(options, 0.3), size=77)
    for method in ("single", "complete", "average"):
        one, other = (link(divergence_matrix(p), method, path=path) for path in ("fastest", "scalar"))
        assert [column.tobytes() for column in one] == [column.tobytes() for column in other]
    for geometry, x in (("js", p), ("hellinger", np.sqrt(p))):
        one, other = (
            lloyd(x, np.full(77, 1.5), x[:5], geometry, path=path) for path in ("fastest", "scalar")
        )
        assert one.labels.tobytes() == other.labels.tobytes()
        assert one.centroids.tobytes() == other.centroids.tobytes()
        assert one.objective == other.objective


@pytest.mark.parametrize("rows", [2, 3, 63, 64, 200, 1000])
@pytest.mark.parametrize("method", ["single", "complete", "average"])
def test_condensed_and_square_distances_give_one_tree(rows: int, method: str) -> None:
    """Of sizes around those at which merged rows are moved together; SciPy is the judge."""
    x = np.random.default_rng(rows).random((rows, 4))
    condensed = pdist(x)
    tree = link(condensed, method)
    expected = hierarchy.linkage(condensed, method)
    np.testing.assert_array_equal(
        np.stack([tree.left, tree.right, tree.size], axis=1), expected[:, [0, 1, 3]]
    )
    np.testing.assert_allclose(tree.height, expected[:, 2], rtol=0, atol=1e-12)
    for table in (squareform(condensed), squareform(condensed).tolist()):
        assert [c.tobytes() for c in link(table, method)] == [c.tobytes() for c in tree]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("limit", [1, 2, 7, 300])
def test_bounds_leave_out_no_row_that_moves(geometry: str, limit: int) -> None:
    """Plain passes in NumPy, with all costs in every pass, end at the same labels and centres."""
    rng = np.random.default_rng(limit)
    p = rng.dirichlet(np.full(6, 0.5), size=500) * 0.999 + 0.001 / 6
    x, w = (p if geometry == "js" else np.sqrt(p)), rng.uniform(0.5, 2.0, 500)
    centres, labels = x[:7].copy(), np.full(500, -1)
    for _ in range(limit):
        if geometry == "js":
            costs = -x @ np.log2(centres).T
        else:
            costs = ((x[:, None] - centres) ** 2).sum(axis=2)
        now = costs.argmin(axis=1)
        if (now == labels).all():
            break
        labels = now
        centres = np.stack([np.average(x[labels == c], axis=0, weights=w[labels == c]) for c in range(7)])
    fit = lloyd(x, w, x[:7], geometry, limit=limit)
    np.testing.assert_array_equal(fit.labels, labels)
    np.testing.assert_allclose(fit.centroids, centres, rtol=0, atol=1e-13)
    own = centres[labels]
    direct = (x * np.log2(x / own)).sum(1) if geometry == "js" else 0.5 * ((x - own) ** 2).sum(1)
    assert fit.objective == pytest.approx(float(w @ direct), rel=1e-10)


def test_starts_are_drawn_by_weight_and_distance() -> None:
    """In NumPy: chances weight x squared distance from the nearest start, the best of the candidates."""
    rng = np.random.default_rng(0)
    roots = np.sqrt(rng.dirichlet(np.ones(5), size=50))
    w, uniforms = rng.uniform(0.0, 2.0, 50), rng.random((6, 3))
    starts = start_rows(roots, w, uniforms)
    assert start_rows(roots, w, uniforms, path="scalar").tolist() == starts.tolist()
    nearest = np.ones(50)
    for step in range(6):
        total = np.cumsum(w * nearest)
        drawn = np.searchsorted(total, uniforms[step] * total[-1], side="right")[: 1 if step == 0 else 3]
        lowered = [np.minimum(nearest, 1 - roots @ roots[i]) for i in drawn]
        best = int(np.argmin([w @ one for one in lowered]))
        assert starts[step] == drawn[best]
        nearest = np.maximum(lowered[best], 0.0)


def test_starts_without_choice() -> None:
    assert start_rows([[1.0], [1.0]], [0.0, 1.0], [[0.0], [0.99], [0.5]]).tolist() == [1, 1, 1]
    for bad in (([[1.0]], [1.0], [0.5]), ([[1.0]], [1.0, 1.0], [[0.5]]), (np.zeros((0, 1)), [], [[0.5]])):
        with pytest.raises(CrystalError, match="do not match"):
            start_rows(*bad)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_best_of_some_runs_is_kept(geometry: str) -> None:
    rng = np.random.default_rng(5)
    p, w, uniforms = rng.dirichlet(np.ones(4), size=40), rng.uniform(0.5, 1.5, 40), rng.random((6, 5, 2))
    x = p if geometry == "js" else np.sqrt(p)
    lean = 0.1 * (w @ p / w.sum()) if geometry == "js" else 0.0  # a start has no zeros that others have not
    keep = 0.9 if geometry == "js" else 1.0
    runs = [lloyd(x, w, keep * x[start_rows(np.sqrt(p), w, one)] + lean, geometry) for one in uniforms]
    best = runs[int(np.argmin([run.objective for run in runs]))]
    found = best_lloyd(p, w, uniforms, geometry)
    assert len({run.objective for run in runs}) > 1
    assert found.objective == pytest.approx(best.objective, rel=1e-12)
    assert found.labels.tobytes() == best.labels.tobytes()
    np.testing.assert_allclose(found.centroids, best.centroids, atol=1e-15)
    for bad in (uniforms[0], uniforms[:0], rng.random((1, 41, 2))):
        with pytest.raises(CrystalError, match="do not match"):
            best_lloyd(p, w, bad, geometry)
    with pytest.raises(CrystalError, match="0 to 1"):
        best_lloyd(p * 2, w, uniforms, geometry)


def test_starts_that_are_few_samples_do_not_sort_rows_by_their_zeros() -> None:
    """Six planted distributions over 12 options, 50 samples a row: every ten starts find them."""
    rng = np.random.default_rng(8)
    truth = np.repeat(np.arange(6), [3, 3, 3, 3, 12, 24])
    counts = rng.multinomial(50, rng.dirichlet(np.full(12, 0.5), 6)[truth])
    for seed in range(5):
        found = cluster_distributions(counts, k=6, counts=True, seed=seed)
        assert adjusted_rand_index(found.labels, truth) == 1.0
