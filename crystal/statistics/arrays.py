"""What the functions of this package accept as counts and as probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SUM_TOLERANCE = 1e-6
_MOST = 2.0**53
"""Above it float64 has not every whole number, and int64 sums may leave their range."""


def as_counts(counts: npt.ArrayLike, ndim: int | None = None) -> Counts:
    """Return counts as int64 after checking that they are whole, finite and not negative.

    Raises
    ------
    SettingsError
        If the number of axes is not ``ndim`` (where given), or there are none.
    InputError
        If a value is no count.
    """
    try:
        array = np.asarray(counts)
    except ValueError as error:
        raise _ragged("counts") from error
    if array.ndim == 0 or (ndim is not None and array.ndim != ndim):
        raise SettingsError(
            "counts have the wrong shape",
            where="counts",
            expected="at least one axis" if ndim is None else f"{ndim} axes, options last",
            got=str(array.shape),
        )
    kind = array.dtype.kind
    # A NaN is not above anything, so the smallest tells of it too.
    if array.size and not (
        kind in "iuf"
        and array.min() >= 0
        and (kind != "f" or (array.max() < np.inf and np.all(array == np.floor(array))))
    ):
        got = f"dtype {array.dtype}" + (f", as low as {array.min()}" if kind in "iuf" else "")
        raise InputError("counts are whole numbers, 0 or more", where="counts", got=got)
    if array.size and not array.sum(axis=-1, dtype=np.float64).max(initial=0.0) <= _MOST:
        raise InputError("the counts of a distribution sum to more than 2^53", where="counts")
    return np.ascontiguousarray(array, dtype=np.int64)


def as_probabilities(values: npt.ArrayLike, name: str = "p", ndim: int | None = None) -> Floats:
    """Return probabilities as float64, each row of the last axis divided by its sum.

    Raises
    ------
    SettingsError
        If the number of axes is wrong.
    InputError
        If a value is negative or not finite, or a row does not sum to 1 within 1e-6.
    """
    try:
        p = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _ragged(name) from error
    if p.ndim == 0 or (ndim is not None and p.ndim != ndim):
        raise SettingsError(
            "probabilities have the wrong shape",
            where=name,
            expected="at least one axis" if ndim is None else f"{ndim} axes, options last",
            got=str(p.shape),
        )
    if not (p.min(initial=0.0) >= 0.0 and p.max(initial=0.0) < np.inf):  # NaN fails both
        raise InputError("probabilities are finite and not negative", where=name)
    sums = p.sum(axis=-1, keepdims=True)
    off = np.abs(sums - 1.0)
    if off.max(initial=0.0) > _SUM_TOLERANCE:
        worst = float(sums.flat[int(np.argmax(off))])
        raise InputError(
            "a distribution does not sum to 1",
            where=name,
            expected="1",
            got=f"{worst:.9g}",
            fix="divide counts by their sum first",
        )
    result: Floats = p / sums
    return result


def _ragged(name: str) -> InputError:
    return InputError(
        "this is no table of numbers", where=name, expected="rows of one length", fix="pad them with 0"
    )


def row_probabilities(counts: Counts) -> Floats:
    """Return counts over their row sums; NaN in rows without samples."""
    n = counts.sum(axis=-1, keepdims=True)
    result: Floats = np.divide(counts, n, out=np.full(counts.shape, np.nan), where=n > 0)
    return result
