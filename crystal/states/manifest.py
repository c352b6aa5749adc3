"""What a measurement has counted: ranges of rows of contents, so that nothing is counted twice unnoticed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from crystal.errors import StateError

Range = tuple[int, int]


class Manifest(msgspec.Struct):
    """Rows that were counted, by the digest of the content they stand in, and the sums over all inputs.

    Examples
    --------
    >>> manifest = Manifest()
    >>> manifest.cover("d1", 0, 10)
    >>> manifest.cover("d1", 10, 20)
    >>> manifest.ranges
    {'d1': [(0, 20)]}
    """

    ranges: dict[str, list[Range]] = {}
    """Per content digest, the counted rows ``[start, stop)``: ascending, disjoint, adjacent ones joined."""
    duplicates: int = 0
    """Rows that were counted more than once, where that was allowed."""
    files: list[str] = []
    """Names of the inputs, sorted."""
    samples: int = 0
    """Rows accepted."""
    rejected: int = 0
    """Rows refused."""

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        for digest, ranges in sorted(self.ranges.items()):
            for start, stop in ranges:
                yield digest, start, stop

    def cover(self, digest: str, start: int, stop: int, *, allow_duplicates: bool = False) -> None:
        """Note that rows ``[start, stop)`` of a content were counted.

        Raises
        ------
        StateError
            If the range is none, or overlaps one that was counted (unless `allow_duplicates`).
        """
        if not (0 <= start <= stop):
            raise StateError("this is no range of rows", where="manifest", got=f"[{start}, {stop})")
        self.merge(Manifest(ranges={digest: [(start, stop)]} if start < stop else {}), allow_duplicates)

    def check(self, other: Manifest) -> None:
        """Raise :class:`StateError` if `other` has rows that are counted here."""
        for digest, ranges in other.ranges.items():
            mine = self.ranges.get(digest, [])
            if _length(mine) + _length(ranges) == _length(_union(mine, ranges)):
                continue
            start, stop = next(
                (max(a, c), min(b, d)) for a, b in mine for c, d in ranges if max(a, c) < min(b, d)
            )
            raise StateError(
                f"rows [{start}, {stop}) of the content {digest} are counted twice",
                where=", ".join(sorted({*self.files} & {*other.files})[:3]) or "manifest",
                fix="leave one of the inputs out, or allow duplicates with allow_duplicates=True "
                "(--allow-duplicates)",
            )

    def merge(self, other: Manifest, allow_duplicates: bool = False) -> None:
        """Add what another measurement counted; it stays as it is.

        Raises
        ------
        StateError
            If a row is counted by both, unless `allow_duplicates`; nothing has changed then.
        """
        if not allow_duplicates:
            self.check(other)
        union = {digest: list(ranges) for digest, ranges in self.ranges.items()}
        duplicates = self.duplicates + other.duplicates
        for digest, ranges in other.ranges.items():
            mine = union.get(digest, [])
            union[digest] = _union(mine, ranges)
            duplicates += _length(mine) + _length(ranges) - _length(union[digest])
        self.ranges, self.duplicates = union, duplicates
        self.files = sorted({*self.files, *other.files})
        self.samples += other.samples
        self.rejected += other.rejected

    def check_form(self) -> None:
        """Raise :class:`StateError` unless the parts are as :meth:`merge` leaves them."""
        for digest, ranges in self.ranges.items():
            if not ranges or ranges != _union(ranges, []) or ranges[0][0] < 0:
                raise StateError("the ranges are not in order", where=f"manifest, content {digest}")
        if min(self.duplicates, self.samples, self.rejected) < 0 or self.files != sorted(set(self.files)):
            raise StateError("the inputs are not in order", where="manifest")


def _length(ranges: list[Range]) -> int:
    return sum(stop - start for start, stop in ranges)


def _union(left: list[Range], right: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for start, stop in sorted([*left, *right]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return [(start, stop) for start, stop in joined if start < stop]
