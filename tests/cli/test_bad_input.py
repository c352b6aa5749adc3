"""Bad input of every kind: exit code 3 and one clear message, or a line in rejected.jsonl; no silent loss."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
FAST = ("--set", "draws=199", "--set", "interval_draws=100", "--set", "splits=4", "--set", "simulations=4")


def row(stage: str = "base", step: int = 0, i: int = 0, **changes: Any) -> dict[str, Any]:
    fields = {
        "ladder": "toy", "stage": stage, "step": step, "checkpoint": stage,
        "task": "coin", "prompt": "Flip a coin.", "sample": i, "text": "heads" if i % 2 else "tails",
    }  # fmt: skip
    return {key: value for key, value in {**fields, **changes}.items() if value is not ...}


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in rows)


GOOD = [row(stage, step, i) for stage, step in (("base", 0), ("sft", 1)) for i in range(12)]
PROBABILITY = {"text": ..., "sample": ..., "option": "heads"}

ROWS: dict[str, tuple[bytes, str]] = {
    "row is no object": (b"[1, 2]\n", "object"),
    "row is no JSON": (b"{nonsense\n", "JSON"),
    "field is missing": (lines([row(task=...)]), "task"),
    "text is missing": (lines([row(text=...)]), "text"),
    "stage is null": (lines([row(stage=None)]), "stage"),
    "type is wrong": (lines([row(step="soon")]), "step"),
    "stage is unknown": (lines([row(stage="midtraining", step=5)]), "midtraining"),
    "bytes are no UTF-8": (b'{"text": "\xff\xfe"}\n', "UTF-8"),
}
"""A bad record, and what its refusal has to name."""


@pytest.mark.parametrize("name", ROWS)
def test_bad_record_stops_a_strict_run(inside: Run, tmp_path: Path, name: str) -> None:
    bad, word = ROWS[name]
    (tmp_path / "a.jsonl").write_bytes(lines(GOOD[:3]) + bad + lines(GOOD[3:]))
    done = inside("analyze", tmp_path / "a.jsonl", "--on-error", "raise", *FAST)
    check_refused(done, word)
    assert "row 4" in done.stderr


@pytest.mark.parametrize("name", ROWS)
def test_bad_record_alone_is_bad_input(inside: Run, tmp_path: Path, name: str) -> None:
    bad, word = ROWS[name]
    (tmp_path / "a.jsonl").write_bytes(bad)
    done = inside("analyze", tmp_path / "a.jsonl", "--out", tmp_path / "out", *FAST)
    check_refused(done, word)
    assert not (tmp_path / "out").exists()


def check_refused(done: subprocess.CompletedProcess[str], word: str) -> None:
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert word.lower() in done.stderr.lower()
    assert done.stderr.startswith("crystal: error: ")
    assert done.stderr.count("\n") == 1


def test_bad_records_are_collected_counted_and_listed(inside: Run, tmp_path: Path) -> None:
    log, out = tmp_path / "a.jsonl", tmp_path / "a.crystal"
    log.write_bytes(lines(GOOD[:3]) + b"".join(bad for bad, _ in ROWS.values()) + lines(GOOD[3:]))
    done = inside("measure", log, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "a.crystal.rejected.jsonl").read_bytes().splitlines()
    refused = sorted((json.loads(line) for line in listed), key=lambda record: record["row"])
    assert [r["row"] for r in refused] == [4 + i for i in range(len(ROWS))]
    assert {r["file"] for r in refused} == {str(log)}
    for record, (_, word) in zip(refused, ROWS.values(), strict=True):
        assert word.lower() in record["reason"].lower()
    found = json.loads(done.stdout)
    assert (found["samples"], found["rejected"]) == (len(GOOD), len(ROWS))
    assert f"refused {len(ROWS)} records" in done.stderr


@pytest.mark.parametrize("value", ["NaN", "-0.5", "1.5", "Infinity", "null"])
def test_probability_that_is_none(inside: Run, tmp_path: Path, value: str) -> None:
    bad = json.dumps(row(**PROBABILITY, probability=0.125)).replace("0.125", value)
    (tmp_path / "a.jsonl").write_text(bad + "\n")
    done = inside("analyze", tmp_path / "a.jsonl", *FAST)
    check_refused(done, "probability" if value != "null" else "")


@pytest.mark.parametrize("level", ["collect", "raise"])
def test_one_checkpoint_under_two_names(inside: Run, tmp_path: Path, level: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([*GOOD, row(checkpoint="another")]))
    done = inside("analyze", tmp_path / "a.jsonl", "--on-error", level, *FAST)
    check_refused(done, "two names")
    assert "another" in done.stderr


def test_one_name_for_two_checkpoints(inside: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([*GOOD, row("sft", 7)]))
    check_refused(inside("analyze", tmp_path / "a.jsonl", *FAST), "one name")


@pytest.mark.parametrize("verb", ["analyze", "measure", "convert", "dedup"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet", "a.arrow", "a.jsonl.zst"])
def test_missing_and_empty_files(inside: Run, tmp_path: Path, verb: str, name: str) -> None:
    more = () if verb == "analyze" else ("--out", tmp_path / "out.parquet")
    check_refused(inside(verb, tmp_path / name, *more), name)
    (tmp_path / name).write_bytes(b"")
    check_refused(inside(verb, tmp_path / name, *more), name)
    assert not (tmp_path / "out.parquet").exists()


def test_folder_without_logs(inside: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    check_refused(inside("analyze", tmp_path), "no logs")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl.gz", "a.jsonl.zst", "a.jsonl", "a.csv"])
def test_file_of_noise(inside: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes((37 * i * i + 11) % 256 for i in range(4096)))
    check_refused(inside("analyze", tmp_path / name, *FAST), name)


def test_truncated_gzip(inside: Run, tmp_path: Path) -> None:
    rows = [
        row(stage, step, i, text=f"heads {i * i}")
        for stage, step in (("base", 0), ("sft", 1))
        for i in range(500)
    ]
    whole = gzip.compress(lines(rows))
    log = tmp_path / "a.jsonl.gz"
    log.write_bytes(whole[: len(whole) // 2])
    check_refused(inside("analyze", log, "--on-error", "raise", *FAST), "a.jsonl.gz")
    done = inside("convert", log, "--out", tmp_path / "out.jsonl", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert 0 < found["rows"] < 1000
    assert found["rejected"] >= 1
    assert "truncated" in (tmp_path / "out.jsonl.rejected.jsonl").read_text().lower()


def test_nothing_valid_is_bad_input(inside: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        lines([row(stage, step, text="...") for stage, step in (("base", 0), ("sft", 1))])
    )
    done = inside("analyze", tmp_path / "a.jsonl", "--out", tmp_path / "out", *FAST)
    check_refused(done, "valid")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"CRYSTAL\0" + bytes(100)])
def test_measurements_that_are_none(inside: Run, tmp_path: Path, content: bytes) -> None:
    check_refused(inside("classify", tmp_path / "absent.crystal"), "absent.crystal")
    (tmp_path / "a.crystal").write_bytes(content)
    check_refused(inside("classify", tmp_path / "a.crystal"), "a.crystal")
    check_refused(inside("merge", tmp_path / "a.crystal", "--out", tmp_path / "b.crystal"), "a.crystal")
    assert not (tmp_path / "b.crystal").exists()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("log.parquet", ("measure", "log.parquet", "--out", "log.parquet")),
        ("log.parquet", ("convert", "log.parquet", "--out", "log.parquet")),
        ("log.parquet", ("convert", ".", "--out", "link.parquet")),
        ("log.parquet", ("dedup", "log.parquet", "--out", "log.parquet")),
        ("log.parquet", ("dedup", "log.parquet", "--out", "new.parquet", "--cells", "log.parquet")),
        ("log.parquet", ("score", "--model", ".", "--samples", "log.parquet", "--out", "log.parquet")),
        ("metrics.parquet", ("analyze", "metrics.parquet", "--out", ".", "--overwrite", *FAST)),
    ],
)
def test_no_verb_writes_over_its_own_log(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    log = tmp_path / name
    pq.write_table(pa.Table.from_pylist(GOOD), log)
    (tmp_path / "link.parquet").symlink_to(log)
    before = log.read_bytes()
    done = inside(*arguments)
    assert done.returncode == 2, done.stderr
    assert "one of the logs" in done.stderr
    assert log.read_bytes() == before
    assert not (tmp_path / "new.parquet").exists()


def test_option_lists_that_bind_nothing_are_told(inside: Run, tmp_path: Path) -> None:
    for task, told in (("coin", False), ("coins", True)):
        (tmp_path / "a.jsonl").write_bytes(lines([{**line, "task": task} for line in GOOD]))
        done = inside("analyze", tmp_path / "a.jsonl", "--tasks", "default", *FAST)
        assert done.returncode == 0, done.stderr
        assert ("--tasks default has none of the log's tasks" in done.stderr) == told
