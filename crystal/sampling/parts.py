"""Results of a long run, part by part beside the file they become: a run that was cut off goes on from there.

A part is an Arrow IPC file of one batch. Its metadata says under which settings and from which samples it was
made, and which of them were refused; so it is used again only where all of that is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from crystal.atomic_write import atomic_path
from crystal.errors import InputError, SettingsError

_KEY = b"crystal.part"
Settings = Mapping[str, str]


class Stamp(msgspec.Struct, frozen=True):
    """What a part says of itself."""

    settings: dict[str, str]
    samples: str
    """Digest of the samples that it was made from."""
    rows: int
    tokens: int
    refused: list[tuple[str, str]] = []
    """File and reason."""


class Note(msgspec.Struct):
    """What the file that the parts become says of itself: the sum of their stamps."""

    settings: dict[str, str]
    samples: list[str] = []
    rows: int = 0
    tokens: int = 0
    refused: list[tuple[str, str]] = []

    def add(self, stamp: Stamp) -> None:
        """Count one part."""
        self.rows += stamp.rows
        self.tokens += stamp.tokens
        self.refused += stamp.refused


class Parts:
    """The parts of one file.

    Parameters
    ----------
    out : Path
        The file that they become; they lie in ``OUT.parts``.
    settings : mapping of str to str
        What else than the samples decides the results.
    restart : bool
        Throw away what is there.
    note : str
        Under which key the finished file says in its metadata how it was made.
    """

    def __init__(self, out: Path, settings: Settings, *, restart: bool, note: str = "crystal.score") -> None:
        self._note = note.encode()
        self.folder = out.with_name(out.name + ".parts")
        self.settings = dict(settings)
        if restart:
            self.remove()
        if not out.parent.is_dir():
            raise InputError(
                "there is no such folder", where=str(out.parent), fix="make it, or choose another"
            )

    def find(self, number: int, samples: str) -> Stamp | None:
        """Return the stamp of a part that is done; None where it is missing or damaged.

        Raises
        ------
        SettingsError
            If it was made with other settings or from other samples.
        """
        try:
            with pa.OSFile(str(self._path(number))) as file:
                metadata = pa.ipc.open_file(file).schema.metadata or {}
            stamp = msgspec.json.decode(metadata.get(_KEY, b""), type=Stamp)
        except (OSError, pa.ArrowException, msgspec.MsgspecError):
            return None
        for name in sorted({*self.settings, *stamp.settings}):
            self._agree(name, stamp.settings.get(name), self.settings.get(name))
        self._agree("samples", stamp.samples, samples)
        return stamp

    def write(self, number: int, batch: Any, stamp: Stamp) -> None:
        """Write one part, whole or not at all."""
        with contextlib.suppress(OSError):  # what is wrong is said where the file is made
            self.folder.mkdir(exist_ok=True)
        schema = batch.schema.with_metadata({**batch.schema.metadata, _KEY: msgspec.json.encode(stamp)})
        with (
            atomic_path(self._path(number)) as scratch,
            pa.OSFile(str(scratch), "wb") as file,
            pa.ipc.new_file(file, schema) as writer,
        ):
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))

    def batches(self, numbers: Iterable[int], note: Note) -> Iterator[Any]:
        """Yield the rows of parts in order, with the note in their metadata."""
        metadata = {self._note: msgspec.json.encode(note)}
        for number in numbers:
            with pa.memory_map(str(self._path(number))) as file:
                reader = pa.ipc.open_file(file)
                for i in range(reader.num_record_batches):
                    batch = reader.get_batch(i)
                    kept = {k: v for k, v in (batch.schema.metadata or {}).items() if k != _KEY}
                    yield batch.replace_schema_metadata({**kept, **metadata})

    def remove(self) -> None:
        """Throw the parts away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.arrow"

    def _agree(self, name: str, theirs: str | None, ours: str | None) -> None:
        if theirs != ours:
            raise SettingsError(
                f"the parts of an earlier run were made with another {name}",
                where=str(self.folder),
                expected=repr(theirs),
                got=repr(ours),
                fix="run it as before to go on, or throw the parts away with restart=True (--restart)",
            )


def finished(
    target: Path, settings: Settings, samples: Iterable[str], key: str = "crystal.score"
) -> Note | None:
    """Return the note of a file that was written with these settings from samples of these digests."""
    try:
        if target.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            metadata = pq.read_schema(target).metadata or {}
        else:
            with pa.OSFile(str(target)) as file:
                metadata = pa.ipc.open_file(file).schema.metadata or {}
        note = msgspec.json.decode(metadata.get(key.encode(), b""), type=Note)
    except (OSError, pa.ArrowException, msgspec.MsgspecError):
        return None
    same = note.settings == dict(settings) and note.samples == list(samples)
    return note if same else None


def digest(batch: Any) -> str:
    """Return a digest of the values of a batch, whatever its dictionaries and slices."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in batch.schema
    ]
    plain = batch.cast(pa.schema(fields)).take(pa.array(range(batch.num_rows), pa.int64()))
    return hashlib.sha256(plain.serialize()).hexdigest()[:32]
