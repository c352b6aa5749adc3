"""What the functions of :mod:`crystal.ops.resampling` accept, and what they say where it is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_SAMPLES = 2**24
"""Most samples of one block of counts."""


def read_counts(
    values: npt.ArrayLike, axes: int | None, form: str, *, where: str = "counts", limit_axes: int = 2
) -> Counts:
    """Return `values` as a contiguous int64 array, or say what is wrong with them."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise InputError("not an array", where=where, expected=f"int64 {form}", got=str(error)) from error
    if array.size == 0 and array.dtype == np.float64 and not isinstance(values, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no type of its own
    wrong_axes = array.ndim != axes if axes is not None else array.ndim == 0
    if array.dtype != np.int64 or wrong_axes:
        raise InputError(
            "not an array of whole numbers of the right form",
            where=where,
            expected=f"int64 {form}",
            got=f"{array.dtype} {list(array.shape)}",
            fix="convert with .astype(np.int64)" if array.dtype.kind in "iufb" and not wrong_axes else None,
        )
    if array.size:
        if (least := array.min()) < 0:
            raise InputError("negative count", where=where, expected="0 or more", got=str(least))
        # The largest cell is looked at first, since a sum of large ones could wrap round.
        most = array.max()
        if most <= MOST_SAMPLES:
            most = array.sum(axis=tuple(range(-min(limit_axes, array.ndim), 0))).max()
        if most > MOST_SAMPLES:
            raise InputError(
                "too many samples", where=where, expected=f"at most {MOST_SAMPLES}", got=str(most)
            )
    return np.ascontiguousarray(array)


def read_probabilities(values: npt.ArrayLike, axes: int, sizes: Counts) -> Floats:
    """Return rows of probabilities that go with `sizes`, or say what is wrong with them."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError("not an array", where="probabilities", expected="float64", got=str(error)) from error
    if (
        array.dtype != np.float64
        or array.ndim != axes
        or array.shape[axes - 1 - sizes.ndim : -1] != sizes.shape
    ):
        raise InputError(
            "not an array of the right form",
            where="probabilities",
            expected=f"float64 {['points'] * (axes == 4) + [*sizes.shape, 'options']}",
            got=f"{array.dtype} {list(array.shape)}",
        )
    if array.shape[-1] == 0 and sizes.any():
        raise InputError("no options to draw from", where="probabilities", got=str(list(array.shape)))
    drawn = array[..., sizes > 0, :]
    if not np.isfinite(drawn).all() or (drawn < 0).any():
        bad = drawn[~(np.isfinite(drawn) & (drawn >= 0))]
        raise InputError("not a probability", where="probabilities", expected="0 to 1", got=str(bad[0]))
    sums = drawn.sum(axis=-1)
    if (away := np.abs(sums - 1.0) > 1e-6).any():
        raise InputError(
            "a row's sum is not 1", where="probabilities", expected="1", got=repr(float(sums[away][0]))
        )
    return np.ascontiguousarray(array)


def require_choice(statistic: str, known: tuple[str, ...]) -> None:
    """Refuse a statistic that is not among the known ones."""
    if statistic not in known:
        raise SettingsError(
            "no such statistic", where="statistic", expected=", ".join(known), got=repr(statistic)
        )


def whole(value: int, where: str, low: int, high: int) -> int:
    """Return a whole number within its range, or say which setting is not."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise SettingsError("outside its range", where=where, expected=f"{low} to {high}", got=repr(value))
    return int(value)


def positive(value: int, where: str) -> int:
    """Return a number of draws."""
    return whole(value, where, 1, 2**40)


def randomness(seed: int, key: int, threads: int) -> tuple[int, int, int]:
    """Return what names the random numbers, and the threads to draw them with."""
    words = 2**64 - 1
    return whole(seed, "seed", 0, words), whole(key, "key", 0, words), whole(threads, "threads", 0, 2**16)
