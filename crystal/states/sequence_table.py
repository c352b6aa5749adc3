"""Exact counts of sequences and of n-grams by cell: mergeable, and larger than memory where need be."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.errors import InputError, SettingsError, StateError
from crystal.ops import sequence_tables as ops
from crystal.states import sequence_bytes
from crystal.states.cells import cells_of
from crystal.states.runs import Store
from crystal.states.sequence_bytes import Header

Integers = npt.NDArray[np.int64]
ELEMENTS = {"text": 1, "tokens": 4}
"""What sequences are made of, and the bytes of one."""


class SequenceTable:
    """How often each distinct sequence was seen, as int64, by cell.

    Parameters
    ----------
    columns : sequence of str
        Names of the string columns that make a cell, such as ``("checkpoint", "task")``; none for one cell.
    elements : {"tokens", "text"}
        int32 ids, or the bytes of UTF-8.
    verify : bool
        Keep whole sequences and compare them. Without it 128 bits of a fixed hash are all that is kept (see
        :func:`crystal.count_sequences`); the sequences themselves are then not in the state.
    memory : int, optional
        Bytes that the state may hold. Past them it writes sorted runs to disk and goes on: the same bytes.
    folder : path, optional
        Where runs go. They have no names, so nothing is left behind however the process ends.
    threads : int
        0 means CRYSTAL_THREADS, else all cores. The result does not depend on it.

    Raises
    ------
    SettingsError
        If an argument is out of its range.

    Notes
    -----
    Memory grows with the distinct sequences of each cell, never with the samples: 37 to 46 bytes each, and
    the sequence. ``columns``, ``elements`` and ``verify`` are the configuration, which must agree on merge.

    Examples
    --------
    >>> table = SequenceTable(("checkpoint",))
    >>> table.update([5, 7, 5, 5, 7, 9], [0, 2, 3, 5, 6], {"checkpoint": ["base"] * 3 + ["sft"]})
    >>> len(table), table.total, table.result().to_pylist()[0]
    (3, 4, {'checkpoint': 'base', 'count': 1, 'sequences': 1})
    """

    _n = 0

    def __init__(
        self,
        columns: Sequence[str] = (),
        *,
        elements: str = "tokens",
        verify: bool = True,
        memory: int | None = None,
        folder: str | Path | None = None,
        threads: int = 0,
    ) -> None:
        where = type(self).__name__
        if elements not in ELEMENTS:
            raise SettingsError("no such elements", where=where, expected=", ".join(ELEMENTS), got=elements)
        if len(set(columns)) < len(columns) or isinstance(columns, str):
            raise SettingsError("the columns are not several names", where=where, got=repr(columns))
        if memory is not None and memory < 1 << 20:
            raise SettingsError("too little memory", where=where, expected="1 MiB or more", got=str(memory))
        if threads < 0:
            raise SettingsError("the number of threads is negative", where=where, got=str(threads))
        self.header = Header(columns=tuple(columns), elements=elements, verify=verify, n=self._n)
        self._settings = {"memory": memory, "folder": folder, "threads": threads}
        self._threads = threads
        self._store = Store(verify=verify, memory=memory, folder=folder)
        self._cells: dict[tuple[str, ...], int] = {}
        self._lock = threading.RLock()
        self._torn = False
        self._lines: tuple[Any, Integers, Integers] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that make a cell."""
        return self.header.columns

    @property
    def total(self) -> int:
        """Sum of all counts."""
        return self._store.total

    @property
    def nbytes(self) -> int:
        """Heap bytes held now; runs on disk are not in it."""
        return int(self._store.table.nbytes)

    @property
    def disk_bytes(self) -> int:
        """Bytes of the runs on disk."""
        return sum(run.size for run in self._store.runs)

    def __len__(self) -> int:
        """Return how many distinct sequences all cells have together."""
        return int(self._spectra()[2].sum()) if self._store.runs else int(self._store.table.size)

    def __bool__(self) -> bool:
        return self.total > 0

    def empty(self) -> Self:
        """Return an empty state of the same configuration, with the same memory, folder and threads."""
        return self._like(self.header, **self._settings)

    def update(
        self,
        values: npt.ArrayLike,
        offsets: npt.ArrayLike,
        columns: Mapping[str, Any] | None = None,
        *,
        counts: Any = None,
    ) -> None:
        """Count a batch of sequences.

        Parameters
        ----------
        values : array_like of integers [N]
            uint8 for text; int32 for tokens, or any integers that fit.
        offsets : array_like, int64 [n + 1]
            Sequence i is ``values[offsets[i]:offsets[i + 1]]``.
        columns : mapping of str to string column [n], optional
            One for each of :attr:`columns`, without nulls.
        counts : int64 [n], optional
            How often each counts; once where none are given.

        Raises
        ------
        InputError
            If the batch is malformed, or a run cannot be written (the disk is full).
        StateError
            If columns are missing or null, a count is negative, or the sum of all counts would leave int64.

        Notes
        -----
        What is refused leaves the state as it is. A batch that is cut off (Ctrl-C, a full disk) may have been
        counted in part: the state then refuses to go on.
        """
        width = ELEMENTS[self.header.elements]
        data, starts = ops.elements(values, offsets, width, where=type(self).__name__)
        rows = len(starts) - 1
        numbers = None if counts is None else ops.whole_counts(counts, rows)
        self._check_total(float(rows) if numbers is None else float(numbers.sum(dtype=np.float64)), starts)
        with self._changing():
            cells = self._cells_of(columns or {}, rows)
            begin = 0
            while begin < rows:
                end = self._block_end(starts, begin)
                part = np.ascontiguousarray(starts[begin : end + 1] - starts[begin])
                span = data[starts[begin] * width : starts[end] * width]
                some = None if numbers is None else numbers[begin:end]
                ops.add(
                    self._store.table, span, part, width, cells[begin:end], some, self.header.n, self._threads
                )
                self._torn = end < rows or self._store.full
                self._spill_if_full()
                begin = end
            self._torn = False

    def check(self, other: Self) -> None:
        """Raise :class:`StateError` if `other` has another configuration, or their sum would leave int64."""
        if type(other) is not type(self) or other.header.configuration() != self.header.configuration():
            theirs = (
                other.header.configuration() if isinstance(other, SequenceTable) else type(other).__name__
            )
            raise StateError(
                "the states have different configurations",
                where="merge",
                expected=self.header.configuration(),
                got=theirs,
            )
        if self.total + other.total >= 2**63:
            raise StateError("the sum of all counts leaves int64", where="merge")

    def merge(self, other: Self) -> None:
        """Add all of another state, which stays as it is.

        Raises
        ------
        StateError
            If the configurations differ (both are named) or the sum would leave int64.
        InputError
            If a run cannot be written.
        """
        self.check(other)
        if other is self:
            other = type(self).from_bytes(self.to_bytes())
        with other._reading() as cells, self._changing():
            places = np.array([self._cell(cell) for cell in cells], np.uint32)
            for piece in other._store.records(other._ranks(), ranked=False):
                ops.add_records(self._store.table, piece, places)
                self._torn = True
                self._spill_if_full()
            self._torn = False

    def result(self) -> pa.Table:
        """Return how many sequences of each cell were seen how often, in canonical order.

        Returns
        -------
        pyarrow.Table
            The columns of the cell, ``count`` and ``sequences`` (both int64).
        """
        cells, counts, sequences = self._spectra()
        names = sorted(self._cells)
        texts = [
            pa.array([names[cell][c] for cell in cells.tolist()], pa.large_string())
            for c in range(len(self.columns))
        ]
        return pa.table(
            [*texts, pa.array(counts), pa.array(sequences)], [*self.columns, "count", "sequences"]
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes; :meth:`save` writes the same ones without holding them all."""
        with self._reading() as cells:
            return b"".join(
                sequence_bytes.pack(self.header, cells, self._store.records(self._ranks(), ranked=True))
            )

    def save(self, path: str | Path) -> None:
        """Write the canonical bytes to a file, whole or not at all.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        from crystal.atomic_write import atomic_path

        with self._reading() as cells, atomic_path(path) as scratch:
            try:
                with scratch.open("wb") as file:
                    file.writelines(
                        sequence_bytes.pack(
                            self.header, cells, self._store.records(self._ranks(), ranked=True)
                        )
                    )
            except OSError as error:
                raise InputError(
                    f"the table cannot be written: {error.strerror or error}", where=str(path)
                ) from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        StateError
            If the bytes are damaged, of another version or of another kind of state.
        """
        import io

        return cls._read(io.BytesIO(data), len(data), {}, "sequence table bytes")

    @classmethod
    def load(cls, path: str | Path, *, memory: int | None = None, folder: str | Path | None = None) -> Self:
        """Read what :meth:`save` wrote, with `memory` and `folder` as for a new table.

        Raises
        ------
        InputError
            If the file cannot be read.
        StateError
            If it is damaged, of another version or of another kind of state.
        """
        try:
            with Path(path).open("rb") as file:
                size = Path(path).stat().st_size
                return cls._read(file, size, {"memory": memory, "folder": folder}, str(path))
        except OSError as error:
            raise InputError(
                f"the table cannot be read: {error.strerror or error}", where=str(path)
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # states change

    def __repr__(self) -> str:
        return (
            f"{self.header.configuration()}: {self.total} counted, "
            f"{self.nbytes} bytes in memory and {self.disk_bytes} on disk"
        )

    @classmethod
    def _like(cls, header: Header, **settings: Any) -> Self:
        return cls(header.columns, elements=header.elements, verify=header.verify, **settings)

    @classmethod
    def _read(cls, file: IO[bytes], size: int, settings: dict[str, Any], where: str) -> Self:
        header, cells, pieces = sequence_bytes.unpack(file, size, where)
        if (header.n == 0) != (cls._n == 0):
            raise StateError(
                "these are the bytes of another kind of state", where=where, expected=cls.__name__
            )
        self = cls._like(header, **settings)
        places = np.arange(len(cells), dtype=np.uint32)
        self._cells = {cell: place for place, cell in enumerate(cells)}
        for piece in ops.check_records(
            pieces,
            verify=header.verify,
            unit=ELEMENTS[header.elements],
            length=header.n * ELEMENTS[header.elements],
            cells=len(cells),
        ):
            ops.add_records(self._store.table, piece, places)
            self._spill_if_full()
        return self

    def _cells_of(self, columns: Mapping[str, Any], rows: int) -> npt.NDArray[np.int32]:
        """Return the cell of each row, giving new cells a number."""
        keys, codes = cells_of(columns, self.columns, rows)
        return np.array([self._cell(key) for key in keys], np.int32)[codes]

    def _cell(self, key: tuple[str, ...]) -> int:
        return self._cells.setdefault(key, len(self._cells))

    def _ranks(self) -> npt.NDArray[np.uint32]:
        ranks = np.zeros(len(self._cells), np.uint32)
        for rank, cell in enumerate(sorted(self._cells)):
            ranks[self._cells[cell]] = rank
        return ranks

    def _spectra(self) -> tuple[Any, Integers, Integers]:
        with self._reading():
            if self._lines is None:
                self._lines = ops.spectra(self._store.records(self._ranks(), ranked=True))
            return self._lines

    @contextmanager
    def _reading(self) -> Iterator[list[tuple[str, ...]]]:
        """Hold the state, and give its cells in order of number (ranks are those of the sorted cells)."""
        with self._lock:
            if self._torn:
                raise StateError(
                    "an update was cut off, and may be counted in part",
                    where=type(self).__name__,
                    fix="count again, or go on from what was saved",
                )
            yield list(self._cells)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._reading():
            known = len(self._cells)
            self._lines = None
            try:
                yield
            except BaseException:
                if not self._torn:
                    # Refused: cells that only this batch has are nobody's.
                    for cell in list(self._cells)[known:]:
                        del self._cells[cell]
                raise

    def _check_total(self, more: float, starts: Integers) -> None:
        if self.header.n:
            more *= float(np.diff(starts).max(initial=0))
        if float(self.total) + more >= 2.0**63:
            raise StateError("the sum of all counts leaves int64", where=type(self).__name__)

    def _block_end(self, starts: Integers, begin: int) -> int:
        block = self._store.block
        last = min(begin + block, len(starts) - 1)
        # Elements are bounded too: they are what n-grams cost, and 2^31 of them what a block can number.
        most = block if self.header.n else 1 << 30
        return max(begin + 1, min(last, int(np.searchsorted(starts, starts[begin] + most, "right")) - 1))

    def _spill_if_full(self) -> None:
        if self._store.full:
            self._store.spill(self._ranks())
