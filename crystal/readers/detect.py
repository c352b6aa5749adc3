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
_STREAM = b"\xff\xff\xff\xff"
_WHOLE_JSON = re.compile(rb'\s*\{\s*(?:\}|"[^"]*"\s*:\s*)')


def head(path: Path) -> bytes:
    """Return the first bytes of a file's decompressed content."""
    parts: list[bytes] = []
    size = 0
    chunks = ByteSource(path).chunks()
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
        If the file is empty, or neither its content nor its name says what it is.
    """
    start = head(path)
    if is_blank(start):
        raise InputError("the file is empty", where=name, expected="at least one sample")
    found = by_content(start) or by_name(path)
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
    return found
