"""Rows into groups of equal codes, beside pyarrow's and polars' groups of the same columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crystal.ops.grouping import group

ROWS = 1_000_000


def columns(shape: str) -> list[Any]:
    """8 x 50 x 8 groups and 80 answers a task, or a last column that hardly repeats."""
    rng = np.random.default_rng(0)
    task = rng.integers(0, 50, ROWS)
    last = task * 80 + rng.integers(0, 80, ROWS) if shape == "collapsed" else rng.integers(0, ROWS, ROWS)
    made = []
    for codes, size in zip(
        (rng.integers(0, 8, ROWS), task, rng.integers(0, 8, ROWS), last), (8, 50, 8, ROWS), strict=True
    ):
        values = pa.array([f"value {i}" for i in range(size)])
        made.append(pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values))
    return made


@pytest.mark.parametrize("shape", ["collapsed", "base"])
def test_group(race: Callable[..., None], shape: str) -> None:
    polars = pytest.importorskip("polars")
    given = columns(shape)
    table = pa.table(given, names=list("abcd"))
    codes = pa.table({name: column.indices for name, column in zip("abcd", given, strict=True)})
    frame = polars.from_arrow(codes)
    groups = len(group(given).first)
    assert table.group_by(list("abcd"), use_threads=False).aggregate([]).num_rows == groups
    assert frame.group_by(list("abcd")).len().height == groups
    race(
        f"group {shape}", ROWS,
        crystal=lambda: group(given),
        pyarrow=lambda: codes.group_by(list("abcd"), use_threads=False).aggregate([([], "count_all")]),
        polars=lambda: frame.group_by(list("abcd")).len(),
    )  # fmt: skip
