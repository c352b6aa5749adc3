"""Parquet, Arrow IPC and Arrow objects: columns that are already there."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystal.errors import InputError
from crystal.readers import detect, parquet_layout
from crystal.readers.ahead import Beside, ahead, alone
from crystal.readers.compressed import ByteSource, SourceFile, compression
from crystal.readers.fields import REMARKS, FieldMap
from crystal.readers.normalise import Rows

Raw = dict[str, Any]
Reject = Callable[[int, str], None]
_ROWS = 1 << 16
_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What damaged files raise; a UnicodeDecodeError comes from names of columns and from messages."""
_FILE_MAGIC = 8
_DAMAGED = "the data are damaged from about this row on, and the rest was not read"


def parquet(source: ByteSource, mapping: FieldMap, reject: Reject) -> Iterator[tuple[Raw, Rows]]:
    """Yield ``(columns, row numbers)`` of a Parquet file, reading only the columns that matter.

    Raises
    ------
    InputError
        If the file is no Parquet (a truncated one has no footer, and nothing of it can be read).
    """
    if compression(detect.raw_head(source.path)) is None:
        with Beside(source.chunks()) as hashing, pa.OSFile(str(source.path)) as file:
            yield from _parquet(file, source, mapping, reject)
            hashing.finish()
        return
    # Parquet is read from its end, so a compressed one is unpacked to disk, not to memory.
    with tempfile.TemporaryFile() as unpacked:
        for chunk in source.chunks():
            unpacked.write(chunk)
        if source.damage is not None:
            raise InputError(source.damage, where=str(source.path), fix="a Parquet file is needed whole")
        yield from _parquet(unpacked, source, mapping, reject)


def _parquet(file: Any, source: ByteSource, mapping: FieldMap, reject: Reject) -> Iterator[tuple[Raw, Rows]]:
    name = str(source.path)
    try:
        log = pq.ParquetFile(file)
        columns = _chosen(log, mapping)
        schema = log.schema_arrow
        rows = _ROWS
        with contextlib.suppress(*_ERRORS, StopIteration):  # what is wrong with the first rows is said below
            layout = parquet_layout.layout(next(log.iter_batches(_ROWS, columns=columns, use_threads=False)))
            log = pq.ParquetFile(file, metadata=log.metadata, read_dictionary=layout.dictionaries)
            rows = layout.rows if mapping.counting else _ROWS
    except _ERRORS as error:
        raise InputError(f"not a Parquet file: {_brief(error)}", where=name) from error
    if not columns:
        raise _no_fields(name, schema.names)
    batches = log.iter_batches(rows, columns=columns, use_threads=not alone())
    done, total = 0, max(1, log.metadata.num_rows)
    for raw, numbers in _columns(ahead(batches, 1), mapping, reject):
        done += len(numbers)
        source.measure(min(1.0, done / total))
        yield raw, numbers


def _chosen(log: Any, mapping: FieldMap) -> list[str]:
    """Return the columns that matter: of remarks only those that could be a reason to refuse a row."""
    wanted = mapping.wanted()
    columns = [column for column in log.schema_arrow.names if column in wanted]
    if not mapping.counting:
        return columns
    places = mapping.resolve(columns)
    used = {place for field, place in places.items() if field not in REMARKS}
    used |= {place.split(".")[0] for place in used}
    remarks = {places[field] for field in REMARKS} - used
    # Any number fits a sample's; a text or a float might not.
    plain = {name for name in remarks if _is_number(log.schema_arrow, name)}
    return [name for name in columns if name in (used | remarks) - plain]


def _is_number(schema: Any, name: str) -> bool:
    return name in schema.names and bool(pa.types.is_signed_integer(schema.field(name).type))


def ipc(source: ByteSource, mapping: FieldMap, reject: Reject) -> Iterator[tuple[Raw, Rows]]:
    """Yield ``(columns, row numbers)`` of an Arrow IPC file or stream.

    An IPC file is a stream between two marks, and is read as one: so a compressed or a truncated one gives
    every batch that is whole.

    Raises
    ------
    InputError
        If it has no schema.
    """
    file = SourceFile(source)
    start = file.read(_FILE_MAGIC)
    if not start.startswith(b"ARROW1"):
        file.unread(start)
    try:
        reader = pa.ipc.open_stream(pa.PythonFile(file, mode="r"))
    except _ERRORS as error:
        raise InputError(f"not Arrow IPC: {_brief(error)}", where=str(source.path)) from error
    yield from _columns(reader, mapping, reject)
    if source.damage is None:
        file.read()  # the footer, for the digest


def stream(source: Any, name: str) -> Any:
    """Return a RecordBatchReader over any object with ``__arrow_c_stream__``.

    Raises
    ------
    InputError
        If it gives no table.
    """
    try:
        return pa.RecordBatchReader.from_stream(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"not a table: {_brief(error)}", where=name) from error


def objects(reader: Any, mapping: FieldMap, reject: Reject, digest: Any) -> Iterator[tuple[Raw, Rows]]:
    """Yield ``(columns, row numbers)`` of a RecordBatchReader, and hash what it holds into ``digest``."""
    yield from _columns(_hashed(reader, digest), mapping, reject)


def _hashed(reader: Any, digest: Any) -> Iterator[Any]:
    digest.update(reader.schema.serialize())
    for batch in reader:
        digest.update(batch.serialize())
        yield batch


def new_digest() -> Any:
    """Return an empty content digest."""
    return hashlib.sha256()


def _columns(batches: Iterable[Any], mapping: FieldMap, reject: Reject) -> Iterator[tuple[Raw, Rows]]:
    row = 1
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except _ERRORS as error:
            reject(row, f"{_DAMAGED}: {_brief(error)}")
            return
        rows = np.arange(row, row + batch.num_rows)
        row += batch.num_rows
        raw: Raw = {}
        try:
            for field, place in mapping.resolve(batch.schema.names).items():
                column = _at(batch, place)
                if column is not None:
                    raw[field] = _sound(column, batch.num_rows)
        except _ERRORS as error:
            reject(row - batch.num_rows, f"{_DAMAGED}: {_brief(error)}")
            return
        yield raw, rows


def _at(batch: Any, place: str) -> Any:
    """Return the column of a name, or else along a dotted path through structs."""
    names = batch.schema.names
    if place in names:
        return batch.column(names.index(place))
    head, *path = place.split(".")
    if head not in names or not path:
        return None
    column = batch.column(names.index(head))
    column.validate()  # lengths of children, before one is taken out
    for key in path:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(key) < 0:
            return None
        column = pc.struct_field(column, key)
    return column


def _sound(column: Any, rows: int) -> Any:
    """Check offsets and indices before anything is computed from them: bytes of a log are hostile."""
    if len(column) != rows:
        raise pa.ArrowInvalid("columns differ in length")
    try:
        column.validate(full=True)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        view = _as_bytes(column)
        view.validate(full=True)
        return view
    return column


def _as_bytes(column: Any) -> Any:
    """Return a text column as binary, so that only its offsets are judged, not its UTF-8."""
    kind = column.type
    if pa.types.is_string(kind):
        return column.view(pa.binary())
    if pa.types.is_large_string(kind):
        return column.view(pa.large_binary())
    if pa.types.is_dictionary(kind):
        values = _as_bytes(column.dictionary)
        values.validate(full=True)
        return pc.take(values, column.indices)
    return column


def _no_fields(name: str, present: list[str]) -> InputError:
    return InputError(
        "no column is a field of the sample table", where=name, got=", ".join(map(repr, present[:20])),
        expected="columns such as task, prompt, stage, step, text", fix="map them: mapping={...} (--map)",
    )  # fmt: skip


def _brief(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
