"""The laws of mergeable states, as one check that any state can be held to.

A state that keeps them may be filled by one process, many threads, a resumed run or a cluster, and gives the
very same bytes. Equality is of bytes, never "close".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from crystal.errors import CrystalError


class State(Protocol):
    """What every mergeable state offers."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""

    def empty(self) -> Self:
        """Return an empty state of the same configuration."""

    def merge(self, other: Self, /) -> None:
        """Add another state, which stays as it is."""

    def result(self) -> Any:
        """Return what the state knows."""

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""

    @classmethod
    def from_bytes(cls, data: bytes, /) -> Self:
        """Read the canonical bytes."""


S = TypeVar("S", bound=State)


class BrokenLawError(CrystalError, AssertionError):
    """A state breaks a law; the message names the law and the case."""


def check_laws(
    make: Callable[[], S],
    batches: Sequence[Any],
    *,
    update: Callable[[S, Any], None] | None = None,
    mismatched: Iterable[tuple[Callable[[], S], tuple[str, str]]] = (),
    shards: Sequence[int] = (1, 2, 7, 64),
    seed: int = 0,
) -> None:
    """Hold a state to the laws of mergeable states.

    The laws: an empty state changes nothing; merging is commutative and associative; any split of the
    batches, merged in any order and along any tree, equals the whole; any order of updates equals any other;
    a merge leaves its argument alone, then and later; updates work after a merge; bytes round-trip, and what
    was read back goes on like the original; equal states have equal bytes and equal results, and a filled
    state has others than an empty one; another configuration is refused, with both values named.

    Parameters
    ----------
    make : callable
        Returns a new empty state.
    batches : sequence
        At least three batches with something in each, unlike each other. Values that round (0.1, 0.2, 1e16)
        show more than whole numbers.
    update : callable, optional
        ``update(state, batch)``; the method ``state.update(batch)`` where none is given.
    mismatched : iterable of (callable, (str, str)), optional
        Makers of states whose configuration differs from that of `make`, each with the two values that the
        refusal has to name.
    shards : sequence of int
        Numbers of shards that the batches are dealt to; shards may stay empty.
    seed : int
        Seed of the orders that are tried.

    Raises
    ------
    BrokenLawError
        If a law is broken.
    ValueError
        If there are fewer than three batches.

    Examples
    --------
    >>> from crystal.states.count_table import CountTable
    >>> batches = [{"option": ["heads"]}, {"option": ["tails", None]}, {"option": ["heads"]}]
    >>> check_laws(
    ...     lambda: CountTable(("option",)),
    ...     batches,
    ...     mismatched=[(lambda: CountTable(("answer",)), ("option", "answer"))],
    ... )
    """
    if len(batches) < 3:
        raise ValueError("laws need at least three batches")
    laws = _Laws(make, batches, update or (lambda state, batch: state.update(batch)), seed)  # type: ignore[attr-defined]
    laws.check_argument(start=1)
    laws.check_argument(start=0)
    laws.check_identity()
    laws.check_algebra()
    laws.check_order()
    for count in shards:
        laws.check_split(count)
    laws.check_bytes()
    for other, values in mismatched:
        laws.check_refusal(other, values)


class _Laws:
    def __init__(
        self,
        make: Callable[[], Any],
        batches: Sequence[Any],
        update: Callable[[Any, Any], None],
        seed: int,
    ) -> None:
        self.make, self.batches, self.update = make, batches, update
        self.rng = np.random.default_rng(seed)
        self.whole = self.filled(batches)
        self.bytes = self.whole.to_bytes()

    def filled(self, batches: Iterable[Any]) -> Any:
        state = self.make()
        for batch in batches:
            self.update(state, batch)
        return state

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        return [items[i] for i in self.rng.permutation(len(items))]

    def same(self, law: str, state: Any, expected: bytes | None = None) -> None:
        expected = self.bytes if expected is None else expected
        if (got := state.to_bytes()) != expected:
            at = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), None)
            raise BrokenLawError(
                f"{law}: the bytes differ",
                expected=f"{len(expected)} bytes",
                got=f"{len(got)}, unlike from {at}",
            )

    def check_identity(self) -> None:
        nothing = self.make().to_bytes()
        if nothing == self.bytes:
            raise BrokenLawError("equal bytes mean equal states: a filled state has those of an empty one")
        self.same("empty() has nothing in it", self.whole.empty(), nothing)
        left, right = self.make(), self.filled(self.batches)
        left.merge(self.whole)
        right.merge(self.make())
        self.same("identity: empty + whole", left)
        self.same("identity: whole + empty", right)
        for state in (self.make(), self.whole):
            if not isinstance(state.nbytes, int) or state.nbytes < 0:
                raise BrokenLawError("nbytes is a number of bytes", got=repr(state.nbytes))

    def check_algebra(self) -> None:
        thirds = [self.batches[i::3] for i in range(3)]
        a, b, c = map(self.filled, thirds)
        ab, ba, bc = self.filled(thirds[0]), self.filled(thirds[1]), self.filled(thirds[1])
        ab.merge(b)
        ba.merge(a)
        self.same("commutative: b + a", ba, ab.to_bytes())
        bc.merge(c)
        a.merge(bc)
        ab.merge(c)
        self.same("associative: a + (b + c)", a, ab.to_bytes())
        self.same("any split equals the whole: thirds", ab)

    def check_order(self) -> None:
        for _ in range(3):
            self.same("any order equals the same", self.filled(self.shuffled(self.batches)))
        self.same("any order equals the same: backwards", self.filled(self.batches[::-1]))

    def check_split(self, count: int) -> None:
        dealt: list[list[Any]] = [[] for _ in range(count)]
        for batch, shard in zip(self.batches, self.rng.integers(count, size=len(self.batches)), strict=True):
            dealt[shard].append(batch)
        law = f"any split equals the whole: {count} shards"
        chain = self.make()
        for part in self.shuffled(dealt):
            chain.merge(self.filled(part))
        self.same(law, chain)
        forest = [self.filled(part) for part in dealt]
        while len(forest) > 1:
            taken = forest.pop(int(self.rng.integers(len(forest))))
            forest[int(self.rng.integers(len(forest)))].merge(taken)
        self.same(f"{law}, merged along a tree", forest[0])

    def check_argument(self, start: int) -> None:
        """Merge into a state of `start` batches; an empty one is where states are tempted to share memory."""
        first, middle, last = self.batches[:start], self.batches[start:-1], self.batches[-1]
        state, argument = self.filled(first), self.filled(middle)
        before, result = argument.to_bytes(), argument.result()
        state.merge(argument)
        merged = state.to_bytes()
        self.same("merge leaves its argument alone", argument, before)
        if not _equal(argument.result(), result):
            raise BrokenLawError("merge leaves its argument alone: its result differs")
        self.update(argument, last)
        self.same("an argument that is updated later changes only itself", state, merged)
        before = argument.to_bytes()
        self.update(state, last)
        self.same("update works after merge", state)
        self.same("merge leaves its argument alone, later too", argument, before)
        self.same("an argument can go on after a merge", argument, self.filled([*middle, last]).to_bytes())

    def check_bytes(self) -> None:
        kind = type(self.whole)
        read = kind.from_bytes(self.bytes)
        self.same("bytes round-trip", read)
        self.same("to_bytes changes nothing", self.whole)
        if not _equal(read.result(), self.whole.result()):
            raise BrokenLawError("equal states have equal results: a state read back differs")
        self.same(
            "bytes round-trip: the empty state",
            kind.from_bytes(self.make().to_bytes()),
            self.make().to_bytes(),
        )
        start = kind.from_bytes(self.filled(self.batches[:1]).to_bytes())
        for batch in self.batches[1:-1]:
            self.update(start, batch)
        start.merge(kind.from_bytes(self.filled(self.batches[-1:]).to_bytes()))
        self.same("a state read back goes on like the original", start)

    def check_refusal(self, make_other: Callable[[], Any], values: tuple[str, str]) -> None:
        law = "another configuration is refused"
        for state, other in ((self.filled(self.batches), make_other()), (make_other(), self.whole)):
            before = state.to_bytes()
            try:
                state.merge(other)
            except CrystalError as error:
                missing = [value for value in values if value not in str(error)]
                if missing:
                    raise BrokenLawError(
                        f"{law}: it names both values", expected=missing[0], got=str(error)
                    ) from error
            else:
                raise BrokenLawError(f"{law}: a merge of {values[0]} and {values[1]} went through")
            self.same(f"{law}, and nothing has changed", state, before)


def _equal(left: Any, right: Any) -> bool:
    """Compare results, which may be arrays or hold them."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return bool(np.array_equal(left, right, equal_nan=np.asarray(left).dtype.kind == "f"))
    return bool(left == right)
