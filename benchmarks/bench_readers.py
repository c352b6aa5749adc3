"""Throughput of the readers beside what else parses the same files, and of the whole pass into counts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.json as pjson
import pyarrow.parquet as pq
import pytest

from crystal.engine import measure
from crystal.readers import read

ROWS = 200_000
TEXTS = 3_000


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One log of short replies in each format: 31 tasks, 4 checkpoints, some thousand distinct texts."""
    dice = random.Random(1)  # noqa: S311
    words = [f"word{i}" for i in range(400)]
    texts = [" ".join(dice.choices(words, k=dice.randint(1, 8))).capitalize() + "." for _ in range(TEXTS)]
    stages = ("base", "sft", "dpo", "rl")
    rows = [
        {
            "ladder": "bench", "stage": stages[i % 4], "step": i % 4, "checkpoint": f"bench-{stages[i % 4]}",
            "task": f"task{i % 31}", "prompt": f"name/{i % 248}", "family": "verb", "sample": i,
            "text": dice.choice(texts),
        }
        for i in range(ROWS)
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("logs")
    paths = {form: folder / f"log.{form}" for form in ("jsonl", "csv", "parquet", "arrow")}
    paths["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = pa.Table.from_pylist(rows)
    pcsv.write_csv(table, paths["csv"])
    pq.write_table(table, paths["parquet"])
    with pa.ipc.new_file(paths["arrow"], table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    return paths


def run(benchmark: Any, group: str, path: Path, call: Callable[[], int]) -> None:
    benchmark.group = group
    assert call() == ROWS  # the answer first
    benchmark.extra_info["MiB"] = round(path.stat().st_size / 2**20, 1)
    benchmark.pedantic(call, rounds=5, iterations=1)
    if benchmark.stats:
        benchmark.extra_info["MiB/s"] = round(path.stat().st_size / 2**20 / benchmark.stats["min"])
        benchmark.extra_info["rows/s"] = round(ROWS / benchmark.stats["min"])


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "arrow"])
def test_read(benchmark: Any, logs: dict[str, Path], form: str) -> None:
    run(benchmark, f"read {form}", logs[form], lambda: sum(batch.num_rows for batch in read(logs[form])))


@pytest.mark.parametrize("peer", ["pyarrow.json", "msgspec", "json"])
def test_jsonl_peers(benchmark: Any, logs: dict[str, Path], peer: str) -> None:
    path = logs["jsonl"]
    calls: dict[str, Callable[[], int]] = {
        "pyarrow.json": lambda: pjson.read_json(path, pjson.ReadOptions(use_threads=False)).num_rows,
        "msgspec": lambda: len(msgspec.json.Decoder().decode_lines(path.read_bytes())),
        "json": lambda: len([json.loads(line) for line in path.read_bytes().splitlines()]),
    }
    run(benchmark, "read jsonl", path, calls[peer])


def test_csv_peer(benchmark: Any, logs: dict[str, Path]) -> None:
    path = logs["csv"]
    options = pcsv.ReadOptions(use_threads=False)
    run(benchmark, "read csv", path, lambda: pcsv.read_csv(path, options).num_rows)


@pytest.mark.parametrize("tasks", ["none", "default"])
def test_measure(benchmark: Any, logs: dict[str, Path], tasks: str) -> None:
    path = logs["jsonl"]
    run(benchmark, "measure jsonl", path, lambda: measure(path, tasks=tasks).manifest.samples)
