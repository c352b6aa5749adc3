"""Counted sequences past a budget of memory: what does not fit stands in sorted runs on disk.

The files have no names, so nothing is left behind however a process ends.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from crystal.errors import InputError
from crystal.ops import sequence_tables as ops

MOST_RUNS = 16
"""Runs on disk; more of them are merged into one."""
_BLOCK = 1 << 20


class Run:
    """One run: written once, then read from the start by anybody and any number of times.

    Parameters
    ----------
    pieces : iterable of bytes
    folder : path, optional
        Where there is room; the system's folder for temporary files where none is given.

    Raises
    ------
    InputError
        If the disk is full, or the folder cannot be written to.
    """

    def __init__(self, pieces: Iterable[bytes], folder: str | Path | None = None) -> None:
        self.size = 0
        where = str(folder or tempfile.gettempdir())
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(prefix="crystal-", dir=folder)  # noqa: SIM115
        except OSError as error:
            raise _no_room(error, where) from error
        self.close = weakref.finalize(self, _close, self._file)
        """Give the room on the disk back; done by itself where the run is forgotten."""
        for piece in pieces:
            try:
                self._file.write(piece)
            except OSError as error:
                self.close()
                raise _no_room(error, where) from error
            self.size += len(piece)
        try:
            self._file.flush()
        except OSError as error:
            self.close()
            raise _no_room(error, where) from error

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes from the start; the place in the file is the reader's own."""
        at = 0
        while data := os.pread(self._file.fileno(), ops.PIECE, at):
            at += len(data)
            yield data
        if at != self.size:
            raise InputError("a run on disk was cut", where="sorted runs", got=f"{at} of {self.size} bytes")


def _close(file: IO[bytes]) -> None:
    try:
        file.close()
    except OSError:  # what could not be flushed is not wanted any more
        return


def _no_room(error: OSError, where: str) -> InputError:
    return InputError(
        f"a sorted run cannot be written: {error.strerror or error}",
        where=where,
        fix="give a folder with more room (folder=), or more memory (memory=)",
    )


class Store:
    """A table in memory and its runs on disk: one sequence of records.

    Parameters
    ----------
    verify : bool
        Keep whole keys.
    memory : int, optional
        Bytes to hold at most; no bound where None.
    folder : path, optional
        Where runs go.
    """

    def __init__(self, *, verify: bool, memory: int | None, folder: str | Path | None) -> None:
        self.memory, self.folder = memory, folder
        self.table = ops.new(verify=verify)
        self.runs: list[Run] = []
        self._on_disk = 0  # the sum of all counts that stand in runs

    @property
    def total(self) -> int:
        """Sum of all counts."""
        return self._on_disk + int(self.table.total)

    @property
    def block(self) -> int:
        """Sequences or n-grams to count at once: 24 bytes of scratch each."""
        return _BLOCK if self.memory is None else max(1024, min(_BLOCK, self.memory // 512))

    @property
    def full(self) -> bool:
        """Whether what is in memory has to go to disk."""
        if self.memory is None:
            return False
        # Room for the scratch of a block and for what one block may add.
        return int(self.table.nbytes) > max(self.memory - 160 * self.block, self.memory // 4)

    def records(self, ranks: ops.Ranks, *, ranked: bool) -> Iterator[bytes]:
        """Yield all records in canonical order; cells are their ranks where `ranked`, else their numbers."""
        if not self.runs:
            return ops.records_of(self.table, ranks, ranked=ranked)
        runs: list[Any] = [run.pieces() for run in self.runs]
        return ops.merged([*runs, ops.records_of(self.table, ranks, ranked=False)], ranks, ranked=ranked)

    def spill(self, ranks: ops.Ranks) -> None:
        """Move what is in memory to disk. The order of two cells must never change.

        Raises
        ------
        InputError
            If there is no room; nothing is lost then.
        """
        run = Run(ops.records_of(self.table, ranks, ranked=False), self.folder)
        self._on_disk += int(self.table.total)
        self.table.clear()
        self.runs.append(run)
        if len(self.runs) >= MOST_RUNS:
            whole = Run(ops.merged([run.pieces() for run in self.runs], ranks, ranked=False), self.folder)
            for run in self.runs:
                run.close()
            self.runs = [whole]
