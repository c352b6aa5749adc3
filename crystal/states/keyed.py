"""What count tables and distribution tables share: configuration, merging, bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import pyarrow as pa

from crystal.errors import StateError
from crystal.ops import counts as ops


class KeyedTable:
    """A mergeable table of up to four string columns; use one of its two kinds."""

    _distribution: ClassVar[bool]
    _value: ClassVar[str]

    def __init__(self, columns: Sequence[str]) -> None:
        self._core = ops.new(tuple(columns), distribution=self._distribution)
        self._rows: pa.Table | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the key columns: the configuration, which must agree on merge."""
        return tuple(self._core.names)

    @property
    def nbytes(self) -> int:
        """Heap bytes held now, growth room included."""
        return int(self._core.nbytes)

    def __len__(self) -> int:
        return int(self._core.rows)

    def __bool__(self) -> bool:
        return len(self) > 0

    def empty(self) -> Self:
        """Return an empty state of the same configuration."""
        return type(self)(self.columns)

    def check(self, other: Self) -> None:
        """Raise :class:`StateError` if `other` has another configuration, or their sum would leave int64."""
        mine, theirs = self._configuration(), _configuration_of(other)
        if mine != theirs:
            raise StateError(
                "the states have different configurations", where="merge", expected=mine, got=theirs
            )
        if int(self._core.total) + int(other._core.total) >= 2**63:
            raise StateError("the sum of all counts leaves int64", where="merge")

    def merge(self, other: Self) -> None:
        """Add all of another state, which stays as it is.

        Raises
        ------
        StateError
            If it is of another kind or has other columns (both are named), or a value cannot be merged; this
            state is then unchanged.
        """
        self.check(other)
        ops.merge(self._core, other._core)
        self._rows = None

    def result(self) -> pa.Table:
        """Return the rows in canonical order; equal states give equal tables.

        Returns
        -------
        pyarrow.Table
            Key columns as ``dictionary<int32, large_string>`` (null: no value), then the value.
        """
        if self._rows is None:
            self._rows = self._to_result(ops.rows(self._core, self._value))
        return self._rows

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: equal states have equal bytes."""
        data: bytes = self._core.to_bytes()
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a state written by :meth:`to_bytes`.

        Raises
        ------
        StateError
            If the bytes are damaged, of another version, or of another kind of state.
        """
        core = ops.from_bytes(data)
        if core.distribution != cls._distribution:
            raise StateError(
                "these are the bytes of another kind of table", where="table bytes", expected=cls.__name__
            )
        state = cls.__new__(cls)
        state._core, state._rows = core, None
        return state

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, KeyedTable):
            return NotImplemented
        return len(self) == len(other) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # states change

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.result().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"{self._configuration()}: {len(self)} rows, {self.nbytes} bytes"

    def _add(self, columns: Mapping[str, Any], values: Any) -> None:
        ops.update(self._core, columns, values)
        self._rows = None

    def _configuration(self) -> str:
        return f"{type(self).__name__}({', '.join(self.columns)})"

    def _to_result(self, rows: pa.Table) -> pa.Table:
        return rows


def _configuration_of(other: object) -> str:
    return other._configuration() if isinstance(other, KeyedTable) else type(other).__name__
