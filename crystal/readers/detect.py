"""Which format a file has: by its content first, by its name where the content leaves it open."""

from __future__ import annotations

import re
from pathlib import Path

from crystal.errors import InputError
from crystal.readers.compressed import ByteSource

FORMATS = ("jsonl", "csv", "tsv", "parquet", "arrow", "arrow-stream", "closed-set-json")
_HEAD = 1 << 16
_NAMES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow-stream",
}
_BOM = b"\xef\xbb\xbf"
_WIDE = {
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"{\0\0\0": "UTF-32", b"\0\0\0{": "UTF-32",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"{\0": "UTF-16", b"\0{": "UTF-16",
}  # fmt: skip
"""How texts begin that are not in UTF-8; UTF-32 first, because UTF-16 begins like some of it."""
_PACKED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7z",
    b"\x04\x22\x4d\x18": "lz4",
}
_STREAM = b"\xff\xff\xff\xff"
_WHOLE_JSON = re.compile(rb'\s*\{\s*(?:\}|"[^"]*"\s*:\s*)')


def head(path: Path) -> bytes:
    """Return the first bytes of a file's decompressed content."""
    return _head(ByteSource(path))


def _head(source: ByteSource) -> bytes:
    parts: list[bytes] = []
    size = 0
    chunks = source.chunks()
    for chunk in chunks:
        parts.append(chunk[:_HEAD])
        size += len(chunk)
        if size >= _HEAD:
            break
    chunks.close()
    return b"".join(parts)[:_HEAD]


def raw_head(path: Path) -> bytes:
    """Return the first bytes of a file as it lies on disk."""
    with path.open("rb") as file:
        return file.read(8)


def is_blank(start: bytes) -> bool:
    """Tell whether the first bytes of a file hold nothing."""
    return not start.removeprefix(_BOM).strip()


def refuse_blank(path: Path, name: str) -> None:
    """Refuse a file without content; one that has nothing whole in it is told from one that is empty.

    Raises
    ------
    InputError
    """
    source = ByteSource(path)
    if is_blank(_head(source)):
        raise InputError(source.damage or "the file is empty", where=name, expected="at least one sample")


def by_name(path: Path) -> str | None:
    """Return the format that a file's name claims, past ``.gz`` or ``.zst``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".zst", ".zstd"):
        suffixes.pop()
    return _NAMES.get(suffixes[-1]) if suffixes else None


def by_content(start: bytes) -> str | None:
    r"""Return the format that the first bytes of a file show, or None.

    Examples
    --------
    >>> by_content(b'{"task": "coin"}\n'), by_content(b"PAR1..."), by_content(b"task,text")
    ('jsonl', 'parquet', None)
    """
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"ARROW1"):
        return "arrow"
    if start.startswith(_STREAM):
        return "arrow-stream"
    text = start.removeprefix(_BOM).lstrip()
    if not text.startswith(b"{"):
        return None
    line = text.split(b"\n", 1)[0].rstrip()
    # A document over many lines, or one that holds the table of a closed-set scoring, is no row.
    if b'"categories"' in start and b'"candidates"' in start and _WHOLE_JSON.match(text):
        return "closed-set-json"
    if line == b"{" or (len(line) < len(text.rstrip()) and line.endswith((b",", b"{", b"["))):
        return None
    return "jsonl"


def detect(path: Path, name: str) -> str:
    """Return the format of a file.

    Parameters
    ----------
    path : pathlib.Path
    name : str
        How to call the file in a message.

    Raises
    ------
    InputError
        If neither its content nor its name says what it is.
    """
    start = head(path)
    found = by_content(start) or by_name(path)
    if by_content(start) in (None, "jsonl"):
        _refuse_other_bytes(start, name)
    if found in ("parquet", "arrow", "arrow-stream") and by_content(start) is None:
        raise InputError(
            f"the file does not begin like {found}", where=name, expected=f"a {found} file",
            fix="the file is damaged, or give its format (format=..., --format)",
        )  # fmt: skip
    if found is None:
        raise InputError(
            "the format cannot be told", where=name, expected=f"one of {', '.join(FORMATS)}",
            fix="give it: format=... (--format)",
        )  # fmt: skip
    if found == "jsonl" and _is_document(start):
        raise InputError(
            "the file is one JSON document over many lines", where=name, expected="one object a line",
            fix="write each row on a line of its own, as 'jq -c .[]' does with an array",
        )  # fmt: skip
    return found


def _refuse_other_bytes(start: bytes, name: str) -> None:
    """Refuse texts of another encoding and archives: read as lines, they would be a refusal a line."""
    for head, kind in _PACKED.items():
        if start.startswith(head):
            raise InputError(
                f"the file is packed as {kind}, which is not read", where=name,
                expected="a plain file, or one compressed as .gz or .zst", fix="unpack it first",
            )  # fmt: skip
    for head, kind in _WIDE.items():
        if start.startswith(head):
            raise InputError(
                f"the text is in {kind}", where=name, expected="UTF-8",
                fix=f"convert it, as 'iconv -f {kind} -t UTF-8' does",
            )  # fmt: skip


def _is_document(start: bytes) -> bool:
    """Tell an object or an array over many lines from a row: its first line opens it and does not end it."""
    text = start.removeprefix(_BOM).lstrip()
    line = text.split(b"\n", 1)[0].rstrip()
    return line in (b"{", b"[") or (len(line) < len(text.rstrip()) and line in (b"[{", b"[["))
