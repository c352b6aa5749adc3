"""A small guard of the campaign of clusters: fixed seeds, few draws, and the arithmetic of the page."""

from __future__ import annotations

import pytest

from benchmarks.evidence import clusters


def test_noise_makes_no_clusters_and_planted_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "DRAWS", 39)
    for name, method in (("steep", "kmeans"), ("dirichlet", "average")):
        *_, right, high, _, _ = clusters.line(name, method, 8)
        assert right + high == 8
        assert high <= 2
    for name, method in (("four counts", "kmeans"), ("two clouds", "complete")):
        *_, right, _, agreement, stable = clusters.line(name, method, 4)
        assert right >= 3
        assert agreement > 0.8
        assert stable > 0.8


def test_bad_lines_are_named_in_words() -> None:
    good = ["even", "kmeans", 1, 200, 0, 192, 8, 1.0, None]
    noisy = ["even", "average", 1, 200, 0, 160, 40, 0.8, 0.4]
    blind = ["two clouds", "kmeans", 2, 60, 40, 20, 0, 0.3, 0.9]
    results = {"lines": [good, noisy, blind]}
    found = clusters.failures(results)
    assert len(found) == 2
    assert "more than 1 in 20.0 % of 200" in found[0]
    assert "2 found in 33.3 % of 60" in found[1]
    assert clusters.page(results).count("| average |") == 1
