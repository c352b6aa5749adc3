"""Tables of counted sequences in C++ seen from Python: blocks in, sorted records out, runs merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, StateError
from crystal.ops.core import load
from crystal.ops.sequences import ragged_arguments

Integers = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.uint32]

PIECE = 1 << 20
"""Bytes that are read and merged at once."""


def elements(
    values: npt.ArrayLike, offsets: npt.ArrayLike, width: int, *, where: str
) -> tuple[npt.NDArray[np.uint8], Integers]:
    """Return ragged data as bytes and checked offsets, its elements `width` bytes each (1 or 4).

    Raises
    ------
    InputError
        If elements do not fit, or the offsets descend or leave the values.
    """
    data, starts, given = ragged_arguments(values, offsets, 0, where=where)
    if given != width:
        whole = np.asarray(values)
        if width == 1:
            raise InputError("text is bytes", where=where, expected="uint8", got=str(whole.dtype))
        limits = np.iinfo(np.int32)
        if whole.size and (int(whole.min()) < limits.min or int(whole.max()) > limits.max):
            raise InputError("an element does not fit int32", where=where)
        data = whole.astype(np.int32).view(np.uint8)
    if len(starts) == 0 or starts[0] < 0 or (np.diff(starts) < 0).any() or starts[-1] > len(data) // width:
        raise InputError("the offsets descend or leave the values", where=f"{where}, offsets")
    return data, starts


def whole_counts(counts: Any, rows: int) -> Integers:
    """Return counts as int64.

    Raises
    ------
    StateError
        If they are not whole numbers of at least 0, one a row.
    """
    array = np.asarray(counts)
    if array.shape != (rows,) or (array.size and array.dtype.kind not in "iu"):
        raise StateError("counts must be whole numbers, one a sequence", where="counts", got=str(array.dtype))
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < 2**63:
        raise StateError("a count is negative or leaves int64", where="counts")
    return np.ascontiguousarray(array, np.int64)


@contextmanager
def refusals(where: str) -> Iterator[None]:
    """Turn what the core refuses into a :class:`StateError`."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise StateError(str(error), where=where) from error


def new(*, verify: bool) -> Any:
    """Return an empty table; with ``verify`` it keeps and compares whole sequences, not only their hashes."""
    return load().SequenceTable(verify)


def add(
    table: Any,
    values: npt.NDArray[np.uint8],
    offsets: Integers,
    width: int,
    cells: npt.NDArray[np.int32] | None,
    counts: Integers | None,
    n: int,
    threads: int,
) -> None:
    """Count a block of sequences, or its n-grams with n above 0: whole, or not at all.

    Raises
    ------
    StateError
        If offsets, cells or counts are out of range, or the sum of all counts leaves int64.
    """
    with refusals("sequence table"):
        table.add(values, offsets, width, cells, counts, n, threads)


def add_records(table: Any, records: bytes, cells: Ranks) -> None:
    """Add whole records of another table, whose cell c is ``cells[c]`` here."""
    with refusals("sequence table"):
        table.add_records(records, cells)


def records_of(table: Any, ranks: Ranks, *, ranked: bool) -> Iterator[bytes]:
    """Yield the records of a table in canonical order: hash, key, rank of the cell."""
    for part in range(table.parts):
        if data := table.part(part, ranks, ranked):
            yield data


def merged(runs: Sequence[Iterable[bytes]], ranks: Ranks, *, ranked: bool) -> Iterator[bytes]:
    """Merge runs of sorted records, equal ones added up.

    Parameters
    ----------
    runs : sequence of iterables of bytes
        The pieces of each run, cut anywhere.
    ranks : uint32 [cells]
        The place of each cell in the order of cells.
    ranked : bool
        Write that place instead of the cell.

    Raises
    ------
    StateError
        If a run is damaged.
    """
    merger = load().RunMerger(len(runs), ranks, ranked)
    pieces = [iter(run) for run in runs]
    while True:
        with refusals("sorted runs"):
            hungry, done, data = merger.advance(PIECE)
        if data:
            yield data
        if done:
            return
        if hungry >= 0:
            piece = next(pieces[hungry], None)
            merger.feed(hungry, piece or b"", piece is None)


def check_records(
    pieces: Iterable[bytes], *, verify: bool, unit: int, length: int, cells: int
) -> Iterator[bytes]:
    """Yield whole records, each checked: what passes is what a table writes.

    Raises
    ------
    StateError
        If a record is damaged, out of order or out of range, or a cell has none.
    """
    check = load().RecordCheck(verify, unit, length, cells)
    left = b""
    for piece in pieces:
        data = left + piece
        with refusals("sequence table bytes"):
            taken = check.check(data)
        if taken:
            yield data[:taken]
        left = data[taken:]
    if left:
        raise StateError("the last record is not whole", where="sequence table bytes")
    with refusals("sequence table bytes"):
        check.finish()


def spectra(pieces: Iterable[bytes]) -> tuple[npt.NDArray[np.int32], Integers, Integers]:
    """Return how many sequences of each cell are counted how often, from whole records.

    Returns
    -------
    cells : int32 [m], ascending
    counts : int64 [m], ascending within a cell
    sequences : int64 [m]
    """
    found = load().SequenceSpectra()
    for piece in pieces:
        found.add(piece)
    cells, counts, sequences = found.lines()
    return cells, counts, sequences
