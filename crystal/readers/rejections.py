"""What was refused: counted, and kept on disk once it is much, so that a bad log cannot fill the memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crystal.errors import InputError

_IN_MEMORY = 1 << 20
_SHOWN = 5


class Rejection(NamedTuple):
    """One refused record: its file, its row (from 1; None for a whole file) and why."""

    file: str
    row: int | None
    reason: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.reason}"


class Rejections:
    """A list-like record of refusals: ``len``, iteration in order, :meth:`write_jsonl`.

    The first megabyte is in memory, the rest in an unnamed temporary file.
    """

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # lives as long as self
        weakref.finalize(self, self._spool.close)
        self._count = 0
        self._first: list[Rejection] = []
        self._encoder = msgspec.json.Encoder()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Rejection]:
        decoder = msgspec.json.Decoder(Rejection)
        position = 0
        while position < self._end():
            self._spool.seek(position)
            line = self._spool.readline()
            position = self._spool.tell()  # others may append while a caller iterates
            yield decoder.decode(line)

    @property
    def first(self) -> list[Rejection]:
        """The first with each reason, of a few reasons, for messages."""
        return list(self._first)

    def append(self, rejection: Rejection) -> None:
        """Keep one more."""
        self._spool.seek(0, os.SEEK_END)
        self._spool.write(self._encoder.encode(rejection) + b"\n")
        self._count += 1
        if len(self._first) < _SHOWN and all(one.reason != rejection.reason for one in self._first):
            self._first.append(rejection)

    def write_jsonl(self, path: str | Path) -> None:
        """Write one object ``{"file", "row", "reason"}`` a line (no line if nothing was refused)."""
        with Path(path).open("wb") as file:
            for rejection in self:
                file.write(self._encoder.encode(rejection._asdict()) + b"\n")

    def _end(self) -> int:
        return self._spool.seek(0, os.SEEK_END)


class Judge:
    """What happens to a bad record: ``raise`` stops at it, ``collect`` keeps its place and goes on."""

    def __init__(self, on_error: str) -> None:
        self.collecting = on_error == "collect"
        self.rejections = Rejections()

    def reject(self, file: str, row: int | None, reason: str, fix: str | None = None) -> None:
        """Refuse a record.

        Raises
        ------
        InputError
            Unless records are collected.
        """
        rejection = Rejection(file, row, reason)
        if not self.collecting:
            place = file if row is None else f"{file}, row {row}"
            advice = "mend it, or skip bad records with on_error='collect' (--on-error collect)"
            raise InputError(reason, where=place, fix=fix or advice)
        self.rejections.append(rejection)


def shown(value: Any, limit: int = 60) -> str:
    """Return a value as a short, printable piece of a message.

    Examples
    --------
    >>> shown("a" * 100, limit=5)
    "'aaaaa...'"
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = value if isinstance(value, str) else repr(value)
    clipped = text if len(text) <= limit else text[:limit] + "..."
    return ascii(clipped) if isinstance(value, str) else clipped.encode("ascii", "backslashreplace").decode()
