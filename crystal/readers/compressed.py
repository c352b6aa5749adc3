"""Bytes of a log in order, decompressed as they come, with the place where a broken file ends."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_RAW = 1 << 20
_ZSTD_INPUT = 1 << 12
_MOST = 1 << 22


def compression(head: bytes) -> str | None:
    """Return ``"gz"``, ``"zst"`` or None by the first bytes of a file."""
    if head.startswith(_GZIP):
        return "gz"
    return "zst" if head.startswith(_ZSTD) else None


class ByteSource:
    """One pass over a file's content.

    Attributes
    ----------
    damage : str or None
        Why the content ended early, once it did: a truncated or damaged compressed file. Everything before
        the damage has been given out.
    digest : str
        Content digest (SHA-256 of the file as it lies on disk, 128 bits), complete after the last chunk.
    position : int
        Bytes of the file read so far.
    shown : int or None
        Bytes of the file that are done, for a format that is not read from its start to its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        self.position = 0
        self.shown: int | None = None
        self._size: int | None = None
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Hash of the bytes read so far."""
        return self._hash.hexdigest()[:32]

    def measure(self, share: float) -> None:
        """Say how much of the file is done, where that is not how much of it was hashed."""
        if self._size is None:
            self._size = self.path.stat().st_size
        self.shown = int(share * self._size)

    def chunks(self) -> Generator[bytes]:
        """Yield the decompressed content, in pieces of at most a few MiB."""
        with self.path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            kind = compression(head)
            if kind == "gz":
                yield from self._gzip(file)
            elif kind == "zst":
                yield from self._zstd(file)
            else:
                yield from self._raw(file, _RAW)

    def _raw(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        while chunk := file.read(size):
            self._hash.update(chunk)
            self.position += len(chunk)
            yield chunk

    def _gzip(self, file: BinaryIO) -> Iterator[bytes]:
        member = zlib.decompressobj(wbits=31)
        fresh = True  # between two members, where a file may end
        for raw in self._raw(file, _RAW):
            data = raw
            while data:
                if fresh and not data.strip(b"\0"):  # zero padding after the last member
                    break
                fresh = False
                before = member.copy()
                try:
                    out = member.decompress(data, _MOST)
                except zlib.error as error:
                    yield from _salvage(before, data, _MOST >> 6)
                    self.damage = self._place(f"damaged gzip data ({error})")
                    return
                if out:
                    yield out
                data = member.unconsumed_tail
                if member.eof:
                    data, member, fresh = member.unused_data, zlib.decompressobj(wbits=31), True
        if not fresh:
            if rest := member.flush():
                yield rest
            self.damage = self._place("truncated gzip data")

    def _zstd(self, file: BinaryIO) -> Iterator[bytes]:
        frame = zstandard.ZstdDecompressor().decompressobj()
        fresh = True
        for raw in self._raw(file, _RAW):
            # Small inputs bound what a hostile frame can grow to in one call.
            pieces = [raw[at : at + _ZSTD_INPUT] for at in range(0, len(raw), _ZSTD_INPUT)]
            for data in pieces:
                while data:
                    fresh = False
                    try:
                        out = frame.decompress(data)
                    except zstandard.ZstdError as error:
                        self.damage = self._place(f"damaged zstd data ({error})")
                        return
                    if out:
                        yield out
                    data = b""
                    if frame.eof:
                        data = frame.unused_data
                        frame, fresh = zstandard.ZstdDecompressor().decompressobj(), True
        if not fresh:
            self.damage = self._place("truncated zstd data")

    def _place(self, what: str) -> str:
        return f"{what} near byte {self.position} of the file; what came before is kept"


def _salvage(member: Any, data: bytes, step: int) -> Iterator[bytes]:
    """Yield what can be had before an error, for which zlib gives up all of a call's output."""
    while True:
        before = member.copy()
        try:
            out = member.decompress(data, step)
        except zlib.error:
            if step > 1:
                yield from _salvage(before, data, max(1, step >> 6))
            return
        if not out:
            return
        yield out
        data = member.unconsumed_tail


class SourceFile:
    """A file-like view of a :class:`ByteSource`, for parsers that read; damage looks like the end."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._chunks = source.chunks()
        self._rest = memoryview(b"")
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        parts: list[bytes | memoryview] = []
        missing = size if size is not None and size >= 0 else 1 << 62
        while missing:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            part = self._rest[:missing]
            self._rest = self._rest[len(part) :]
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)

    def unread(self, data: bytes) -> None:
        """Give bytes back, to be read again."""
        self._rest = memoryview(data + bytes(self._rest))

    def readable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Forget the file."""
        self._chunks.close()
        self.closed = True
