"""Parquet of every layout is counted alike, and texts that repeat come as dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystal.engine import measure
from crystal.errors import SettingsError
from crystal.readers import read
from crystal.readers.parquet_layout import layout

ROWS = 3_000


def table(distinct: int) -> pa.Table:
    stages = ["base", "sft"]
    return pa.table(
        {
            "ladder": ["l"] * ROWS,
            "stage": [stages[i % 2] for i in range(ROWS)],
            "step": [i % 2 for i in range(ROWS)],
            "task": [f"task{i % 7}" for i in range(ROWS)],
            "prompt": [f"p{i % 3}" for i in range(ROWS)],
            "text": [None if i % 50 == 1 else f"Reply{i * 37 % distinct}." for i in range(ROWS)],
            "answer": [f"reply{i * 37 % distinct}" if i % 50 == 1 else None for i in range(ROWS)],
            "sample": range(ROWS),
            "score": [0.5] * ROWS,
        }
    )


@pytest.mark.parametrize("distinct", [5, ROWS])
@pytest.mark.parametrize(
    "how",
    [
        {"use_dictionary": False},
        {"use_dictionary": True},
        {"row_group_size": 700},
        {"dictionary_pagesize_limit": 64},
    ],
)
def test_layout_changes_no_count(tmp_path: Path, how: dict[str, Any], distinct: int) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(table(distinct), path, **how)
    measured = measure(path)
    assert measured.digest() == measure(table(distinct)).digest()
    assert measured.manifest.samples == ROWS == measured.counts.total


def test_texts_that_repeat_are_read_as_dictionaries() -> None:
    columns = ["stage", "step", "text"]
    for distinct, expected in ((5, ["stage", "text"]), (ROWS, ["stage"])):
        start = table(distinct).select(columns).combine_chunks().to_batches()[0]
        assert layout(start).dictionaries == expected


def test_a_batch_is_some_tens_of_mebibytes() -> None:
    wide = pa.record_batch({"text": [f"{i:05}" + "x" * 100_000 for i in range(100)]})
    assert layout(wide).rows == 1024
    assert layout(table(5).select(["stage"]).to_batches()[0]).rows == 1 << 20


def test_texts_that_are_none_are_left_alone() -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
    )
    assert layout(pa.record_batch({"text": bad.take(pa.array([0] * 9))})).dictionaries == []


def test_remarks_are_a_reason_to_refuse_a_row_still(tmp_path: Path) -> None:
    """A column of integers cannot be one, so counting does not read it; one of texts can."""
    path = tmp_path / "log.parquet"
    for samples, rejected in ((range(ROWS), 0), (["x", *map(str, range(ROWS - 1))], 1)):
        log = table(5).set_column(7, "sample", pa.array(samples))
        pq.write_table(log, path)
        assert measure(path, on_error="collect").manifest.rejected == rejected


def test_an_alias_does_not_step_in_for_a_remark_that_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(table(5).append_column("sample_id", pa.array(["no number"] * ROWS)), path)
    assert measure(path).manifest.rejected == 0


def test_counting_leaves_remarks_out_and_reading_does_not(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(table(5), path)
    counted = next(iter(read(path).counting()))
    assert pa.types.is_dictionary(counted.schema.field("text").type)
    assert "score" not in counted.schema.names
    plain = next(iter(read(path)))
    assert plain.column("score").null_count == 0
    assert plain.column("text").to_pylist() == counted.column("text").to_pylist()


def test_a_stream_that_is_under_way_cannot_become_one_for_counting() -> None:
    stream = read(table(5))
    next(iter(stream))
    with pytest.raises(SettingsError, match="read once"):
        stream.counting()
