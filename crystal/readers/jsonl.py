"""JSON Lines: one object a row.

A block of lines is decoded at once into typed records. Where that fails, the same block is decoded line by
line, so that one bad row is one rejection with its number, and never a lost block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from crystal.readers import fields, lines
from crystal.readers.columns import EXPECTED
from crystal.readers.compressed import ByteSource
from crystal.readers.fields import FieldMap
from crystal.readers.normalise import Rows
from crystal.readers.rejections import shown

Raw = dict[str, Any]
Reject = Callable[[int, str], None]
_SNIFFED = 256
_TYPES = {
    fields.TEXT: (str, pa.large_string()),
    fields.NAME: (str, pa.large_string()),
    fields.INTEGER: (int, pa.int64()),
    fields.NUMBER: (float, pa.float64()),
    fields.INTEGERS: (list[int], pa.large_list(pa.int64())),
    fields.NUMBERS: (list[float], pa.large_list(pa.float64())),
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

    def too_long(line: int) -> None:
        reject(line, f"the line is longer than {lines.LONGEST >> 20} MiB")

    decoder: BlockDecoder | None = None
    for block, line in lines.blocks(source.chunks(), lambda: source.damage is not None, too_long):
        if decoder is None:
            decoder = BlockDecoder(block, mapping)
        yield decoder.decode(block, line, reject)


class BlockDecoder:
    """Decodes blocks of one file; what the first lines look like decides how."""

    def __init__(self, sample: bytes, mapping: FieldMap) -> None:
        present: dict[str, None] = {}
        numbered: dict[str, set[type]] = {}
        for line in sample.split(b"\n", _SNIFFED)[:_SNIFFED]:
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                continue
            if isinstance(row, dict):
                present.update(dict.fromkeys(row))
                for key, value in row.items():
                    numbered.setdefault(key, set()).add(type(value))
        self.places = mapping.resolve(present)
        self._nested = any(place not in present and "." in place for place in self.places.values())
        # Names that a log writes as numbers (prompt 3, answer 7) are read as such, or every block would fail.
        self._kinds = {
            field: fields.INTEGER
            if kind == fields.NAME and numbered.get(self.places[field], set()) - {type(None)} == {int}
            else kind
            for field, kind in fields.FIELDS.items()
        }
        self._decoder, self._values = self._typed()

    def _typed(self) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        kinds: dict[str, str] = {}
        for field, kind in self._kinds.items():
            place = self.places[field]
            # One name may serve two fields (a prompt that is the text); of two kinds only line by line.
            self._nested |= _TYPES[kinds.setdefault(place, kind)][0] is not _TYPES[kind][0]
        members = [
            (f"f{index}", _TYPES[kind][0] | None, msgspec.field(default=None, name=place))
            for index, (place, kind) in enumerate(kinds.items())
        ]
        record = msgspec.defstruct("Record", members, gc=False)
        index = {place: f"f{index}" for index, place in enumerate(kinds)}
        return msgspec.json.Decoder(record), attrgetter(*(index[self.places[field]] for field in self._kinds))

    def decode(self, block: bytes, line: int, reject: Reject) -> tuple[Raw, Rows]:
        """Return the columns of a block, and the line number of each row."""
        count = block.count(b"\n") + (not block.endswith(b"\n"))
        if not self._nested:
            try:
                records = self._decoder.decode_lines(block)
                if len(records) == count:  # no blank lines: row i is line i
                    values = zip(*map(self._values, records), strict=True)
                    return self._columns(values), np.arange(line, line + count)
            except (
                msgspec.MsgspecError,
                UnicodeDecodeError,
                pa.ArrowException,
                OverflowError,
                RecursionError,
            ):
                pass
        return self._by_line(block, line, reject)

    def _columns(self, values: Any) -> Raw:
        raw = {}
        for (field, kind), column in zip(self._kinds.items(), values, strict=True):
            raw[field] = pa.array(column, _TYPES[kind][1])
        return raw

    def _by_line(self, block: bytes, line: int, reject: Reject) -> tuple[Raw, Rows]:
        rows: list[int] = []
        table: dict[str, list[Any]] = {field: [] for field in fields.FIELDS}
        for number, text in enumerate(block.split(b"\n"), start=line):
            if not text.strip():
                continue
            try:
                row = self._row(text)
            except ValueError as error:
                reject(number, str(error))
                continue
            rows.append(number)
            for field, cell in row.items():
                table[field].append(cell)
        raw = {
            field: pa.array(table[field], _TYPES[kind][1])
            for field, kind in fields.FIELDS.items()
            if table[field]
        }
        return raw, np.array(rows, np.int64)

    def _row(self, line: bytes) -> dict[str, Any]:
        row = object_of(line)
        cells = {}
        for field, kind in fields.FIELDS.items():
            value = _at(row, self.places[field])
            try:
                cells[field] = None if value is None else _CELLS[kind](value)
            except (TypeError, ValueError, OverflowError) as error:
                text = f"field {field!r}: expected {EXPECTED[kind]}, got {shown(value)}"
                raise ValueError(text) from error
        return cells


def object_of(line: bytes) -> dict[str, Any]:
    """Return the object of a line; ValueError says what it is instead."""
    try:
        row = msgspec.json.decode(line)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        row = _lenient(line, error)
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {shown(row)}")  # one signal for all
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
    return str(_integer(value)) if isinstance(value, int) else _text(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    whole = int(value) if isinstance(value, (int, str)) or value.is_integer() else None
    if whole is None or not -(2**63) <= whole < 2**63:
        raise ValueError
    return whole


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
