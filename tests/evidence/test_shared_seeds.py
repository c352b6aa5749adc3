"""A smaller run of the evidence on shared seeds."""

from __future__ import annotations

import pytest

from benchmarks.evidence import shared_seeds


def test_a_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_seeds, "CELLS", ((8, 60),))
    monkeypatch.setattr(shared_seeds, "SIZES", {"tasks": 5, "prompts": 5})
    monkeypatch.setattr(shared_seeds, "NEEDS", 400)
    seen = []
    results = shared_seeds.run(0.1, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)
    same, different, seedless = results["pairs"]
    assert same["tuned"]["DIFFERENT"] == same["seed"]["DIFFERENT"] == 0
    assert same["tuned"]["SHARED"] >= 7
    assert different["tuned"]["SHARED"] <= 2
    assert different["tuned"]["DIFFERENT"] >= 5
    assert seedless["seed"]["SHARED"] == seedless["seed"]["DIFFERENT"] == 0
    assert results["nulls"]["10 options"]["shared"] <= 0.15
    needs = results["needs"]
    assert 0 < needs["finite"] <= needs["undetermined"]
    # Forty cases: only what can hardly happen by chance fails.
    assert needs["decided"] >= 0.6
    assert needs["third"] <= 0.8
    assert "| same | 8 | 60 |" in shared_seeds.page(results)


def test_failures_are_said() -> None:
    cell = {
        "kind": "same",
        "options": 5,
        "samples": 5,
        "tasks": 100,
        "tuned": {"SHARED": 0, "DIFFERENT": 50, "UNDETERMINED": 50},
        "seed": {"SHARED": 0, "DIFFERENT": 0, "UNDETERMINED": 100},
        "overall": 0.5,
    }
    nulls = {"some": {"draws": 400, "shared": 0.0, "rejected": {"0.01": 0.5, "0.05": 0.04, "0.1": 0.1}}}
    needs = {
        "undetermined": 9,
        "finite": 9,
        "far": 10,
        "far_finite": 5,
        "decided": 0.5,
        "third": 0.9,
    }
    assert len(shared_seeds.failures({"pairs": [cell], "nulls": nulls, "needs": needs})) == 6
