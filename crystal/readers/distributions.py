"""Rows of exact distributions, held until all are read: one with a bad row is refused as a whole.

What is left of one would be taken for a distribution too: conditional on its list the other options' shares
rise, as if nothing were missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.ops.grouping import group
from crystal.readers.rejections import Judge

KEYS = ("ladder", "stage", "step", "checkpoint", "task", "prompt", "family")
"""What tells one distribution from another."""


class Distributions:
    """The exact rows of a stream.

    Parameters
    ----------
    judge : Judge
        Who is told of rows whose distribution is refused.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._held: list[tuple[Any, str, npt.NDArray[np.int64]]] = []
        self._spoiled: dict[tuple[Any, ...], str] = {}

    def hold(self, batch: Any, file: str, rows: npt.NDArray[np.int64]) -> None:
        """Keep good rows, with their numbers in the file."""
        self._held.append((batch, file, rows))

    def spoil(self, keys: dict[str, Any], file: str, rows: npt.NDArray[np.int64]) -> None:
        """Note refused rows by the columns :data:`KEYS`; the first of a distribution is named later."""
        for key, row in zip(_tuples(keys), rows.tolist(), strict=True):
            self._spoiled.setdefault(key, f"{file}, row {row}")

    def release(self) -> Iterator[Any]:
        """Yield the batches, and refuse the other rows of distributions that a refused row spoils."""
        held, self._held = self._held, []
        for batch, file, rows in held:
            if not self._spoiled:
                yield batch
                continue
            columns = {name: batch.column(name) for name in KEYS}
            groups = group(list(columns.values()))
            first = pa.array(groups.first)
            found = [
                self._spoiled.get(key)
                for key in _tuples({name: column.take(first) for name, column in columns.items()})
            ]
            good = np.array([place is None for place in found])[groups.codes]
            for index in np.flatnonzero(~good).tolist():
                place = found[groups.codes[index]]
                self._judge.reject(
                    file, int(rows[index]), f"another row of its distribution was refused ({place})"
                )
            if good.any():
                yield batch if good.all() else batch.filter(pa.array(good))


def _tuples(columns: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    return zip(*(columns[name].to_pylist() for name in KEYS), strict=True)
