"""Counting rows of four string columns: crystal's count table beside pyarrow, duckdb and polars.

``CRYSTAL_BENCH_ROWS`` sets the number of rows (default 1,000,000). Every peer's answer is checked against the
count table's before it is timed. All run on one thread, so that a ratio is one of work and not of cores;
``test_threads`` counts on as many as there are.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from crystal.states.count_table import CountTable

ROWS = int(os.environ.get("CRYSTAL_BENCH_ROWS", "1000000"))
NAMES = ("checkpoint", "task", "prompt", "option")
BATCH = 65_536


def samples(shape: str) -> pa.Table:
    """8 checkpoints x 50 tasks x 8 prompts; few answers that repeat, or many that hardly do."""
    rng = np.random.default_rng(0)
    options = 4_000 if shape == "collapsed" else ROWS
    columns = []
    for name, size in zip(NAMES, (8, 50, 8, options), strict=True):
        index = rng.integers(0, size, ROWS)
        if name == "option" and shape == "collapsed":
            index = rng.zipf(1.5, ROWS) % size
        texts = pa.array([f"{name} number {i}" for i in range(size)], pa.large_string())
        columns.append(pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), texts))
    return pa.table(columns, names=list(NAMES))


def count(table: pa.Table) -> CountTable:
    state = CountTable(NAMES)
    for batch in table.to_batches(BATCH):
        state.update(dict(zip(NAMES, batch.columns, strict=True)))
    return state


def count_in_halves(table: pa.Table) -> CountTable:
    half = table.num_rows // 2
    state = count(table.slice(0, half))
    state.merge(count(table.slice(half)))
    return state


def by_pyarrow(table: pa.Table) -> Any:
    return table.group_by(list(NAMES), use_threads=False).aggregate([([], "count_all")])


def by_duckdb(table: pa.Table) -> Any:
    duckdb = importlib.import_module("duckdb")
    connection = duckdb.connect(config={"threads": 1})
    connection.register("samples", table)
    return connection.sql("select *, count(*) as n from samples group by all").to_arrow_table()


def by_polars(table: pa.Table) -> Any:
    polars = importlib.import_module("polars")
    return polars.from_arrow(table).group_by(NAMES).len().to_arrow()


PEERS: dict[str, Callable[[pa.Table], Any]] = {
    "crystal": count,
    "crystal, two halves merged": count_in_halves,
    "pyarrow": by_pyarrow,
    "duckdb": by_duckdb,
    "polars": by_polars,
}
CHECKED: dict[str, tuple[pa.Table, int, int]] = {}


def prepared(shape: str) -> tuple[pa.Table, int, int]:
    """Return the samples, how many distinct rows they have, and a fingerprint of all counts, by NumPy."""
    if shape not in CHECKED:
        table = samples(shape)
        code = np.zeros(ROWS, np.int64)
        for name in NAMES:
            column = table[name].combine_chunks()
            code = code * len(column.dictionary) + column.indices.to_numpy()
        _, counts = np.unique(code, return_counts=True)
        CHECKED[shape] = (table, len(counts), int((counts.astype(np.int64) ** 2).sum()))
    return CHECKED[shape]


def answer(result: Any) -> tuple[int, int]:
    table = result.result() if isinstance(result, CountTable) else result
    counts = table.column(table.num_columns - 1).to_numpy().astype(np.int64)
    return table.num_rows, int((counts**2).sum())


@pytest.mark.parametrize("shape", ["collapsed", "base-like"])
@pytest.mark.parametrize("peer", PEERS)
def test_counting(benchmark: Any, monkeypatch: pytest.MonkeyPatch, peer: str, shape: str) -> None:
    monkeypatch.setenv("CRYSTAL_THREADS", "1")
    if peer in ("duckdb", "polars"):
        pytest.importorskip(peer)
    benchmark.group = f"count {ROWS:,} rows, {shape}"
    table, distinct, fingerprint = prepared(shape)
    result = PEERS[peer](table)
    assert answer(result) == (distinct, fingerprint)
    if isinstance(result, CountTable):
        columns = [result.result()[name].chunk(0).dictionary for name in NAMES]
        text = sum(pc.sum(pc.binary_length(column)).as_py() for column in columns)
        benchmark.extra_info["bytes a row beside its text"] = round((result.nbytes - text) / distinct, 1)
    benchmark.pedantic(PEERS[peer], args=(table,), rounds=3)


@pytest.mark.parametrize("shape", ["collapsed", "base-like"])
@pytest.mark.parametrize("threads", [1, 2])
def test_threads(benchmark: Any, monkeypatch: pytest.MonkeyPatch, threads: int, shape: str) -> None:
    benchmark.group = f"count {ROWS:,} rows on threads, {shape}"
    table, distinct, fingerprint = prepared(shape)
    monkeypatch.setenv("CRYSTAL_THREADS", str(threads))
    assert answer(count(table)) == (distinct, fingerprint)
    benchmark.pedantic(count, args=(table,), rounds=3)


@pytest.mark.parametrize("shape", ["collapsed", "base-like"])
@pytest.mark.parametrize("job", ["result", "to_bytes", "from_bytes"])
def test_canonical(benchmark: Any, job: str, shape: str) -> None:
    benchmark.group = f"canonical form of {ROWS:,} rows, {shape}"
    state = count(prepared(shape)[0])
    data = state.to_bytes()
    assert CountTable.from_bytes(data) == state

    def run() -> Any:
        state._rows = None
        return CountTable.from_bytes(data) if job == "from_bytes" else getattr(state, job)()

    benchmark.pedantic(run, rounds=3)
