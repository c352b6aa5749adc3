"""Columns of number lists as NumPy arrays, without a Python object a value."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from crystal.errors import InputError


class Lists(NamedTuple):
    """Lists behind one another: list ``i`` is ``values[offsets[i]:offsets[i + 1]]``."""

    values: npt.NDArray[np.float32]
    """float32 [N]; NaN where an item is null."""
    offsets: npt.NDArray[np.int64]
    """int64 [n + 1], ascending from 0 to N; a null list is empty."""


def lists_to_ragged(array: Any) -> Lists:
    """Return a column of number lists as values and offsets; chunks and slices are honoured.

    Parameters
    ----------
    array : pyarrow.Array, pyarrow.ChunkedArray or sequence of sequences of float
        ``list``, ``large_list`` or ``fixed_size_list`` of a number type, or the null type.

    Returns
    -------
    Lists

    Raises
    ------
    InputError
        If the column holds no lists of numbers, or its offsets lead outside its values.

    Examples
    --------
    >>> lists = lists_to_ragged([[-0.5, None], None, [-2.0]])
    >>> lists.values.tolist(), lists.offsets.tolist()
    ([-0.5, nan, -2.0], [0, 2, 2, 3])
    """
    target = pa.large_list(pa.float32())
    if not isinstance(array, (pa.Array, pa.ChunkedArray)):
        array = pa.array(array, target)
    column = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    kind = column.type
    lists = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
    if not (pt.is_null(kind) or (lists and _is_number(kind.value_type))):
        raise InputError("the column holds no lists of numbers", where="list column", got=str(kind))
    try:
        column.validate(full=True)  # foreign buffers: bounds, before anything is read through them
        column = column.cast(target)
    except pa.ArrowException as error:
        raise InputError(f"the column is no valid list column: {error}", where="list column") from error
    # `flatten` honours slices and leaves out what lies under null lists.
    values = pc.fill_null(column.flatten(), float("nan")).to_numpy(zero_copy_only=False)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Lists(np.require(values, np.float32), offsets)


def _is_number(kind: Any) -> bool:
    return bool(pt.is_floating(kind) or pt.is_integer(kind) or pt.is_null(kind))
