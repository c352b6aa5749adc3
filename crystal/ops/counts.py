"""Key tables in C++ seen from Python: up to four string columns to one int64 a distinct row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.errors import StateError
from crystal.ops.core import load
from crystal.ops.ragged import Ragged, dictionary

Integers = npt.NDArray[np.int64]


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Turn what the core refuses into a :class:`StateError`."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise StateError(str(error), where=where) from error


def new(names: Sequence[str], *, distribution: bool = False) -> Any:
    """Return an empty table.

    Parameters
    ----------
    names : sequence of str
        One to four column names.
    distribution : bool
        False: values of equal keys add up (counts). True: they must agree, and are probabilities in units
        of 2^-60.

    Raises
    ------
    StateError
        If there are no columns, or more than four.
    """
    with _refusals("table"):
        return load().KeyTable(distribution, list(names))


def update(table: Any, columns: Mapping[str, Any], values: Integers | None = None) -> None:
    """Add one batch of rows; the table is unchanged if it is refused.

    Parameters
    ----------
    table : KeyTable
        From :func:`new`.
    columns : mapping of str to string column
        One column for each name of the table, all of one length; null means "no value". What
        :func:`crystal.ops.ragged.dictionary` returned for a column may stand in its place.
    values : int64 [rows], optional
        Counts (each row counts once where none are given), or probabilities in units of 2^-60.

    Raises
    ------
    InputError
        If a column holds no strings.
    StateError
        If columns are missing or of other lengths, a count is negative, a sum leaves int64, or one key gets
        two probabilities (the message names both).

    Examples
    --------
    >>> table = new(["task", "option"])
    >>> update(table, {"task": ["coin", "coin"], "option": ["heads", None]})
    >>> rows(table).num_rows
    2
    """
    names = table.names
    if set(columns) != set(names):
        raise StateError(
            "the batch has other columns", where="table", expected=", ".join(names), got=", ".join(columns)
        )
    batch = []
    for name in names:
        column = columns[name]
        indices, texts = column if isinstance(column, tuple) else dictionary(column)
        batch.append((indices, texts.values, texts.offsets))
    if values is not None:
        values = np.require(values, requirements=["C", "A"])
        if values.dtype != np.int64:
            raise StateError("values must be int64", where="table", expected="int64", got=str(values.dtype))
    with _refusals("table"):
        table.update(batch, values)


def merge(table: Any, other: Any) -> None:
    """Add all rows of another table, which stays as it is.

    Raises
    ------
    StateError
        As :func:`update`; `table` is unchanged if it is raised.
    """
    with _refusals("table"):
        table.merge(other)


def rows(table: Any, value: str = "count") -> pa.Table:
    """Return the rows in canonical order: ascending by (128-bit hash, then bytes), column by column.

    Returns
    -------
    pyarrow.Table
        The columns as ``dictionary<int32, large_string>``, dictionaries in the same order and without unused
        texts, and `value` as int64.
    """
    columns, values = table.canonical()
    arrays = [
        pa.DictionaryArray.from_arrays(
            pa.array(indices, mask=indices < 0 if (indices < 0).any() else None),
            Ragged(texts, offsets, None).to_arrow(),
        )
        for indices, texts, offsets in columns
    ]
    return pa.table([*arrays, pa.array(values)], names=[*table.names, value])


def from_bytes(data: bytes) -> Any:
    """Read a table written by its ``to_bytes``.

    Raises
    ------
    StateError
        If the bytes are truncated, changed, of another version, or otherwise not what ``to_bytes`` writes.
    """
    with _refusals("table bytes"):
        return load().KeyTable.from_bytes(bytes(data))
