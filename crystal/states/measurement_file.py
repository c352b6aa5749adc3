"""The bytes of a measurement file: named sections, each with a digest. See docs/measurement-format.md."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from crystal.errors import StateError

MAGIC = b"CRYSTAL\0"
VERSION = 2
"""What is written. Version 1 is read too: it is the same but for sections that not every file has."""
READ = (1, 2)
_HEADER = struct.Struct("<8sIIQ16s")  # magic, version, sections, length of the whole, digest of the directory
_ENTRY = struct.Struct("<16sQQ16s")  # name, offset, length, digest
_MOST_SECTIONS = 64


def digest(*parts: bytes) -> bytes:
    """Return 16 bytes of BLAKE2b over the parts, each behind its length."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(struct.pack("<Q", len(part)))
        state.update(part)
    return state.digest()


def pack(sections: Mapping[str, bytes], *, version: int = VERSION) -> bytes:
    """Return a file of these sections, in their order, each at a multiple of 8 bytes."""
    offset = _HEADER.size + _ENTRY.size * len(sections)
    directory, body = [], []
    for name, data in sections.items():
        directory.append(_ENTRY.pack(name.encode("ascii"), offset, len(data), digest(data)))
        padding = b"\0" * (-len(data) % 8)
        body += [data, padding]
        offset += len(data) + len(padding)
    entries = b"".join(directory)
    header = _HEADER.pack(MAGIC, version, len(sections), offset, digest(entries))
    return b"".join([header, entries, *body])


def unpack(data: bytes, *, where: str) -> tuple[int, dict[str, bytes]]:
    """Return version and sections of a file; every bound and digest is checked before anything is used.

    Raises
    ------
    StateError
        If it is no measurement, of another version, truncated or damaged; the section is named.
    """

    def refuse(message: str, **details: str) -> StateError:
        return StateError(message, where=where, **details)

    if len(data) < _HEADER.size:
        raise refuse("the file ends too early to be a measurement", got=f"{len(data)} bytes")
    magic, version, count, length, expected = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise refuse("this is no measurement file", expected="a file written by crystal")
    if version not in READ:
        raise refuse(
            "the measurement has another format version",
            expected=" or ".join(map(str, READ)),
            got=str(version),
            fix="a later crystal wrote it: update this one",
        )
    if length != len(data):
        raise refuse("the file is cut or has grown", expected=f"{length} bytes", got=f"{len(data)}")
    start = _HEADER.size + _ENTRY.size * count
    if count > _MOST_SECTIONS or start > len(data) or digest(data[_HEADER.size : start]) != expected:
        raise refuse("the file's directory is damaged")
    sections: dict[str, bytes] = {}
    end = start
    for index in range(count):
        raw, offset, size, check = _ENTRY.unpack_from(data, _HEADER.size + _ENTRY.size * index)
        name = raw.rstrip(b"\0").decode("ascii", "replace")
        if offset != end or size > len(data) - offset or name in sections:
            raise refuse(f"the section {name!r} lies outside the file")
        sections[name] = data[offset : offset + size]
        end = offset + size + (-size % 8)
        if digest(sections[name]) != check or data[offset + size : end].strip(b"\0"):
            raise refuse(f"the section {name!r} is damaged")
    if end != len(data):
        raise refuse("bytes follow the last section")
    return version, sections
