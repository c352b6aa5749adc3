from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.errors import StateError
from crystal.states.measurement_file import digest, pack, unpack

SECTIONS = {"first": b"abc", "empty": b"", "last": b"12345678"}


@given(st.dictionaries(st.sampled_from(["a", "counts", "exactly16letters"]), st.binary(max_size=40)))
def test_sections_come_back(sections: dict[str, bytes]) -> None:
    assert unpack(pack(sections), where="x") == (2, sections)


def test_every_truncation_and_every_flipped_bit_is_refused() -> None:
    data = pack(SECTIONS)
    for at in range(len(data)):
        with pytest.raises(StateError, match="x: "):
            unpack(data[:at], where="x")
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(StateError, match="x: "):
            unpack(bytes(changed), where="x")
    with pytest.raises(StateError):
        unpack(data + b"\0" * 8, where="x")


@given(offset=st.integers(0, 2**64 - 1), size=st.integers(0, 2**64 - 1), count=st.integers(0, 2**32 - 1))
def test_a_directory_with_a_right_digest_is_bounds_checked(offset: int, size: int, count: int) -> None:
    entry = struct.pack("<16sQQ16s", b"a", offset, size, digest(b""))
    body = entry + b"\0" * 8
    header = struct.pack("<8sIIQ16s", b"CRYSTAL\0", 1, count, 40 + len(body), digest(body[: 48 * count]))
    with pytest.raises(StateError):
        unpack(header + body, where="x")


def test_one_name_twice_is_refused() -> None:
    entries = struct.pack("<16sQQ16s", b"a", 136, 0, digest(b"")) * 2
    header = struct.pack("<8sIIQ16s", b"CRYSTAL\0", 1, 2, 136, digest(entries))
    with pytest.raises(StateError, match="'a'"):
        unpack(header + entries, where="x")


def test_another_version_and_another_file_are_named() -> None:
    data = pack(SECTIONS)
    with pytest.raises(StateError, match="expected 1 or 2, got 3"):
        unpack(data[:8] + b"\x03" + data[9:], where="x")
    with pytest.raises(StateError, match="no measurement file"):
        unpack(b"PAR1" * 20, where="x")


def test_the_damaged_section_is_named() -> None:
    data = bytearray(pack(SECTIONS))
    data[-1] ^= 1
    with pytest.raises(StateError, match="'last' is damaged"):
        unpack(bytes(data), where="x")


def test_a_digest_depends_on_where_parts_end() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc") != digest(b"abc")
