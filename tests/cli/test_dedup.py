"""``crystal dedup``: a table that ``analyze`` reads, and what it says about it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
TALE = "Once upon a time there was a small house by the sea, and in it lived an old man with his cat"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [
        {"ladder": "l", "stage": stage, "step": step, "task": "tale", "prompt": f"p{p}", "text": text}
        for stage, step, texts in (
            ("base", 0, [f"Number {i}. {'abcdefghij'[i] * 9} and so on" for i in range(10)]),
            ("sft", 1, [TALE + "!" * (i % 3) for i in range(9)] + ["\x1b[31mred"]),
        )
        for p in range(2)
        for text in texts
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, [*rows, {"ladder": "l"}])))
    return path


def test_dedup_then_analyze(inside: Run, log: Path, tmp_path: Path) -> None:
    out, cells = tmp_path / "classes.parquet", tmp_path / "cells.parquet"
    done = inside("dedup", log, "--out", out, "--cells", cells, "--json")
    assert done.returncode == 0, done.stderr
    assert "refused 1 record" in done.stderr
    document = json.loads(done.stdout)
    assert (document["rows"], document["rejected"]) == (40, 1)
    assert (document["texts"], document["classes"]) == (14, 12)
    assert pq.read_table(cells).to_pylist() == document["cells"]
    tuned = [cell for cell in document["cells"] if cell["stage"] == "sft"]
    assert [(cell["classes"], cell["largest_share"]) for cell in tuned] == [(2, 0.9)] * 2
    report = inside("analyze", out, "--json", "--set", "draws=199")
    assert report.returncode == 0, report.stderr
    task = json.loads(report.stdout)["ladders"]["l"]["tasks"]["tale"]
    top = task["checkpoints"]["sft-1"]["metrics"]["top_probability"]["value"]
    assert top == pytest.approx(0.9)


def test_text_for_people(inside: Run, log: Path, tmp_path: Path) -> None:
    cells = tmp_path / "c.jsonl"
    done = inside("dedup", log, "--out", tmp_path / "o.jsonl", "--classes", "exact", "--cells", cells)
    assert done.returncode == 0, done.stderr
    assert "14 different texts, 14 classes" in done.stdout
    assert "l/sft/1" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    lines = cells.read_text().splitlines()
    assert [json.loads(line)["classes"] for line in lines] == [10, 10, 4, 4]


def test_wrong_usage(inside: Run, log: Path, tmp_path: Path) -> None:
    for more in (["--classes", "semantic"], ["--threshold", "0"], ["--cells", tmp_path / "cells.txt"]):
        done = inside("dedup", log, "--out", tmp_path / "out.parquet", *more)
        assert done.returncode == 2, more
    assert not (tmp_path / "out.parquet").exists()
