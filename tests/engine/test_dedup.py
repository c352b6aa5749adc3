"""Texts into classes: the same class at all checkpoints, names that nothing but the texts decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crystal
from crystal.clustering.classes import answer_classes
from crystal.engine.dedup import dedup
from crystal.errors import InputError, SettingsError

LONG = "Once upon a time there was a small house by the sea, and in it lived an old man with his cat"


def classes(texts: list[str], kind: Any, counts: list[int] | None = None, **more: Any) -> list[Any]:
    array = pa.array(texts, pa.large_string())
    return answer_classes(array, counts or [1] * len(texts), kind, **more).to_pylist()


def test_the_three_kinds() -> None:
    texts = ["Red.", "red", "the red", " ", "...", LONG, LONG.replace("cat", "dog"), LONG.upper()]
    exact = classes(texts, "exact")
    assert exact[:3] == ["Red.", "red", "the red"]
    assert exact[3:5] == [None, "..."]
    assert len(set(exact)) == 8
    normalised = classes(texts, "normalised")
    assert normalised[:5] == ["red", "red", "red", None, None]
    assert normalised[5] == normalised[7] != normalised[6]
    near = classes(texts, "near-duplicate")
    assert near[:5] == ["red", "red", "red", None, None]
    assert near[5] == near[6] == near[7]
    assert len(set(classes(texts, "near-duplicate", threshold=1.0))) == 4


def test_a_class_is_named_after_its_most_frequent_text() -> None:
    texts = [LONG, LONG.replace("cat", "dog"), "short"]
    names = [classes(texts, "near-duplicate", counts) for counts in ([5, 1, 1], [1, 5, 1])]
    assert names[0][0] != names[1][0]
    assert names[0][0].startswith("once upon time there was small house by sea and in it lived")
    assert len(names[0][0]) < 80
    backwards = classes(texts[::-1], "near-duplicate", [1, 1, 5])
    assert backwards[::-1] == names[0]
    # Texts that begin alike are not one class.
    assert (
        len(set(classes([LONG, LONG + " and a dog and a cow and a great many other beasts"], "exact"))) == 2
    )
    assert classes(["a b", "a\nb"], "exact")[0] == "a b"
    assert classes(["a b", "a\nb"], "exact")[1].startswith("a b #")
    assert classes([], "near-duplicate") == []


def log(path: Path, texts: dict[tuple[str, int, str, str], list[str | None]]) -> Path:
    rows = [
        {"ladder": "l", "stage": stage, "step": step, "task": task, "prompt": prompt, "text": text}
        for (stage, step, task, prompt), some in texts.items()
        for text in some
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_classes_become_the_answers_that_analyze_reads(tmp_path: Path) -> None:
    other = LONG.replace("cat", "dog")
    source = log(
        tmp_path / "a.jsonl",
        {
            ("base", 0, "story", "tell"): [f"{word} is what I say here" for word in "uvwxyz"],
            ("sft", 1, "story", "tell"): [LONG, other, LONG.upper(), "?!", "u is what I say here"],
            ("sft", 1, "poem", "tell"): [LONG, other],
        },
    )
    done = dedup(source, tmp_path / "out.parquet")
    assert (done.rows, len(done.rejections)) == (13, 0)
    table = pq.read_table(tmp_path / "out.parquet")
    answers = table["answer"].cast(pa.large_string()).to_pylist()
    texts = table["text"].to_pylist()
    assert texts == [json.loads(line)["text"] for line in source.read_text().splitlines()]
    assert answers[6] == answers[7] == answers[8]
    assert answers[9] is None
    assert answers[10] == answers[0]  # one class at both checkpoints
    cells = {(cell["stage"], cell["task"]): cell for cell in done.cells}
    tuned = cells["sft", "story"]
    assert (tuned["samples"], tuned["invalid"], tuned["classes"]) == (5, 1, 2)
    assert tuned["largest_share"] == 0.75
    assert tuned["coverage"] == crystal.statistics.coverage.coverage([3, 1])
    assert cells["sft", "poem"]["classes"] == 1
    measurement = crystal.measure(tmp_path / "out.parquet")
    view = measurement.table("l", "story")
    assert sorted(view.options) == sorted({answer for answer in answers[:11] if answer})
    assert view.counts.sum() == 10
    assert view.invalid.sum() == 1


def test_what_has_no_text_stays_as_it_is(tmp_path: Path) -> None:
    base = {
        "ladder": ["l"] * 3,
        "stage": ["base"] * 3,
        "step": [0] * 3,
        "task": ["t"] * 3,
        "prompt": ["p"] * 3,
    }
    table = pa.table({**base, "answer": ["Yes", None, "yes!"], "tokens": [None, [1, 2], None]})
    pq.write_table(table, tmp_path / "in.parquet")
    dedup(tmp_path / "in.parquet", tmp_path / "out.jsonl", "normalised")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row.get("answer") for row in rows] == ["yes", None, "yes"]
    assert rows[1]["tokens"] == [1, 2]


def test_refusals(tmp_path: Path) -> None:
    source = log(tmp_path / "a.jsonl", {("base", 0, "t", "p"): ["a"]})
    with pytest.raises(SettingsError, match="exact, normalised, near-duplicate"):
        dedup(source, tmp_path / "b.jsonl", "semantic")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="threshold"):
        dedup(source, tmp_path / "b.jsonl", threshold=2)
    with pytest.raises(SettingsError, match="format"):
        dedup(source, tmp_path / "b.txt")
    exact = pa.table(
        {"ladder": ["l"], "stage": ["base"], "step": [0], "task": ["t"], "prompt": ["p"], "option": ["a"],
         "probability": [1.0]}
    )  # fmt: skip
    pq.write_table(exact, tmp_path / "exact.parquet")
    with pytest.raises(InputError, match="exact distributions"):
        dedup(tmp_path / "exact.parquet", tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


def test_real_open_ended_replies(shared_data: Path, tmp_path: Path) -> None:
    """NoveltyBench: a judge's partition is semantic; nearly equal words hardly ever cross it."""
    path = shared_data / "noveltybench" / "scores.jsonl"
    items = [json.loads(line) for line in path.read_text().splitlines()]
    source = log(tmp_path / "a.jsonl", {("rl", 1, item["id"], "p"): item["generations"] for item in items})
    found = {}
    for kind in ("exact", "normalised", "near-duplicate"):
        done = dedup(source, tmp_path / "out.parquet", kind)  # type: ignore[arg-type]
        answers = pq.read_table(tmp_path / "out.parquet")["answer"].cast(pa.large_string()).to_pylist()
        found[kind] = np.array(answers).reshape(len(items), 10)
        assert done.classes == sum(cell["classes"] for cell in done.cells)
    counts = {kind: np.array([len(set(row)) for row in rows]) for kind, rows in found.items()}
    theirs = np.array([len(set(item["partition"])) for item in items])
    assert (counts["exact"] >= counts["normalised"]).all()
    assert (counts["normalised"] >= counts["near-duplicate"]).all()
    assert counts["near-duplicate"].sum() >= theirs.sum()
    same = np.array([item["partition"] for item in items])
    pairs = [
        (mine[i] == mine[j], judge[i] == judge[j])
        for mine, judge in zip(found["near-duplicate"], same, strict=True)
        for i in range(10)
        for j in range(i)
    ]
    ours, judged = np.array(pairs).T
    assert [len(set(item["partition"])) for item in items] == [item["distinct"] + 1 for item in items]
    assert ours.sum() > 500
    assert judged[ours].mean() > 0.99
