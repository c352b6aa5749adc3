"""JSON Lines: one object a row.

A compiled scanner reads the plain rows of a block at once. The lines that it does not take for plain are
decoded one by one, so that a bad row is one rejection with its number and a clear reason, and an odd one
(step as 3e2, a key twice) is a row.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from crystal.ops import json_lines
from crystal.readers import fields, lines
from crystal.readers.ahead import ahead
from crystal.readers.columns import EXPECTED
from crystal.readers.compressed import ByteSource
from crystal.readers.fields import FieldMap
from crystal.readers.normalise import Rows
from crystal.readers.rejections import shown

Raw = dict[str, Any]
Reject = Callable[[int, str], None]
_SNIFFED = 256
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}(?:\.0*)?\s*")
_TYPES = {
    fields.TEXT: pa.large_string(),
    fields.NAME: pa.large_string(),
    fields.INTEGER: pa.int64(),
    fields.NUMBER: pa.float64(),
    fields.INTEGERS: pa.large_list(pa.int64()),
    fields.NUMBERS: pa.large_list(pa.float64()),
}
_SCANNED = {
    fields.TEXT: json_lines.TEXT,
    fields.NAME: json_lines.NAME,
    fields.INTEGER: json_lines.INTEGER,
    fields.NUMBER: json_lines.RAW,
    fields.INTEGERS: json_lines.RAW,
    fields.NUMBERS: json_lines.RAW,
}


def read(source: ByteSource, mapping: FieldMap, reject: Reject) -> Iterator[tuple[Raw, Rows]]:
    """Yield ``(columns, row numbers)`` for each block of a file.

    Parameters
    ----------
    source : ByteSource
    mapping : FieldMap
    reject : callable
        Told the number of a line that is no row, and why.
    """
    # One thread reads and hashes, another scans, and the caller works on the block before.
    for block in ahead(_blocks(source, mapping), 1):
        for line in block.too_long:
            reject(line, f"the line is longer than {lines.LONGEST >> 20} MiB")
        if block.decoder is not None:
            yield from block.decoder.decode(block.text, block.line, block.scanned, reject)


class _Block(NamedTuple):
    """Lines that are scanned, and what is to be said before they come."""

    decoder: BlockDecoder | None
    text: bytes
    line: int
    scanned: json_lines.Scanned | None
    too_long: list[int]


def _blocks(source: ByteSource, mapping: FieldMap) -> Iterator[_Block]:
    decoder: BlockDecoder | None = None
    long: list[int] = []
    chunks = ahead(source.chunks(), 4)
    for block, line in lines.blocks(chunks, lambda: source.damage is not None, long.append):
        if decoder is None:
            decoder = BlockDecoder(block, mapping)
        said, long[:] = long[:], []
        yield _Block(decoder, block, line, decoder.scan(block), said)
    yield _Block(None, b"", 0, None, long)


class BlockDecoder:
    """Decodes blocks of one file; the names in its first lines decide where the fields stand."""

    def __init__(self, sample: bytes, mapping: FieldMap) -> None:
        present: dict[str, None] = {}
        for line in sample.split(b"\n", _SNIFFED)[:_SNIFFED]:
            with contextlib.suppress(ValueError):
                present.update(dict.fromkeys(object_of(line)))
        self.places = mapping.resolve(present)
        self._paths: dict[str, tuple[str, ...]] = {}
        kinds: dict[tuple[str, ...], str] = {}
        for field, place in self.places.items():
            path = (place,) if place in present else tuple(place.split("."))
            self._paths[field] = path
            kind = _SCANNED[fields.FIELDS[field]]
            known = kinds.setdefault(path, kind)
            if known != kind:  # a prompt that is the text: the narrower kind, and the rest line by line
                kinds[path] = json_lines.TEXT if {known, kind} <= {json_lines.TEXT, json_lines.NAME} else ""
        self._wanted = list(kinds.items())
        self._plain = all(kinds.values()) and not _nested(list(kinds))

    def scan(self, block: bytes) -> json_lines.Scanned | None:
        """Return the plain rows of a block; None where the fields are such that all lines go one by one."""
        return json_lines.scan(block, self._wanted) if self._plain else None

    def decode(
        self, block: bytes, line: int, scanned: json_lines.Scanned | None, reject: Reject
    ) -> Iterator[tuple[Raw, Rows]]:
        """Yield the columns of a block with the line number of each row: the plain rows, then all others."""
        if scanned is None:
            numbered = enumerate(block.split(b"\n"), start=line)
            yield self._by_line(((number, text) for number, text in numbered if text.strip()), reject)
            return
        columns = dict(zip((path for path, _ in self._wanted), scanned.columns, strict=True))
        if len(scanned.lines):
            raw = {field: columns[path] for field, path in self._paths.items()}
            yield {field: column for field, column in raw.items() if _any(column)}, scanned.lines + line
        if len(scanned.refused):
            bounds = scanned.refused.tolist()
            yield self._by_line(
                ((line + number, block[start:stop]) for number, start, stop in bounds), reject
            )

    def _by_line(self, numbered: Iterable[tuple[int, bytes]], reject: Reject) -> tuple[Raw, Rows]:
        rows: list[int] = []
        table: dict[str, list[Any]] = {field: [] for field in (*fields.FIELDS, fields.REFUSED)}
        for number, text in numbered:
            try:
                row = self._row(text)
            except ValueError as error:
                reject(number, str(error))
                continue
            rows.append(number)
            for field, cell in row.items():
                table[field].append(cell)
        raw = {
            field: pa.array(table[field], _TYPES[kind])
            for field, kind in fields.FIELDS.items()
            if table[field]
        }
        if any(reason is not None for reason in table[fields.REFUSED]):
            raw[fields.REFUSED] = pa.array(table[fields.REFUSED], pa.large_string())
        return raw, np.array(rows, np.int64)

    def _row(self, line: bytes) -> dict[str, Any]:
        row = object_of(line)
        cells: dict[str, Any] = {fields.REFUSED: None}
        for field, kind in fields.FIELDS.items():
            value = _at(row, self.places[field])
            try:
                cells[field] = None if value is None else _CELLS[kind](value)
            except (TypeError, ValueError, OverflowError) as error:
                text = f"field {field!r}: expected {EXPECTED[kind]}, got {shown(value)}"
                if field not in ("option", "probability"):
                    raise ValueError(text) from error
                cells |= {field: None, fields.REFUSED: cells[fields.REFUSED] or text}
        return cells


def _nested(paths: list[tuple[str, ...]]) -> bool:
    """Tell whether one field would lie within another (``meta`` and ``meta.topic``)."""
    known = set(paths)
    return any(path[:depth] in known for path in paths for depth in range(1, len(path)))


def _any(column: Any) -> bool:
    return bool(column.null_count < len(column))


def object_of(line: bytes) -> dict[str, Any]:
    """Return the object of a line; ValueError says what it is instead."""
    try:
        row = msgspec.json.decode(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        row = _lenient(line, error)
    if not isinstance(row, dict):
        hint = "; one object a line is read, not an array of them" if isinstance(row, list) else ""
        raise ValueError(f"expected a JSON object, got {shown(row)}{hint}")  # one signal for all
    return row


def _lenient(line: bytes, error: Exception) -> Any:
    """Decode what Python writes and JSON has not (NaN, Infinity), for the sake of a clear reason."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"not JSON: {shown(str(error), 120)[1:-1]}") from None


def _at(row: Any, place: str) -> Any:
    """Return the value at a name, or else along a dotted path."""
    if place in row or "." not in place:
        return row.get(place)
    for key in place.split("."):
        if not isinstance(row, dict):
            return None
        row = row.get(key)
    return row


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate is no text
    return value


def _name(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _integer(value: Any) -> int:
    if isinstance(value, str):
        return int(value.split(".")[0]) if _WHOLE.fullmatch(value) else _refuse()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    whole = int(value) if isinstance(value, int) or value.is_integer() else _refuse()
    return whole if -(2**63) <= whole < 2**63 else _refuse()


def _refuse() -> int:
    raise ValueError


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    return float(value)


def _integers(value: Any) -> list[int]:
    whole = [_integer(item) for item in value if isinstance(value, list)]
    if not isinstance(value, list) or not all(-(2**31) <= item < 2**31 for item in whole):
        raise TypeError
    return whole


def _numbers(value: Any) -> list[float]:
    if not isinstance(value, list):
        raise TypeError
    return [_number(item) for item in value]


_CELLS: dict[str, Callable[[Any], Any]] = {
    fields.TEXT: _text,
    fields.NAME: _name,
    fields.INTEGER: _integer,
    fields.NUMBER: _number,
    fields.INTEGERS: _integers,
    fields.NUMBERS: _numbers,
}
