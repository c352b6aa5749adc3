"""Where a long ladder changes: G of every cut, and whether the order of the checkpoints matters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops import cuts
from crystal.ops.resampling import stream_key
from crystal.statistics.arrays import Floats, as_counts

ORDER_CHECKPOINTS = 10
"""Below so many checkpoints permuting their order cannot reach a small p."""


def cut_g(counts: npt.ArrayLike, *, threads: int = 1) -> Floats:
    """Return G = 2 sum n ln(n N / (row column)) of every cut, checkpoints before against those after.

    Parameters
    ----------
    counts : array_like, int64 [..., B, S, K]
        Counts of B blocks (prompts) at S checkpoints.
    threads : int
        0 means CRYSTAL_THREADS, else all cores. Never changes the result.

    Returns
    -------
    ndarray, float64 [..., S - 1]
        Nats, summed over blocks; entry t - 1 cuts before checkpoint t.

    Raises
    ------
    SettingsError
        With fewer than three axes, or no checkpoint.

    Examples
    --------
    >>> cut_g([[[10, 0], [10, 0], [0, 10]]]).round(2).tolist()
    [10.46, 38.19]
    """
    n = as_counts(counts)
    if n.ndim < 3 or n.shape[-2] < 1:
        raise SettingsError(
            "counts have the wrong shape", where="counts", expected="[blocks, checkpoints, options]"
        )
    return cuts.cut_g(n, threads=threads)


def order_test(
    counts: npt.ArrayLike, *, draws: int = 999, seed: int = 0, key: int = 0, threads: int = 1
) -> float | None:
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
    threads : int
        0 means CRYSTAL_THREADS, else all cores. Never changes the result.

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
    drawn = cuts.ordered_cut_g(n, orders, threads=threads).max(axis=1)
    return int((drawn >= observed - 1e-9).sum() + 1) / (draws + 1)
