"""Where a long ladder changes: G of every cut, and whether the order of the checkpoints matters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.resampling import stream_key
from crystal.statistics.arrays import Counts, Floats, as_counts

ORDER_CHECKPOINTS = 10
"""Below so many checkpoints permuting their order cannot reach a small p."""
_CELLS = 500_000
"""Cells of permuted ladders that are looked at at once."""
_CACHED_CELLS = 1 << 16


def cut_g(counts: npt.ArrayLike) -> Floats:
    """Return G = 2 sum n ln(n N / (row column)) of every cut, checkpoints before against those after.

    Parameters
    ----------
    counts : array_like, int64 [..., B, S, K]
        Counts of B blocks (prompts) at S checkpoints.

    Returns
    -------
    ndarray, float64 [..., S - 1]
        Nats, summed over blocks; entry t - 1 cuts before checkpoint t.

    Raises
    ------
    SettingsError
        With fewer than three axes.

    Examples
    --------
    >>> cut_g([[[10, 0], [10, 0], [0, 10]]]).round(2).tolist()
    [10.46, 38.19]
    """
    n = as_counts(counts)
    if n.ndim < 3:
        raise SettingsError(
            "counts have the wrong shape", where="counts", expected="[blocks, checkpoints, options]"
        )
    return known_cut_g(n)


def known_cut_g(counts: Counts) -> Floats:
    """Return the same as :func:`cut_g` of an array that is known to hold counts, as simulated ones are."""
    size = counts.sum(axis=(-2, -1))
    # n ln n is looked up: a ladder has far fewer different counts than cells.
    values = np.arange(int(size.max(initial=0)) + 1, dtype=np.float64)
    values *= np.log(np.maximum(values, 1.0))
    blocks = counts.reshape(-1, *counts.shape[-2:])
    g = np.empty((len(blocks), counts.shape[-2] - 1))
    # So few cells at once stay in the processor's cache.
    most = max(1, _CACHED_CELLS // max(1, blocks[:1].size))
    for start in range(0, len(blocks), most):
        g[start : start + most] = _cut_g(blocks[start : start + most], values)
    result: Floats = g.reshape(*counts.shape[:-2], counts.shape[-2] - 1).sum(axis=-2)
    return result


def _cut_g(n: Counts, values: Floats) -> Floats:
    before = np.cumsum(n, axis=-2)
    whole, before = before[..., -1:, :], before[..., :-1, :]
    size = whole.sum(axis=-1)
    at = before.sum(axis=-1)

    def summed(part: Counts) -> Floats:
        # Over a last axis as short as this one einsum takes less than half the time of sum.
        result: Floats = np.einsum("...k->...", values.take(part, mode="clip"))
        return result

    total = summed(before) + summed(whole - before) - summed(whole)
    total += values[size] - values[at] - values[size - at]
    result: Floats = np.maximum(2 * total, 0.0)
    return result


def order_test(counts: npt.ArrayLike, *, draws: int = 999, seed: int = 0, key: int = 0) -> float | None:
    """Test whether a ladder changes in *this* order, by permuting whole checkpoints.

    The statistic is the largest G of a cut. Label permutation asks whether anything differs; this asks
    whether what differs lies together, so a single odd checkpoint in the middle does not pass it.

    Parameters
    ----------
    counts : array_like, int64 [B, S, K]
        Counts of B blocks at S checkpoints.
    draws : int
        Permuted orders.
    seed, key : int
        The stream of random numbers.

    Returns
    -------
    float or None
        The p-value; None below 10 checkpoints, where it cannot be small.

    Raises
    ------
    SettingsError
        If there are not three axes.

    Examples
    --------
    >>> order_test([[[9, 1]] * 6 + [[2, 8]] * 6], draws=99)
    0.01
    >>> order_test([[[9, 1], [2, 8]]]) is None
    True
    """
    n = as_counts(counts, 3)
    if n.shape[1] < ORDER_CHECKPOINTS:
        return None
    observed = float(cut_g(n).max())
    # Raw Philox words, so that an order depends on nothing but seed and key.
    generator = np.random.Philox(key=[seed, stream_key("order", key)])
    words = generator.random_raw(draws * n.shape[1]).reshape(draws, n.shape[1])
    orders = np.argsort(words, axis=1, kind="stable")
    most, at_least = max(1, _CELLS // n.size), 0
    for start in range(0, draws, most):
        drawn = n[:, orders[start : start + most]].swapaxes(0, 1)
        at_least += int((known_cut_g(drawn).max(axis=-1) >= observed - 1e-9).sum())
    return (at_least + 1) / (draws + 1)
