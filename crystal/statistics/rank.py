"""Identity of an answer distribution: the order of its options, and its top answer."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Floats


def kendall_tau(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Return Kendall's tau-b between the options' orders by probability (Kendall 1945).

    (concordant - discordant pairs) / sqrt(pairs not tied in p x pairs not tied in q).

    Parameters
    ----------
    p, q : array_like, [..., K]
        Probabilities or counts of the same options.

    Returns
    -------
    ndarray, float64 [...]
        -1 to 1; NaN where all options of a side are tied (then there is no order).

    Raises
    ------
    SettingsError
        If the shapes differ.

    Examples
    --------
    >>> float(kendall_tau([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]))
    -1.0
    """
    a, b = _same(p, q)
    rows = [_tau(x, y) for x, y in zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True)]
    result: Floats = np.array(rows, dtype=np.float64).reshape(a.shape[:-1])[()]
    return result


def _tau(x: Floats, y: Floats) -> float:
    """Count pairs in the table of distinct values, which is small where many options have few counts."""
    first, i = np.unique(x, return_inverse=True)
    second, j = np.unique(y, return_inverse=True)
    if first.size < 2 or second.size < 2:
        return float("nan")
    table = np.bincount(i * second.size + j, minlength=first.size * second.size)
    table = table.reshape(first.size, second.size)
    # Options that are larger on both sides, or larger on the first and smaller on the second.
    below = np.cumsum(table[::-1], axis=0)[::-1][1:]
    right = np.cumsum(below[:, ::-1], axis=1)[:, ::-1][:, 1:]
    left = np.cumsum(below, axis=1)[:, :-1]
    agreement = int((table[:-1, :-1] * right).sum()) - int((table[:-1, 1:] * left).sum())
    pairs = x.size * (x.size - 1) // 2
    untied = [pairs - int((n * (n - 1) // 2).sum()) for n in (table.sum(axis=1), table.sum(axis=0))]
    return agreement / math.sqrt(untied[0] * untied[1])


def top_kept(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Return 1 where the top answer is kept, 0 where it is not.

    Tie rule: options tied at the top are all top answers, and it is kept if the two sides share one. So small
    samples are never called a loss for a tie alone.

    Parameters
    ----------
    p, q : array_like, [..., K]
        Probabilities or counts of the same options.

    Returns
    -------
    ndarray, float64 [...]
        0 or 1; NaN where a side has no mass.

    Examples
    --------
    >>> top_kept([[2, 2, 1], [3, 1, 0]], [[0, 4, 1], [1, 3, 0]]).tolist()
    [1.0, 0.0]
    """
    a, b = _same(p, q)
    shared = (a == a.max(axis=-1, keepdims=True)) & (b == b.max(axis=-1, keepdims=True))
    known = (a.sum(axis=-1) > 0) & (b.sum(axis=-1) > 0)
    result: Floats = np.where(known, shared.any(axis=-1).astype(np.float64), np.nan)[()]
    return result


def _same(p: npt.ArrayLike, q: npt.ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if a.shape != b.shape or a.ndim == 0 or a.shape[-1] == 0:
        raise SettingsError("the two sides need the same options", expected=str(a.shape), got=str(b.shape))
    return a, b
