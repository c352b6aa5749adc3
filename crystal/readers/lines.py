"""A byte stream into blocks of whole lines, with the number of the first line of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

BLOCK = 1 << 24
LONGEST = 1 << 26
_BOM = b"\xef\xbb\xbf"


def blocks(
    chunks: Iterable[bytes], damaged: Callable[[], bool], too_long: Callable[[int], None]
) -> Iterator[tuple[bytes, int]]:
    r"""Yield ``(block, line)``: whole lines, and the number of the block's first line (from 1).

    Parameters
    ----------
    chunks : iterable of bytes
    damaged : callable
        Asked once the chunks end: was it too early? An unfinished last line is then no line.
    too_long : callable
        Told the number of a line that is longer than :data:`LONGEST` and left out (as an empty line), so
        that memory stays flat whatever a file holds.

    Examples
    --------
    >>> list(blocks([b"a\nb", b"c\nd"], lambda: False, print))
    [(b'a\nbc\nd', 1)]
    """
    parts: list[bytes] = []
    size, line = 0, 1
    first = True
    dropping = False
    for chunk in chunks:
        if first:
            chunk, first = chunk.removeprefix(_BOM), False
        if dropping:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            chunk, dropping = chunk[end:], False
        parts.append(chunk)
        size += len(chunk)
        if size < BLOCK:
            continue
        end = chunk.rfind(b"\n") + 1
        if end:
            parts[-1] = chunk[:end]
            block = b"".join(parts)
            yield block, line
            line += block.count(b"\n")
            parts, size = [chunk[end:]], len(chunk) - end
        elif size > LONGEST:
            done = b"".join(parts)
            end = done.rfind(b"\n") + 1
            if end:
                yield done[:end], line
                line += done.count(b"\n")
            too_long(line)
            parts, size, dropping = [], 0, True
    rest = b"".join(parts)
    if damaged():
        rest = rest[: rest.rfind(b"\n") + 1]
    if rest:
        yield rest, line
