"""CSV and TSV with a header: every column is read as bytes, so that each value is judged on its own row."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from crystal.errors import InputError
from crystal.readers import detect
from crystal.readers.compressed import ByteSource, SourceFile
from crystal.readers.fields import FieldMap
from crystal.readers.normalise import Rows

_BLOCK = 1 << 23
_MARK = "\ufdd0\ufdef\ufdd0".encode()
"""Noncharacters, which no text that people exchange holds."""
Raw = dict[str, Any]


def read(
    source: ByteSource, mapping: FieldMap, reject: Callable[[int, str], None], delimiter: str = ","
) -> Iterator[tuple[Raw, Rows]]:
    """Yield ``(columns, row numbers)``; rows count from 1 after the header, blank lines do not count.

    An empty cell is null; an empty ``text`` is an empty reply where the row has no ``answer`` or ``tokens``.

    Raises
    ------
    InputError
        If the file has no header, or two columns that matter share a name.
    """
    names = _header(source, delimiter)
    places = mapping.resolve(names)
    for field, place in places.items():
        if names.count(place) > 1:
            raise InputError(f"two columns are named {place!r}", where=str(source.path), fix=f"map {field!r}")
    numbers = _Numbers()
    last: tuple[Raw, Rows] | None = None
    content = _Marked(source)
    wanted = set(places.values()) & set(names)
    # Names that two parsers of headers may read apart are left alone.
    final = [name for name in names[-1:] if names.count(name) == 1 and name.isascii() and name.isprintable()]
    end: Any = None
    for batch in _batches(content, delimiter, names, sorted(wanted), final, numbers, reject):
        if last is not None:
            yield last
        rows = numbers.take(batch.num_rows)
        for number, reason in numbers.refused_before(int(rows[-1]) if len(rows) else 0):
            reject(number, reason)
        last = (_columns(batch, places, content.marked), rows)
        end = batch.column(final[0])[-1].as_py() if final and batch.num_rows else None
    if last is not None:
        # A quote that nobody closes takes all rows behind it into the last cell of one record.
        unclosed = content.quotes % 2 == 1 and b"\n" in (end or b"")
        if unclosed and source.damage is None:
            reject(int(last[1][-1]), "a quote is opened and not closed: all behind it would be one cell")
        if source.damage is not None or unclosed:  # the last record is whatever was left of it
            last = ({field: column[:-1] for field, column in last[0].items()}, last[1][:-1])
        yield last
    for number, reason in numbers.refused_before(None):
        reject(number, reason)


def _header(source: ByteSource, delimiter: str) -> list[str]:
    start = detect.head(source.path).decode("utf-8-sig", "replace")
    try:
        header = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise InputError(f"the header cannot be read: {error}", where=str(source.path)) from error
    return header


def _batches(
    content: _Marked,
    delimiter: str,
    names: list[str],
    include: list[str],
    final: list[str],
    numbers: _Numbers,
    reject: Callable[[int, str], None],
) -> Iterator[Any]:
    if not include:
        raise InputError(
            "the header names no field of the sample table", where=str(content.source.path),
            expected="columns such as task, prompt, stage, step, text",
            got=", ".join(repr(name[:40]) for name in names[:8]),
            fix="map them: mapping={...} (--map)" if len(names) > 1
            else f"is it separated by {delimiter!r}? csv has commas, tsv tabs (--format)",
        )  # fmt: skip
    include = sorted({*include, *final})
    options = {
        "read_options": pcsv.ReadOptions(use_threads=False, block_size=_BLOCK),
        "parse_options": pcsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=numbers.invalid
        ),
        "convert_options": pcsv.ConvertOptions(
            check_utf8=False, include_columns=include, column_types={name: pa.binary() for name in include},
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
        ),
    }  # fmt: skip
    try:
        yield from pcsv.open_csv(pa.PythonFile(content, mode="r"), **options)
    except pa.ArrowInvalid as error:
        reason = str(error).split("\n", 1)[0]
        reject(numbers.next, f"not CSV from about this row on, and the rest was not read: {reason}")


def _columns(batch: Any, places: dict[str, str], marked: bool) -> Raw:
    present = set(batch.schema.names)
    raw = {field: batch.column(place) for field, place in places.items() if place in present}
    if marked:  # a marked cell becomes bytes that are no UTF-8 again, which its conversion then refuses
        raw = {field: pc.replace_substring(column, _MARK, b"\xff") for field, column in raw.items()}
    if "text" in raw and raw["text"].null_count:
        empty = raw["text"].is_null()
        for field in ("answer", "tokens", "probability", "option"):
            if field in raw:
                empty = pc.and_(empty, raw[field].is_null())
        raw["text"] = pc.if_else(empty, pa.scalar(b"", raw["text"].type), raw["text"])
    return raw


class _Marked(SourceFile):
    """Content with a mark in the place of bytes that are no UTF-8: the parser cannot name a row with them."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        self._decoder = codecs.getincrementaldecoder("utf-8")("crystal-mark")
        self._waiting = b""
        self.marked = False
        self.quotes = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""
        while not self._waiting:
            data = super().read(size)
            self.quotes += data.count(b'"')
            if data.isascii() and data and not self._decoder.getstate()[0]:
                return data
            self._waiting = self._decoder.decode(data, final=not data).encode()
            self.marked = self.marked or _MARK in self._waiting
            if not data:
                break
        size = len(self._waiting) if size < 0 else size
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data


def _mark(error: Any) -> tuple[str, int]:
    return _MARK.decode(), error.end


codecs.register_error("crystal-mark", _mark)


class _Numbers:
    """Row numbers of what the parser gives, which leaves out the rows it refuses."""

    def __init__(self) -> None:
        self.next = 1
        self._refused: dict[int, str] = {}

    def invalid(self, row: Any) -> str:
        # The parser counts the header as row 1.
        self._refused[row.number - 1] = f"expected {row.expected_columns} cells, got {row.actual_columns}"
        return "skip"

    def take(self, n: int) -> Rows:
        """Return the numbers of the next ``n`` rows that were not refused."""
        refused = np.fromiter(self._refused, np.int64)
        numbers = np.arange(self.next, self.next + n + len(refused))
        numbers = numbers[~np.isin(numbers, refused)][:n]
        if n:
            self.next = int(numbers[-1]) + 1
        return numbers

    def refused_before(self, row: int | None) -> list[tuple[int, str]]:
        """Return (and forget) the refused rows before a row, or all that are left."""
        numbers = sorted(number for number in self._refused if row is None or number < row)
        return [(number, self._refused.pop(number)) for number in numbers]
