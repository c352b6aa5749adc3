"""A smaller run of the evidence on long ladders."""

from __future__ import annotations

import pytest

from benchmarks.evidence import long_ladders


def test_every_method_on_a_few_ladders(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = {name: long_ladders.FLAT[name] for name in list(long_ladders.FLAT)[:2]}
    planted = {
        name: long_ladders.PLANTED[name]
        for name in ("one cut, 12 rungs", "two cuts, 30 rungs", "drift, 30 rungs")
    }
    monkeypatch.setattr(long_ladders, "FLAT", flat)
    monkeypatch.setattr(long_ladders, "PLANTED", planted)
    seen = []
    results = long_ladders.run(0.05, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20, 20)
    # Few repetitions: only what can hardly happen by chance is a failure.
    for method in long_ladders.METHODS:
        for cell in results["flat"][method].values():
            assert cell["rejected"]["0.05"] <= 0.25
        assert results["planted"][method]["two cuts, 30 rungs"]["found"] >= 0.6
    cuts = results["planted"]["cuts"]
    assert cuts["one cut, 12 rungs"]["covered"] >= 0.85
    assert cuts["one cut, 12 rungs"]["any_gradual"] <= 0.25
    assert cuts["drift, 30 rungs"]["any_gradual"] >= 0.7
    assert "| drift, 30 rungs | cuts |" in long_ladders.page(results)
    assert isinstance(long_ladders.failures(results), list)


def test_failures_are_said() -> None:
    results = {
        "flat": {"cuts": {"some": {"repetitions": 400, "rejected": {"0.01": 0.2, "0.05": 0.2, "0.1": 0.1}}}},
        "planted": {
            "cuts": {
                "one cut": {
                    "repetitions": 200,
                    "any_gradual": 0.5,
                    "false": 0.3,
                    "covered": 0.7,
                    "transitions": 1.0,
                },
                "drift, 30 rungs": {"repetitions": 20, "any_gradual": 0.1},
            }
        },
    }
    assert len(long_ladders.failures(results)) == 6


def test_a_cell_that_misses_is_looked_at_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "4 rungs, 2 x 2 prompts, n 20"
    monkeypatch.setattr(long_ladders, "FLAT", {name: long_ladders.FLAT[name]})
    monkeypatch.setattr(long_ladders, "PLANTED", {})
    looks = dict.fromkeys(long_ladders.METHODS, 0)

    def sought(_truth: object, method: str, _samples: int, key: int) -> dict[str, object]:
        looks[method] += 1
        first = key < long_ladders.AGAIN
        small = {"arnold-tv": first or key % 4 == 0, "arnold-js": first}.get(method, False)
        return {"p": 0.01 if small else 1.0, "changes": []}

    monkeypatch.setattr(long_ladders, "sought", sought)
    results = long_ladders.run(0.1, lambda *_: None)
    assert list(looks.values()) == [50, 50, 150, 150]
    assert results["flat"]["arnold-js"][name]["again"] == {
        "repetitions": 100,
        "rejected": {"0.01": 0.0, "0.05": 0.0, "0.1": 0.0},
    }
    missed = long_ladders.failures(results)
    assert len(missed) == 3
    assert all(line.startswith("arnold-tv, 4 rungs") and "in 0.250" in line for line in missed)
