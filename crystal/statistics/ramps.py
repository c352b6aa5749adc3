"""Is a change a step, or does it take several checkpoints? Ramps of every length against steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.statistics.arrays import Counts, Floats

_STARTS = 8
"""Places that are tried for a ramp of each length: enough to overlap any other by most of it."""
_CELLS = 2_000_000
"""Cells of data sets that are looked at at once."""


@dataclass(frozen=True)
class Ramps:
    """Shapes of a change among S checkpoints: 0 up to one, 1 from another on, even steps between."""

    shapes: Floats
    """float64 [R, S]."""
    first: npt.NDArray[np.int64]
    """int64 [R]: the first cut at which it changes."""
    last: npt.NDArray[np.int64]
    """int64 [R]: the last one; for a step, the first."""

    @property
    def steps(self) -> npt.NDArray[np.bool_]:
        """Which of them are steps."""
        return np.asarray(self.first == self.last)


def ramps_through(checkpoints: int, first_cut: int, last_cut: int) -> Ramps:
    """Return every step, and ramps of 2, 3, 4, 6, 8, 12, ... and all cuts that span two given ones.

    Examples
    --------
    >>> ramps = ramps_through(4, 2, 2)
    >>> [f"{a}-{b}" for a, b in zip(ramps.first, ramps.last)]
    ['1-1', '2-2', '3-3', '1-2', '2-3', '1-3']
    """
    places = [(t, t) for t in range(1, checkpoints)]
    for length in _lengths(checkpoints - 1):
        low, high = max(1, last_cut - length + 1), min(first_cut, checkpoints - length)
        if low <= high:
            starts = np.unique(np.linspace(low, high, _STARTS).round().astype(int))
            places += [(int(start), int(start) + length - 1) for start in starts]
    first, last = np.array(places, dtype=np.int64).T
    rank = np.arange(checkpoints)
    shapes = np.clip((rank - first[:, None] + 1) / (last - first + 1)[:, None], 0.0, 1.0)
    return Ramps(shapes, first, last)


def _lengths(most: int) -> list[int]:
    lengths, length, other = [], 2, 3
    while length < most:
        lengths.append(length)
        length, other = other, 2 * length
    return [*lengths, most] if most > 1 else []


def step_fits(counts: Counts, cuts: Sequence[int]) -> Floats:
    """Return Pearson's chi-squared of the stretches between cuts, summed over blocks, float64 [...].

    Parameters
    ----------
    counts : ndarray, int64 [..., B, S, K]
        Data sets of B blocks at S checkpoints.
    cuts : sequence of int
        Ascending, each in [1, S - 1].
    """
    parts = np.add.reduceat(counts, [0, *cuts], axis=-2).astype(np.float64)
    sizes, options = parts.sum(axis=-1, keepdims=True), parts.sum(axis=-2, keepdims=True)
    expected = sizes * options / np.maximum(options.sum(axis=-1, keepdims=True), 1.0)
    off = np.divide((parts - expected) ** 2, expected, out=np.zeros_like(parts), where=expected > 0)
    result: Floats = off.sum(axis=(-3, -2, -1))
    return result


def ramp_fits(counts: Counts, ramps: Ramps) -> Floats:
    """Return how well each shape describes how counts change: Pearson's chi-squared of a trend.

    With w the shape less its mean over a block's samples, sum_k (sum_s w_s n_sk)^2 / (p_k sum_s w_s^2 n_s),
    p the block's pooled proportions; summed over blocks (Cochran 1954 and Armitage 1955, for many options).
    For a step it is Pearson's chi-squared of before against after.

    Parameters
    ----------
    counts : ndarray, int64 [..., B, S, K]
        Data sets of B blocks at S checkpoints.
    ramps : Ramps

    Returns
    -------
    ndarray, float64 [..., R]
    """
    *many, blocks, checkpoints, options = counts.shape
    flat = counts.reshape(-1, blocks, checkpoints, options)
    result = np.zeros((len(flat), len(ramps.first)))
    for start in range(0, blocks, most := max(1, _CELLS // max(1, flat.size // blocks))):
        result += _fits(flat[:, start : start + most].astype(np.float64), ramps.shapes)
    return result.reshape(*many, len(ramps.first))


def _fits(n: Floats, shapes: Floats) -> Floats:
    sizes = n.sum(axis=-1)
    total = sizes.sum(axis=-1)
    mean = sizes @ shapes.T / np.maximum(total, 1.0)[..., None]
    spread = sizes @ (shapes**2).T - mean**2 * total[..., None]
    options = n.sum(axis=-2)
    moved = (shapes @ n) - mean[..., None] * options[..., None, :]
    share = options / np.maximum(total, 1.0)[..., None]
    weights = np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
    squares = np.einsum("dbrk,dbk->dbr", moved**2, weights)
    fits: Floats = np.divide(squares, spread, out=np.zeros_like(squares), where=spread > 1e-9).sum(axis=1)
    return fits
