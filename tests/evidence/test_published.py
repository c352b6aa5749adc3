"""Published distributions, sampled: right where they are at hand, said to be missing where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.evidence import published, worlds


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "SAMPLES", (30, 1_000))
    monkeypatch.setattr(published, "ASK_UP_TO", 30)
    monkeypatch.setattr(published, "SEED_PROMPTS", 12)


def test_samples_of_the_published_agree_with_the_exact_ones(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYSTAL_SHARED_DATA", str(shared_data))
    monkeypatch.setattr(published, "LADDERS", {10: "number from 1 to 10"})
    results = published.run(0.05, lambda *_: None)
    assert results["published"]
    few, many = results["rows"]
    assert (few["draws"], many["draws"]) == (4, 4)
    # Only few samples leave questions, and these are put in more draws.
    assert (few["asks"], many["asks"]) == (12, 4)
    assert few["counts"]["asked"] > 4
    assert sum(few["counts"].get(word, 0) for word in ("right", "wrong", "open", "beyond")) == 4
    # With a thousand samples a prompt the verdicts are those of the exact distributions.
    assert many["counts"]["right"] >= 3
    assert many["counts"].get("asked", 0) == 0
    llama = [row for row in results["seeds"] if row["model"] == "meta-llama_Llama-3.1-8B-Instruct"]
    assert [row["exact"] for row in llama] == ["none", "none"]
    assert not any({"one", "sharpened"} & set(row["kinds"]) for row in llama)
    page = published.page(results)
    assert "| number from 1 to 10 | 1,000 | 4 |" in page
    assert "*Needs*, in 12 draws" in page
    assert "| meta-llama_Llama-3.1-8B-Instruct, number from 1 to 10 | none |" in page


def test_what_was_not_measured_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTAL_SHARED_DATA", "nowhere")
    assert worlds.published_pairs.__wrapped__(10) == {}
    results = published.run(1.0, lambda *_: None)
    assert published.page(results) == published.NOT_AT_HAND
    assert published.failures(results) == [published.NOT_AT_HAND]


def test_every_rate_that_is_missed_is_named() -> None:
    counts: dict[str, Any] = {"entropy given": 40, "entropy held": 30, "gate": 20, "right": 20, "wrong": 10}
    counts |= {"followed": 10, "decided": 5, "third": 7, "clear": 9, "clear finite": 5}
    row = {"options": 2, "samples": 30, "draws": 40, "counts": counts}
    seed = {"model": "some", "options": 2, "samples": 30, "exact": "none", "kinds": {"one": 1, "none": 5}}
    named = published.failures({"published": True, "rows": [row], "seeds": [seed]})
    assert len(named) == 7
    fine = {"options": 2, "samples": 30, "draws": 40, "counts": {"right": 30, "open": 10}}
    assert published.failures({"published": True, "rows": [fine], "seeds": []}) == []
