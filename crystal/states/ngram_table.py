"""Exact counts of n-grams by cell, as a mergeable state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from crystal.errors import SettingsError
from crystal.states.sequence_bytes import Header
from crystal.states.sequence_table import SequenceTable


class NgramTable(SequenceTable):
    """How often each distinct n-gram was seen, as int64, by cell. No n-gram crosses the end of a sample.

    Parameters
    ----------
    n : int
        Elements of an n-gram, 1 to 4. Part of the configuration, which must agree on merge.
    columns, elements, memory, folder, threads
        As for :class:`crystal.states.sequence_table.SequenceTable`. Keys are the elements themselves.

    Raises
    ------
    SettingsError
        If an argument is out of its range.

    Examples
    --------
    >>> table = NgramTable(2)
    >>> table.update([1, 2, 1, 2, 3, 1, 2], [0, 4, 7])
    >>> len(table), table.total, table.result().to_pydict()
    (3, 5, {'count': [1, 3], 'sequences': [2, 1]})
    """

    _n = -1  # any: the number is each state's own

    def __init__(
        self,
        n: int,
        columns: Sequence[str] = (),
        *,
        elements: str = "tokens",
        memory: int | None = None,
        folder: str | Path | None = None,
        threads: int = 0,
    ) -> None:
        if not 1 <= n <= 4:
            raise SettingsError("n is out of range", where="NgramTable", expected="1 to 4", got=str(n))
        super().__init__(columns, elements=elements, memory=memory, folder=folder, threads=threads)
        self.header = Header(self.header.columns, elements, verify=True, n=n)

    @property
    def n(self) -> int:
        """Elements of an n-gram."""
        return self.header.n

    @classmethod
    def _like(cls, header: Header, **settings: Any) -> Self:
        return cls(header.n, header.columns, elements=header.elements, **settings)
