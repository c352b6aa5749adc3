"""The states of a measurement and the sections of its file: a further state is one entry here.

A state keeps the laws of :mod:`crystal.testing.laws`, and offers ``check`` beside them, so that a merge of
many states is refused before the first of them has changed. An optional one is filled from columns of its own
by ``update({checkpoint, task, prompt}, **columns)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self

from crystal.errors import StateError
from crystal.states.count_table import CountTable
from crystal.states.distribution_table import DistributionTable
from crystal.states.sequence_sample import SequenceSample
from crystal.states.token_sums import TokenSums

CELL = ("checkpoint", "task", "prompt")


class State(Protocol):
    """What a measurement asks of a state."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""

    def __bool__(self) -> bool:
        """Whether anything is in it."""

    def check(self, other: Any, /) -> None:
        """Raise :class:`StateError` if `other` cannot be merged."""

    def merge(self, other: Any, /) -> None:
        """Add another state, which stays as it is."""

    def result(self) -> Any:
        """Return what the state knows."""

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""

    @classmethod
    def from_bytes(cls, data: bytes, /) -> Self:
        """Read the canonical bytes."""


class OptionalState(State, Protocol):
    """A state that is filled from columns of its own."""

    def update(self, *cell: Any, **fields: Any) -> None:
        """Add a batch; nothing changes if it is refused."""


class Optional(NamedTuple):
    """A state that not every measurement has."""

    make: Callable[[], OptionalState]
    fields: tuple[str, ...]
    """Columns of a batch that it is filled from; null where a row has none."""
    on_request: bool = False
    """Filled only where a user asks for it."""


REQUIRED: Mapping[str, Callable[[], State]] = {
    "counts": lambda: CountTable((*CELL, "option")),
    "exact": lambda: DistributionTable((*CELL, "option")),
    "decodings": lambda: CountTable(("checkpoint", "task", "decoding")),
}
"""States that every file has, empty or not."""

OPTIONAL: Mapping[str, Optional] = {
    "tokens": Optional(TokenSums, ("logprobs", "entropies")),
    "sequences": Optional(SequenceSample, ("text", "tokens"), on_request=True),
}
"""States that stand in a file where they hold something, in this order and behind the required ones: so a
file without them is the same bytes whether or not crystal knows of the state."""

WRITTEN = (*REQUIRED, *OPTIONAL)
"""All states in the order of the file."""
FIELDS = tuple(field for state in OPTIONAL.values() for field in state.fields)
"""All columns that optional states are filled from."""


def optional_fields(*, sequences: bool) -> tuple[str, ...]:
    """Return the columns that optional states are filled from, those on request only where asked for."""
    return tuple(
        field for state in OPTIONAL.values() if sequences or not state.on_request for field in state.fields
    )


def new_states() -> dict[str, State]:
    """Return an empty state of each kind."""
    makers = {**REQUIRED, **{name: state.make for name, state in OPTIONAL.items()}}
    return {name: make() for name, make in makers.items()}


def pack_states(states: Mapping[str, State]) -> dict[str, bytes]:
    """Return the sections of the states, in the order of the file."""
    return {name: states[name].to_bytes() for name in WRITTEN if name in REQUIRED or states[name]}


def unpack_states(sections: Mapping[str, bytes]) -> dict[str, State]:
    """Read the sections of the states; those that are not there are empty.

    Raises
    ------
    StateError
        If one is damaged, or of another kind, has other columns or null keys.
    """
    states = new_states()
    for name, fresh in states.items():
        if name in sections:
            states[name] = _checked(name, type(fresh).from_bytes(sections[name]), fresh)
    return states


def merge_states(states: Mapping[str, State], others: Mapping[str, State]) -> None:
    """Merge states by name; nothing has changed if one is refused."""
    for name, state in states.items():
        state.check(others[name])
    # That two exact values conflict is known only while they are merged, so these go first.
    for name in sorted(states, key=lambda name: name != "exact"):
        states[name].merge(others[name])


def check_names(sections: Mapping[str, bytes], version: int, where: str) -> None:
    """Raise :class:`StateError` unless the sections are those of the version, in their order.

    Version 1 of the format has no optional states.
    """
    names = [name for name in WRITTEN if name in REQUIRED or (name in sections and version > 1)]
    expected = ["configuration", *names, "manifest"]
    if list(sections) == expected:
        return
    unknown = [name for name in sections if name not in {*expected, *OPTIONAL}]
    raise StateError(
        "the measurement has other sections",
        where=where,
        expected=", ".join(expected),
        got=", ".join(unknown or sections),
        fix="a later crystal wrote it: update this one" if unknown else None,
    )


def _checked(name: str, state: Any, fresh: Any) -> State:
    columns = getattr(fresh, "columns", None)
    if columns is not None:
        rows = state.result() if state.columns == columns else None
        if rows is None or any(rows[key].null_count for key in columns if key != "option"):
            raise StateError("a table has other columns, or null keys", where=f"section {name!r}")
    loaded: State = state
    return loaded
