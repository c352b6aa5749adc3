"""The cells that rows belong to: distinct combinations of string columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.errors import StateError
from crystal.ops.ragged import dictionary


def cells_of(
    columns: Mapping[str, Any], names: Sequence[str], rows: int
) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int64]]:
    """Return the distinct cells of some rows, and which of them each row is in.

    Parameters
    ----------
    columns : mapping of str to string column [rows]
        One for each name, without nulls. What :func:`crystal.ops.ragged.dictionary` returned for a column may
        stand in its place.
    names : sequence of str
        None: all rows are in the cell ``()``.
    rows : int

    Returns
    -------
    cells : list of tuple of str
    codes : int64 [rows]

    Raises
    ------
    InputError
        If a column holds no strings.
    StateError
        If columns are missing, unknown, null, or of other lengths.

    Examples
    --------
    >>> cells_of({"task": ["coin", "die", "coin"]}, ("task",), 3)
    ([('coin',), ('die',)], array([0, 1, 0]))
    """
    if {*columns} != {*names}:
        raise StateError(
            "the batch has other columns",
            where="cells",
            expected=", ".join(names) or "none",
            got=", ".join(columns),
        )
    codes = np.zeros(rows, np.int64)
    parts = []
    for name in names:
        column = columns[name]
        indices, texts = column if isinstance(column, tuple) else dictionary(column)
        if len(indices) != rows or (indices < 0).any():
            raise StateError("a key is null, or the columns differ in length", where=f"column {name}")
        used, own = np.unique(indices, return_inverse=True)
        distinct = texts.to_arrow().take(pa.array(used)).dictionary_encode()  # a dictionary may repeat a text
        own = distinct.indices.to_numpy(zero_copy_only=False)[own.reshape(-1)]
        parts.append((own, distinct.dictionary))
        # Both factors are below 2^31, so the product cannot leave int64.
        wide = codes * (int(own.max(initial=0)) + 1) + own
        codes = np.unique(wide, return_inverse=True)[1].reshape(-1)
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    named = [text.take(pa.array(own[first])).to_pylist() for own, text in parts]
    keys: list[tuple[str, ...]] = list(zip(*named, strict=True)) if named else [()] * len(first)
    return keys, np.asarray(codes.reshape(-1), np.int64)
