"""The count table: how often each row of up to four strings was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from crystal.errors import StateError
from crystal.states.keyed import KeyedTable


class CountTable(KeyedTable):
    """How often each distinct row of string columns was seen, as int64.

    Parameters
    ----------
    columns : sequence of str
        Names of one to four key columns.

    Notes
    -----
    Memory grows with the distinct rows and texts, never with the samples. The sum of all counts must fit in
    int64. The columns are held in C++ and :meth:`update` and :meth:`merge` release the GIL.

    Examples
    --------
    >>> table = CountTable(("task", "option"))
    >>> table.update({"task": ["coin"] * 3, "option": ["heads", None, "heads"]})
    >>> table.update({"task": ["coin"], "option": ["tails"]}, counts=[4])
    >>> sorted(table.result()["count"].to_pylist()), table.total
    ([1, 2, 4], 7)
    """

    _distribution = False
    _value = "count"

    @property
    def total(self) -> int:
        """Sum of all counts."""
        return int(self._core.total)

    def update(self, columns: Mapping[str, Any], counts: Any = None) -> None:
        """Count a batch of rows.

        Parameters
        ----------
        columns : mapping of str to string column
            One Arrow string column (plain, dictionary or chunked) for each key column; null means "no value".
        counts : int64 [rows], optional
            How often each row counts; once where none are given. 0 is the same as no row.

        Raises
        ------
        InputError
            If a column holds no strings.
        StateError
            If columns are missing or differ in length, a count is negative or no integer, or the sum of all
            counts would leave int64; the state is then unchanged.
        """
        self._add(columns, None if counts is None else _integers(counts))


def _integers(counts: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(counts, (pa.Array, pa.ChunkedArray)):
        if counts.null_count:
            raise StateError("a count is null", where="counts", expected="one count a row")
        counts = (
            counts.to_numpy()
            if isinstance(counts, pa.ChunkedArray)
            else counts.to_numpy(zero_copy_only=False)
        )
    array = np.asarray(counts)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise StateError("counts must be whole numbers, one a row", where="counts", got=str(array.dtype))
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise StateError("a count leaves int64", where="counts", got=str(array.max()))
    return np.ascontiguousarray(array, np.int64)
