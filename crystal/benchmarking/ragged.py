"""Sequences of two shapes, as checkpoints write them before and after post-training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ragged = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]


def ragged(shape: str, kind: str, rows: int, mean: int = 16, seed: int = 0) -> Ragged:
    """Return sequences of about ``mean`` elements.

    Parameters
    ----------
    shape : {"base", "collapsed"}
        91% of them distinct; Zipf over 3% as many.
    kind : {"tokens", "text"}
        int32 ids, Zipf-like over 100,000; uint8 letters.
    rows, mean, seed : int

    Returns
    -------
    values, offsets : ndarray

    Examples
    --------
    >>> values, offsets = ragged("base", "text", 100)
    >>> values.dtype.name, len(offsets)
    ('uint8', 101)
    """
    rng = np.random.default_rng(seed)
    distinct = max(1, int(rows * (0.91 if shape == "base" else 0.03)))
    lengths = 1 + rng.poisson(mean - 1, distinct)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    if kind == "tokens":
        values = (100_000 ** rng.random(starts[-1])).astype(np.int32)
    else:
        values = rng.integers(97, 123, starts[-1]).astype(np.uint8)
    if shape == "base":
        again = rng.integers(0, distinct, rows - distinct)
        picks = rng.permutation(np.concatenate([np.arange(distinct), again]))
    else:
        weight = 1 / np.arange(1, distinct + 1)
        picks = rng.choice(distinct, rows, p=weight / weight.sum())
    return _taken(values, starts, picks)


def edited(
    values: npt.NDArray[Any], offsets: npt.NDArray[np.int64], seed: int = 0
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the same rows, but a third of them are one a little before with one element changed.

    Parameters
    ----------
    values, offsets : ndarray
    seed : int

    Returns
    -------
    values, offsets : ndarray
    source : int64 ndarray
        The row that each row comes from; itself where it was left alone.

    Examples
    --------
    >>> values, offsets, source = edited(*ragged("base", "text", 100))
    >>> bool((source <= np.arange(100)).all()), bool((source < np.arange(100)).any())
    (True, True)
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(offsets) - 1)
    near = np.maximum(rows - rng.integers(1, 100, len(rows)), 0)
    source = np.where(rng.random(len(rows)) < 1 / 3, near, rows)
    found, starts = _taken(values, offsets, source)
    moved = np.flatnonzero(source != rows)
    # One change for all copies of a row in collapsed data, so that they stay as collapsed as they were.
    place = starts[moved] + (source[moved] * 7919) % np.diff(starts)[moved]
    found[place] = np.where(found[place] == 97, 98, 97)
    return found, starts, source


def _taken(values: npt.NDArray[Any], starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Ragged:
    length = np.diff(starts)[rows]
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return values[np.repeat(starts[rows] - offsets[:-1], length) + np.arange(offsets[-1])], offsets
