"""How a Parquet file is best read: which columns as dictionaries, and how many rows at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

_BATCH_BYTES = 1 << 25
_MOST_ROWS, _LEAST_ROWS = 1 << 20, 1 << 10
_REPEATS = 4
_INDEX = 4


class Layout(NamedTuple):
    """How to read a file."""

    dictionaries: list[str]
    """Text columns to be read as dictionaries."""
    rows: int
    """Rows that make a batch of some tens of MiB."""


def layout(start: Any) -> Layout:
    """Judge a file by its first rows: texts that repeat are dictionaries in it too, and are read as such.

    The sizes in the footer would say the same, but pyarrow ends the process over some that are damaged.

    Parameters
    ----------
    start : pyarrow.RecordBatch
        The first rows, read plainly; of foreign bytes, so nothing is computed before it is validated.

    Returns
    -------
    Layout

    Examples
    --------
    >>> layout(pa.record_batch({"task": ["coin"] * 8, "text": list("abcdefgh")})).dictionaries
    ['task']
    """
    dictionaries = [name for name in start.schema.names if _repeats(start.column(name))]
    rows = max(1, start.num_rows)
    width = sum(
        _INDEX * rows if name in dictionaries else start.column(name).nbytes for name in start.schema.names
    )
    return Layout(dictionaries, min(_MOST_ROWS, max(_LEAST_ROWS, _BATCH_BYTES * rows // max(1, width))))


def _repeats(column: Any) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    try:
        column.validate(full=True)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return False
    return bool(pc.count_distinct(column).as_py() * _REPEATS <= len(column))
