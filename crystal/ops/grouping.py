"""Rows into groups of equal values: one look a row into small tables, whatever the columns hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.errors import InputError
from crystal.ops.core import load


class Groups(NamedTuple):
    """Rows that are equal in some columns."""

    codes: npt.NDArray[np.int32]
    """int32 [n]: the group of each row, numbered by first appearance."""
    first: npt.NDArray[np.int64]
    """int64 [g]: the first row of each group."""


def group(columns: Sequence[Any]) -> Groups:
    """Group the rows of some columns; null equals null.

    Parameters
    ----------
    columns : sequence of pyarrow.Array, or int32 array of codes, of length n
        At least one. Dictionaries may hold a value twice; codes count from 0, -1 for null.

    Returns
    -------
    Groups

    Raises
    ------
    InputError
        If the columns differ in length, or an index points outside its dictionary.

    Examples
    --------
    >>> group([pa.array(["a", "b", "a"]), pa.array([1, 1, None])]).codes
    array([0, 1, 2], dtype=int32)
    """
    try:
        return Groups(*load().group_rows([_codes(column) for column in columns]))
    except ValueError as error:
        raise InputError(str(error), where="grouping") from error


def _codes(column: Any) -> tuple[npt.NDArray[np.int32], int]:
    """Return which distinct value each row has (-1: null), and how many values there are."""
    if isinstance(column, np.ndarray):
        codes = np.require(column, np.int32, ["C", "A"])
        return codes, int(codes.max(initial=-1)) + 1
    if pa.types.is_int64(column.type) and column.null_count == 0:
        codes, first = load().group_numbers(np.require(column.to_numpy(), np.int64, ["C", "A"]))
        return codes, len(first)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
        return _indices(column.indices), len(column.dictionary)
    values = pc.dictionary_encode(column.dictionary)
    if len(values.dictionary) == len(column.dictionary):
        return _indices(column.indices), len(column.dictionary)
    # One value twice, or a null that is a value: as the values' own numbers.
    return _indices(pc.take(values.indices, column.indices)), len(values.dictionary)


def _indices(indices: Any) -> npt.NDArray[np.int32]:
    plain = pc.cast(indices, pa.int32())
    if plain.null_count:
        plain = pc.fill_null(plain, -1)
    return np.require(plain.to_numpy(zero_copy_only=False), np.int32, ["C", "A"])
