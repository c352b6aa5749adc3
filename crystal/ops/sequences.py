"""Exact de-duplication of texts and token sequences: ids, first places, counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SequenceCounts:
    """What :func:`count_sequences` found, to unpack or to ask by name; numbers are in order of appearance."""

    inverse: npt.NDArray[np.int32] | None
    """int32 [n]: the number of each sequence, in [0, distinct); None where it was not asked for."""
    first: Integers
    """int64 [distinct], ascending: where each distinct sequence first appears, in [0, n)."""
    counts: Integers
    """int64 [distinct]: how often each appears; they sum to n."""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.inverse, self.first, self.counts))

    @property
    def distinct(self) -> int:
        """How many different sequences there are."""
        return len(self.first)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand over ``first`` and ``counts``, a row a distinct sequence, to anything that reads Arrow."""
        import pyarrow as pa

        table = pa.table({"first": self.first, "count": self.counts})
        return table.__arrow_c_stream__(requested_schema)


def count_sequences(
    values: npt.ArrayLike,
    offsets: npt.ArrayLike,
    *,
    verify: bool = True,
    inverse: bool = True,
    threads: int = 0,
) -> SequenceCounts:
    """Find equal sequences: the number of each, where each distinct one first appears, and how often.

    Sequences are one if they have the same length and the same elements. A hash only says where to look: with
    ``verify`` all elements are compared. Without it two sequences count as one if 128 bits of a fixed hash
    agree, which by chance happens among N distinct sequences with probability below N^2 / 2^129 (1.5e-25 for
    N = 10 million); whoever can choose the sequences can make it happen, so use it for your own data only.

    Numbers are given in the order of first appearance: the same bytes for any number of threads.

    Parameters
    ----------
    values : array_like of integers [N]
        All elements behind one another: uint8 for UTF-8 text, int32 for token ids, or any other integer type.
        A contiguous array is read where it is, never copied.
    offsets : array_like, int64 [n + 1]
        Sequence i is ``values[offsets[i]:offsets[i + 1]]``; not descending, within [0, N]. What is in
        ``values`` before the first offset and after the last belongs to no sequence.
    verify : bool
        Compare whole sequences rather than 128 bits of hash.
    inverse : bool
        Return the number of each sequence (4 bytes a sequence).
    threads : int
        0 means CRYSTAL_THREADS, else all cores.

    Returns
    -------
    SequenceCounts
        ``inverse`` int32 [n], ``first`` int64 [distinct], ``counts`` int64 [distinct].

    Raises
    ------
    InputError
        For values that are no integers, offsets that descend or leave the values, or 2^31 sequences or more.
    SettingsError
        For a negative number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> tokens = np.array([5, 7, 5, 5, 7, 9], dtype=np.int32)
    >>> found = count_sequences(tokens, [0, 2, 3, 5, 6])
    >>> found.inverse.tolist(), found.first.tolist(), found.counts.tolist()
    ([0, 1, 0, 2], [0, 1, 3], [2, 1, 1])
    """
    data, starts, width = ragged_arguments(values, offsets, threads, where="count_sequences")
    try:
        return SequenceCounts(*load().count_sequences(data, starts, width, verify, inverse, threads))
    except ValueError as error:
        raise InputError(str(error), where="count_sequences") from error


def count_sequences_reference(values: npt.ArrayLike, offsets: npt.ArrayLike) -> SequenceCounts:
    """Do the same as :func:`count_sequences` with a dictionary, slowly and plainly.

    Parameters
    ----------
    values : array_like of integers [N]
    offsets : array_like, int64 [n + 1]

    Returns
    -------
    SequenceCounts
        As :func:`count_sequences` returns it.

    Examples
    --------
    >>> count_sequences_reference([1, 1, 2], [0, 1, 2, 3]).counts.tolist()
    [2, 1]
    """
    data = np.asarray(values)
    starts = np.asarray(offsets)
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    inverse = np.empty(len(starts) - 1, np.int32)
    for row, (begin, end) in enumerate(pairwise(starts)):
        key = data[begin:end].tobytes()
        if key not in numbers:
            numbers[key] = len(first)
            first.append(row)
        inverse[row] = numbers[key]
    counts = np.bincount(inverse, minlength=len(first)).astype(np.int64)
    return SequenceCounts(inverse, np.array(first, np.int64), counts)


def ragged_arguments(
    values: npt.ArrayLike, offsets: npt.ArrayLike, threads: int, *, where: str
) -> tuple[npt.NDArray[np.uint8], Integers, int]:
    """Return ragged data as the core takes it: bytes, offsets and the bytes of one element.

    Parameters
    ----------
    values : array_like of integers [N]
    offsets : array_like, int64 [n + 1]
    threads : int
        Only checked.
    where : str
        The function to name in errors.

    Returns
    -------
    values : uint8 [N * width]
    offsets : int64 [n + 1]
    width : int

    Raises
    ------
    InputError
        For values or offsets that are no integers, or that have not one dimension.
    SettingsError
        For a negative number of threads.

    Examples
    --------
    >>> ragged_arguments([1, 2], [0, 2], 0, where="here")[2]
    8
    """
    if threads < 0:
        raise SettingsError("the number of threads is negative", where=where, got=str(threads))
    data = _integers(values, where=f"{where}, values")
    starts = _integers(offsets, where=f"{where}, offsets")
    if starts.dtype == np.uint64 and len(starts) and int(starts.max()) > np.iinfo(np.int64).max:
        raise InputError("an offset is larger than int64", where=f"{where}, offsets")
    return data.view(np.uint8), np.ascontiguousarray(starts, dtype=np.int64), data.itemsize


def _integers(array: npt.ArrayLike, *, where: str) -> npt.NDArray[Any]:
    try:
        data = np.asarray(array)
    except ValueError as error:
        raise InputError(f"not an array: {error}", where=where) from error
    if data.size == 0 and data.dtype.kind == "f" and not isinstance(array, np.ndarray):
        data = data.astype(np.int64)  # what NumPy makes of an empty list
    if data.dtype.kind not in "iu":
        raise InputError("elements must be integers", where=where, got=str(data.dtype))
    if data.ndim != 1:
        raise InputError("one dimension is needed", where=where, got=str(list(data.shape)))
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    return np.ascontiguousarray(data)
