"""Parquet, Arrow IPC and Arrow objects: columns that are already there."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystal.errors import InputError
from crystal.readers import detect
from crystal.readers.compressed import ByteSource, SourceFile, compression
from crystal.readers.fields import FieldMap
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
    with contextlib.ExitStack() as stack:
        if compression(detect.raw_head(source.path)) is None:
            file: IO[bytes] = stack.enter_context(source.path.open("rb"))
            for _ in source.chunks():  # for the digest
                pass
        else:
            # Parquet is read from its end, so a compressed one is unpacked to disk, not to memory.
            file = stack.enter_context(tempfile.TemporaryFile())
            for chunk in source.chunks():
                file.write(chunk)
        if source.damage is not None:
            raise InputError(source.damage, where=str(source.path), fix="a Parquet file is needed whole")
        yield from _parquet(file, str(source.path), mapping, reject)


def _parquet(file: IO[bytes], name: str, mapping: FieldMap, reject: Reject) -> Iterator[tuple[Raw, Rows]]:
    try:
        log = pq.ParquetFile(file)
        wanted = mapping.wanted()
        columns = [column for column in log.schema_arrow.names if column in wanted]
        schema = log.schema_arrow
    except _ERRORS as error:
        raise InputError(f"not a Parquet file: {_brief(error)}", where=name) from error
    if not columns:
        raise _no_fields(name, schema.names)
    yield from _columns(log.iter_batches(_ROWS, columns=columns), mapping, reject)


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
