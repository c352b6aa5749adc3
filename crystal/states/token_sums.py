"""Token sums: what is kept of the log-probability and the entropy of every token, by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from crystal.errors import StateError
from crystal.ops import counts as ops
from crystal.ops.lists import lists_to_ragged
from crystal.ops.ragged import Ragged, dictionary, strings_to_ragged
from crystal.states.exact_sums import PLACES, TokenMoments, digit_sums
from crystal.states.keyed import KeyedTable

CELL = ("checkpoint", "task", "prompt")
SERIES = {"logprobs": ("surprisal", -1.0), "entropies": ("entropy", 1.0)}
"""Columns of the sample table, the series that each becomes, and its sign."""
_NAMES = {
    f"{series}.{name}.{place}": (series, name, place)
    for series, _ in SERIES.values()
    for name, place in PLACES
}


class TokenSums(KeyedTable):
    """Exact sums of token values by (checkpoint, task, prompt): a count table of their digits.

    Two series: ``surprisal`` (-log p of the token that was drawn) and ``entropy`` (of the distribution that
    it was drawn from), both in nats. For each cell and series it holds the numbers of
    :class:`crystal.states.exact_sums.TokenMoments`, as rows of a count table whose column ``sum`` names
    series, quantity and digit (``entropy.sum.1``).

    Notes
    -----
    Sums are of integers (a value in units of 2^-40 nats), so order, batches, shards and threads cannot change
    them. Memory grows with the cells (about 25 rows each), never with the samples or tokens. Over all digits
    the sum must fit in int64, which is so for 10^12 tokens.

    Examples
    --------
    >>> sums = TokenSums()
    >>> cell = {"checkpoint": ["base"] * 2, "task": ["coin"] * 2, "prompt": ["flip"] * 2}
    >>> sums.update(cell, logprobs=[[-0.5, -9999.0], [-1.0]])
    >>> moments = sums.cells()["base", "coin", "flip"]["surprisal"]
    >>> moments.sequences, moments.tokens, moments.missing, moments.sum / 2**40
    (2, 2, 1, 1.5)
    """

    _distribution = False
    _value = "count"

    def __init__(self, columns: Sequence[str] = (*CELL, "sum")) -> None:
        if tuple(columns) != (*CELL, "sum"):
            raise StateError("token sums have fixed columns", where="token sums", got=", ".join(columns))
        super().__init__(columns)

    def update(self, columns: Mapping[str, Any], *, logprobs: Any = None, entropies: Any = None) -> None:
        """Add the tokens of a batch of samples; nothing changes if it is refused.

        Parameters
        ----------
        columns : mapping of str to string column
            ``checkpoint``, ``task`` and ``prompt``, never null.
        logprobs, entropies : list column of float32, optional
            Nats, one list a row; null where the row has none. A value that is null, NaN, infinite, or (its
            sign aside) outside [0, 2048] nats, such as -9999.0, is missing: it is counted and in no sum.

        Raises
        ------
        InputError
            If a column is of another type.
        StateError
            If keys are missing, unknown or null, columns differ in length, or a sequence has more than a
            million tokens.
        """
        if {*columns} != {*CELL}:
            raise StateError(
                "the batch has other columns",
                where="token sums",
                expected=", ".join(CELL),
                got=", ".join(columns),
            )
        keys = [column if isinstance(column := columns[name], tuple) else dictionary(column) for name in CELL]
        rows = len(keys[0][0])
        if any(len(indices) != rows or (indices < 0).any() for indices, _ in keys):
            raise StateError("a key is null, or the columns differ in length", where="token sums")
        first, cell = _distinct([indices for indices, _ in keys])
        given = {"logprobs": logprobs, "entropies": entropies}
        batch = self.empty()
        for column, (series, sign) in SERIES.items():
            if given[column] is None:
                continue
            lists = lists_to_ragged(given[column])
            if len(lists.offsets) != rows + 1:
                raise StateError("the columns differ in length", where=f"column {column}")
            digits = digit_sums(lists.values * np.float32(sign), lists.offsets, cell, len(first))
            batch._add_digits(keys, first, series, digits)
        self.merge(batch)

    def cells(self) -> dict[tuple[str, str, str], dict[str, TokenMoments]]:
        """Return the moments of each series by (checkpoint, task, prompt), in canonical order."""
        rows = self.result()
        texts = [rows[name].combine_chunks() for name in self.columns]
        names = [column.dictionary.to_pylist() for column in texts]
        index = [column.indices.to_pylist() for column in texts]
        digits: dict[tuple[str, str, str], dict[str, dict[tuple[str, int], int]]] = {}
        for a, b, c, d, count in zip(*index, rows["count"].to_pylist(), strict=True):
            series, name, place = _NAMES[names[3][d]]
            cell = digits.setdefault((names[0][a], names[1][b], names[2][c]), {})
            cell.setdefault(series, {})[name, place] = count
        return {
            cell: {series: TokenMoments.of_digits(some) for series, some in by_series.items()}
            for cell, by_series in digits.items()
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a state written by :meth:`to_bytes`.

        Raises
        ------
        StateError
            If the bytes are damaged, or not those of token sums.
        """
        state = super().from_bytes(data)
        fresh = cls()
        if state.columns != fresh.columns:
            raise StateError(
                "these are no token sums",
                where="token sums",
                expected=fresh._configuration(),
                got=state._configuration(),
            )
        known = state.result()["sum"].combine_chunks()
        if any(name not in _NAMES for name in known.dictionary.to_pylist()) or known.null_count:
            raise StateError("a sum has an unknown name", where="token sums", fix="update crystal")
        return state

    def _add_digits(
        self,
        keys: Sequence[tuple[npt.NDArray[np.int32], Ragged]],
        first: npt.NDArray[np.int64],
        series: str,
        digits: npt.NDArray[np.int64],
    ) -> None:
        cell, place = np.nonzero(digits)
        texts = strings_to_ragged([f"{series}.{name}.{digit}" for name, digit in PLACES])
        columns = {
            name: (np.ascontiguousarray(indices[first[cell]]), ragged)
            for name, (indices, ragged) in zip(CELL, keys, strict=True)
        }
        ops.update(
            self._core,
            {**columns, "sum": (place.astype(np.int32), texts)},
            np.ascontiguousarray(digits[cell, place]),
        )
        self._rows = None


def _distinct(
    columns: Sequence[npt.NDArray[np.int32]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first row of each distinct combination of ids, and which combination each row has."""
    cell = np.zeros(len(columns[0]), np.int64)
    first = cell[:0]
    for column in columns:
        wide = column.astype(np.int64)
        # Both factors are below 2^31, so the product cannot leave int64.
        _, first, cell = np.unique(
            cell * (int(wide.max(initial=0)) + 1) + wide, return_index=True, return_inverse=True
        )
    return first, cell.reshape(-1)
