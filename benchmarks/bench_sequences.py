"""Exact de-duplication beside pyarrow and polars, on one thread; their answers are compared with ours first.

No peer gives ids, first places and counts at once, so each is timed at the parts it does best (pyarrow ids or
counts, polars first places and counts, either alone); the race is against the fastest of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crystal.ops.sequences import count_sequences

pl = pytest.importorskip("polars")

ROWS = 1_000_000
SHAPES = [
    (shape, kind, mean)
    for shape in ("base", "collapsed")
    for kind, mean in (("tokens", 12), ("text", 40), ("tokens", 64))
]


def arrow(values: Any, offsets: Any) -> pa.Array:
    kind = pa.large_string() if values.itemsize == 1 else pa.large_binary()
    buffers = [None, pa.py_buffer(offsets * values.itemsize), pa.py_buffer(values)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)


def first_and_count(frame: Any, keys: list[str]) -> Any:
    return frame.group_by(keys).agg(pl.col("row").min().alias("first"), pl.len().alias("count"))


@pytest.mark.parametrize(("shape", "kind", "mean"), SHAPES)
def test_full_key(
    race: Callable[..., None], make_samples: Callable[..., Any], shape: str, kind: str, mean: int
) -> None:
    values, offsets = make_samples(shape, kind, ROWS, mean)
    array = arrow(values, offsets)
    series = pl.from_arrow(array)
    frame = pl.DataFrame({"key": series}).with_row_index("row")
    found = count_sequences(values, offsets, threads=1)
    assert np.array_equal(array.dictionary_encode().indices.to_numpy(), found.inverse)
    theirs = first_and_count(frame, ["key"]).sort("first")
    assert np.array_equal(theirs["first"].to_numpy(), found.first)
    assert np.array_equal(theirs["count"].to_numpy(), found.counts)
    over = frame.select(pl.col("row").min().over("key"))["row"].to_numpy()
    assert np.array_equal(over, found.first[found.inverse])
    race(
        f"sequences {shape} {kind} {mean}",
        ROWS,
        crystal=lambda: count_sequences(values, offsets, threads=1),
        pyarrow=array.dictionary_encode,
        pyarrow_counts=array.value_counts,
        polars=lambda: first_and_count(frame, ["key"]),
        polars_over=lambda: frame.select(pl.col("row").min().over("key")),
        polars_counts=lambda: series.value_counts(),
    )


@pytest.mark.parametrize(("shape", "kind", "mean"), SHAPES)
def test_128_bits_only(
    race: Callable[..., None], make_samples: Callable[..., Any], shape: str, kind: str, mean: int
) -> None:
    values, offsets = make_samples(shape, kind, ROWS, mean)
    series = pl.from_arrow(arrow(values, offsets))

    def polars() -> Any:
        hashes = {"high": series.hash(1), "low": series.hash(2)}
        return first_and_count(pl.DataFrame(hashes).with_row_index("row"), ["high", "low"])

    found = count_sequences(values, offsets, verify=False, threads=1)
    theirs = polars().sort("first")
    assert np.array_equal(theirs["first"].to_numpy(), found.first)
    assert np.array_equal(theirs["count"].to_numpy(), found.counts)
    race(
        f"128-bit key {shape} {kind} {mean}",
        ROWS,
        crystal=lambda: count_sequences(values, offsets, verify=False, threads=1),
        polars=polars,
    )
