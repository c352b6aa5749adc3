"""The distribution table: exact probabilities, in fixed point so that equal means equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from crystal.errors import StateError
from crystal.states.keyed import KeyedTable

ONE = 2**60
"""Fixed-point form of probability 1."""
ROUNDING = 1e-9
"""Probabilities that exceed 1 by no more than this are taken as 1: sums of exponentials do so."""


class DistributionTable(KeyedTable):
    """The exact probability of each distinct row of string columns, as int64 in units of 2^-60.

    Parameters
    ----------
    columns : sequence of str
        Names of one to four key columns.

    Notes
    -----
    Merging is a disjoint union: the same row may come again with the same probability; with another one it is
    refused. Probabilities from 2^-8 up are kept exactly as float64 has them, smaller ones to within 2^-61.

    Examples
    --------
    >>> table = DistributionTable(("task", "option"))
    >>> table.update({"task": ["coin", "coin"], "option": ["heads", "tails"]}, [0.25, 0.75])
    >>> sorted(table.result()["probability"].to_pylist())
    [0.25, 0.75]
    """

    _distribution = True
    _value = "fixed"

    def update(self, columns: Mapping[str, Any], probabilities: Any) -> None:
        """Add a batch of rows.

        Parameters
        ----------
        columns : mapping of str to string column
            As for :meth:`crystal.states.count_table.CountTable.update`.
        probabilities : float64 [rows]
            In [0, 1].

        Raises
        ------
        InputError
            If a column holds no strings.
        StateError
            If a probability is NaN or outside [0, 1], or differs from the one that the row has (the message
            names the row and both); the state is then unchanged.
        """
        self._add(columns, _to_fixed(probabilities))

    def _to_result(self, rows: pa.Table) -> pa.Table:
        fixed = rows["fixed"].to_numpy()
        return rows.append_column("probability", pa.array(fixed / ONE))


def _to_fixed(probabilities: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(probabilities, pa.Array):
        probabilities = probabilities.to_numpy(zero_copy_only=False)
    values = np.asarray(probabilities, np.float64)
    wrong = ~((values >= 0) & (values <= 1 + ROUNDING))
    if wrong.any():
        raise StateError(
            "a probability lies outside [0, 1]", where="probabilities", got=str(values[wrong].flat[0])
        )
    # Scaling by a power of two is exact; only what lies below 2^-60 is rounded.
    return np.ascontiguousarray(np.rint(np.minimum(values, 1.0) * ONE), np.int64)
