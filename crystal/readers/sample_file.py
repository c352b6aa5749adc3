"""The sample table as one file: what any log becomes when it is converted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystal.atomic_write import atomic_path
from crystal.errors import InputError, SettingsError
from crystal.readers.paths import discover

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".arrow", ".jsonl")


def check_target(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a sample file's name.

    Raises
    ------
    SettingsError
        If no format goes by it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingsError(
            "the name does not say which format",
            where=str(path),
            expected=f"a name that ends in {' '.join(SUFFIXES)}",
        )
    return suffix


def check_apart(path: str | os.PathLike[str], sources: Any) -> None:
    """Refuse to write to a file that is one of the logs to be read: the log would be lost.

    Parameters
    ----------
    path : path
        What is to be written.
    sources : path, sequence of paths, or object with ``__arrow_c_stream__``
        What is to be read, as :func:`crystal.read` takes it.

    Raises
    ------
    SettingsError
        If the file is one of them.
    InputError
        If one of them cannot be found.
    """
    if not Path(path).is_file() or hasattr(sources, "__arrow_c_stream__"):
        return
    logs, _ = discover([sources] if isinstance(sources, str | os.PathLike) else list(sources))
    if any(log.path.samefile(path) for log in logs):
        raise SettingsError(
            "the file to write is one of the logs to read, which would be lost",
            where=str(path),
            fix="write to another file",
        )


def write_samples(batches: Iterable[pa.RecordBatch], path: str | os.PathLike[str]) -> int:
    """Write batches of the sample table to one file, whole or not at all.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Of one schema, such as ``crystal.read`` gives.
    path : path
        ``.parquet``, ``.arrow`` (IPC file) or ``.jsonl`` (without the fields that are null).

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InputError
        If samples and exact distributions are mixed, or the file cannot be written.
    SettingsError
        If no format goes by the name.
    """
    suffix = check_target(path)
    rows = 0
    with atomic_path(path) as scratch:
        batches = iter(batches)
        first = next(batches, None)
        if first is None:
            raise InputError("there are no rows to write", where=str(path))
        with scratch.open("wb") as file, _writer(suffix, file, first.schema) as write:
            for batch in _one_kind(first, batches):
                write(batch)
                rows += batch.num_rows
    return rows


def _one_kind(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    for batch in rest:
        if batch.schema != first.schema:
            raise InputError(
                "samples and exact distributions are mixed",
                where="convert",
                fix="convert them into a file each",
            )
        yield batch


@contextlib.contextmanager
def _writer(suffix: str, file: Any, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], object]]:
    import pyarrow as pa

    if suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(file, schema, compression="zstd") as parquet:
            yield parquet.write_batch
    elif suffix == ".arrow":
        # Each batch may bring its own dictionary, and a file allows only ones that grow: so plain strings.
        plain = pa.schema([_plain(field) for field in schema], schema.metadata)
        with pa.ipc.new_file(file, plain) as ipc:
            yield lambda batch: ipc.write_batch(batch.cast(plain))
    else:
        import msgspec

        encode = msgspec.json.Encoder().encode

        def write(batch: pa.RecordBatch) -> None:
            for row in batch.to_pylist():
                file.write(encode({name: value for name, value in row.items() if value is not None}) + b"\n")

        yield write


def _plain(field: pa.Field) -> pa.Field:
    import pyarrow as pa

    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
