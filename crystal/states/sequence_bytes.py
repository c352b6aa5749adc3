"""The bytes of a sequence table: a header, the records in canonical order, what they add up to, a digest."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import msgspec

from crystal.errors import StateError
from crystal.ops.sequence_tables import PIECE

MAGIC = b"CRYSSEQ\x01"
_LENGTH = struct.Struct("<Q")
_TRAILER = struct.Struct("<Q16s")  # bytes of records, digest of all before it


class Header(msgspec.Struct, frozen=True):
    """What is counted: the configuration, which must agree on merge, and the cells in canonical order."""

    columns: tuple[str, ...]
    elements: str
    verify: bool
    n: int
    cells: tuple[tuple[str, ...], ...] = ()

    def configuration(self) -> str:
        """Return what has to agree, for people."""
        kind = f"{self.n}-grams" if self.n else "sequences"
        key = "full keys" if self.verify else "128-bit hashes"
        return f"{kind} of {self.elements} by ({', '.join(self.columns)}), {key}"


def pack(header: Header, cells: Sequence[tuple[str, ...]], records: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a table; records have the ranks of the sorted cells."""
    state = hashlib.blake2b(digest_size=16)
    text = _header(msgspec.structs.replace(header, cells=tuple(sorted(cells))))
    size = 0
    for piece in (MAGIC, _LENGTH.pack(len(text)), text):
        state.update(piece)
        yield piece
    for piece in records:
        state.update(piece)
        size += len(piece)
        yield piece
    length = _LENGTH.pack(size)
    state.update(length)
    yield length + state.digest()


def unpack(file: IO[bytes], size: int, where: str) -> tuple[Header, list[tuple[str, ...]], Iterator[bytes]]:
    """Return header, cells and the pieces of the records; the digest is checked after the last piece.

    Raises
    ------
    StateError
        If the bytes are no table, of another version, truncated or damaged.
    """

    def refuse(message: str) -> StateError:
        return StateError(message, where=where)

    start = file.read(len(MAGIC) + _LENGTH.size)
    if len(start) < len(MAGIC) + _LENGTH.size or start[:7] != MAGIC[:7]:
        raise refuse("this is no sequence table")
    if start[:8] != MAGIC:
        raise StateError(
            "the table has another format version", where=where, expected=str(MAGIC[7]), got=str(start[7])
        )
    (length,) = _LENGTH.unpack(start[8:])
    left = size - len(start) - _TRAILER.size
    if length > left:
        raise refuse("the table ends too early")
    text = file.read(length)
    try:
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise refuse(f"the header cannot be read: {error}") from error
    cells = list(header.cells)
    fits = all(len(cell) == len(header.columns) for cell in cells)
    if _header(header) != text or cells != sorted(set(cells)) or not fits or not 0 <= header.n <= 4:
        raise refuse("the header is not in canonical form")
    if header.elements not in ("text", "tokens") or len(set(header.columns)) < len(header.columns):
        raise refuse("the header has an unknown configuration")
    state = hashlib.blake2b(start + text, digest_size=16)
    return msgspec.structs.replace(header, cells=()), cells, _pieces(file, left - length, state, where)


def _pieces(file: IO[bytes], size: int, state: hashlib.blake2b, where: str) -> Iterator[bytes]:
    left = size
    while left:
        piece = file.read(min(PIECE, left))
        if not piece:
            raise StateError("the table ends too early", where=where)
        state.update(piece)
        left -= len(piece)
        yield piece
    end = file.read(_TRAILER.size)
    state.update(end[: _LENGTH.size])
    if end != _LENGTH.pack(size) + state.digest() or file.read(1):
        raise StateError("the digest does not match: the table is damaged", where=where)


def _header(header: Header) -> bytes:
    return msgspec.json.encode(header)
