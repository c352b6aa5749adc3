"""The law tester has to bite: each deliberately broken state breaks the law it was made to break."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

import pytest

from crystal.errors import StateError
from crystal.testing.laws import BrokenLawError, check_laws

BATCHES = [[0.1, 0.2], [1e16], [0.3, -1e16], [0.7], [1.5], [0.1]]


class Good:
    """Counts numbers; keeps every law. The broken states below each change one thing."""

    def __init__(self, unit: str = "bit") -> None:
        self.unit, self.seen = unit, Counter[float]()

    @property
    def nbytes(self) -> int:
        return 100 + 16 * len(self.seen)

    def empty(self) -> Any:
        return type(self)(self.unit)

    def update(self, batch: list[float]) -> None:
        self.seen.update(batch)

    def merge(self, other: Any) -> None:
        if other.unit != self.unit:
            raise StateError("different units", expected=self.unit, got=other.unit)
        self.seen.update(other.seen)

    def result(self) -> dict[float, int]:
        return dict(self.seen)

    def to_bytes(self) -> bytes:
        body = b"".join(struct.pack("<dq", *item) for item in sorted(self.seen.items()))
        return self.unit.encode().ljust(4) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> Any:
        state = cls(data[:4].decode().strip())
        state.seen = Counter(dict(struct.iter_unpack("<dq", data[4:])))
        return state


MISMATCHED = [(lambda: Good("nat"), ("bit", "nat"))]


def test_a_state_that_keeps_the_laws_passes() -> None:
    check_laws(Good, BATCHES, mismatched=MISMATCHED)


def test_it_wants_batches() -> None:
    with pytest.raises(ValueError, match="three batches"):
        check_laws(Good, BATCHES[:2])


class FloatSum(Good):
    """A float accumulator: close, never equal."""

    def __init__(self, unit: str = "bit") -> None:
        super().__init__(unit)
        self.sum = 0.0

    def update(self, batch: list[float]) -> None:
        for value in batch:
            self.sum += value

    def merge(self, other: Any) -> None:
        self.sum += other.sum

    def result(self) -> Any:
        return {0.0: self.sum}

    def to_bytes(self) -> bytes:
        return struct.pack("<d", self.sum)

    @classmethod
    def from_bytes(cls, data: bytes) -> Any:
        state = cls()
        (state.sum,) = struct.unpack("<d", data)
        return state


class Emptying(Good):
    def merge(self, other: Any) -> None:
        super().merge(other)
        other.seen.clear()


class Adopting(Good):
    """Takes the argument's counter for its own where it has none: later updates show in both."""

    def merge(self, other: Any) -> None:
        if not self.seen:
            self.seen = other.seen
        else:
            self.seen = self.seen + other.seen


class Sharing(Good):
    def merge(self, other: Any) -> None:
        super().merge(other)
        other.seen = self.seen


class FirstSeen(Good):
    """Bytes in order of arrival."""

    def to_bytes(self) -> bytes:
        return self.unit.encode().ljust(4) + b"".join(struct.pack("<dq", *item) for item in self.seen.items())


class LastWins(Good):
    def merge(self, other: Any) -> None:
        self.seen = Counter({**self.seen, **other.seen})


class Forgetful(Good):
    def to_bytes(self) -> bytes:
        return b"bit "


class Lossy(Good):
    """Reads back other counts than it wrote."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Any:
        state = super().from_bytes(data)
        state.seen = Counter(set(state.seen))
        return state


class Sealed(Good):
    """Drops what comes after a merge."""

    sealed = False

    def update(self, batch: list[float]) -> None:
        if not self.sealed:
            super().update(batch)

    def merge(self, other: Any) -> None:
        super().merge(other)
        self.sealed = True


class Carrying(Good):
    def empty(self) -> Any:
        state = super().empty()
        state.seen.update(self.seen)
        return state


class Sizeless(Good):
    @property
    def nbytes(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("state", "law"),
    [
        (FloatSum, "the bytes differ"),
        (Emptying, "its argument alone"),
        (Adopting, "changes only itself"),
        (Sharing, "its argument alone"),
        (FirstSeen, "commutative"),
        (LastWins, "commutative|associative|split"),
        (Forgetful, "an empty one"),
        (Lossy, "round-trip"),
        (Sealed, "update works after merge"),
        (Carrying, "empty\\(\\)"),
        (Sizeless, "nbytes"),
    ],
)
def test_broken_states_are_caught(state: type[Good], law: str) -> None:
    with pytest.raises(BrokenLawError, match=law):
        check_laws(state, BATCHES)


class Mixing(Good):
    def merge(self, other: Any) -> None:
        self.seen.update(other.seen)


class Mute(Good):
    def merge(self, other: Any) -> None:
        if other.unit != self.unit:
            raise StateError("different units")
        super().merge(other)


class Late(Good):
    """Refuses, but only after it has merged."""

    def merge(self, other: Any) -> None:
        self.seen.update(other.seen)
        if other.unit != self.unit:
            raise StateError("different units", expected=self.unit, got=other.unit)


@pytest.mark.parametrize(
    ("state", "law"), [(Mixing, "went through"), (Mute, "both values"), (Late, "nothing has changed")]
)
def test_configurations_are_told_apart(state: type[Good], law: str) -> None:
    with pytest.raises(BrokenLawError, match=law):
        check_laws(state, BATCHES, mismatched=[(lambda: state("nat"), ("bit", "nat"))])
