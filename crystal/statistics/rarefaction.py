"""What a fixed number of draws shows: diversity that does not depend on how much there is.

Out of N things, some of them equal, B are drawn without replacement. A kind with c things among them is
missed with probability C(N - c, B) / C(N, B), and everything here is an expectation over all ways to draw
(Hurlbert, The nonconcept of species diversity, Ecology 52, 1971). Nothing is drawn, so nothing is random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.statistics.special import log_rising, xlog2x

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def missed(counts: npt.ArrayLike, totals: npt.ArrayLike, budget: int) -> Floats:
    """Return the probability that none of ``budget`` draws is of a kind.

    Parameters
    ----------
    counts : array_like of int
        How many things are of the kind, at least 0.
    totals : array_like of int
        How many things there are in all, at least ``budget`` and ``counts``.
    budget : int
        Draws.

    Returns
    -------
    float64
        In [0, 1].

    Examples
    --------
    >>> missed([0, 1, 3, 4], 4, 2).round(3).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    c, n, inverse, shape = _pairs(counts, totals)
    result = np.zeros(len(c))
    can = c <= n - budget
    left = n[can] - budget + 1.0
    result[can] = np.exp(np.minimum(log_rising(left - c[can], budget) - log_rising(left, budget), 0.0))
    return result[inverse].reshape(shape)


def entropy_parts(counts: npt.ArrayLike, totals: npt.ArrayLike, budget: int) -> Floats:
    """Return what each kind adds to the expected plug-in entropy of ``budget`` draws, in bits.

    The sum over j of P(j of the draws are of the kind) times -(j / B) log2(j / B). Summed over the kinds it
    lies in [0, log2 B].

    Parameters
    ----------
    counts, totals, budget
        As for :func:`missed`; counts are at least 1.

    Returns
    -------
    float64

    Examples
    --------
    >>> float(entropy_parts([2, 2], 4, 2).sum().round(4))
    0.6667
    """
    c, n, inverse, shape = _pairs(counts, totals)
    # Counts that are small meet few j: a ragged list of all (kind, j), j from 1 on.
    most = np.minimum(c, budget)
    kind = np.repeat(np.arange(len(c)), most)
    j = np.arange(len(kind)) - np.repeat(np.cumsum(most) - most, most) + 1.0
    own, all_ = c[kind].astype(np.float64), n[kind].astype(np.float64)
    possible = budget - j <= all_ - own
    j, own, all_, kind = j[possible], own[possible], all_[possible], kind[possible]
    log_p = _log_choose(own, j) + _log_choose(all_ - own, budget - j)
    log_p -= _log_choose(all_, np.full_like(all_, budget))
    parts = sum_by(kind, np.exp(log_p) * -xlog2x(j / budget), len(most))
    return parts[inverse].reshape(shape)


def sum_by(index: Integers, values: Floats, size: int) -> Floats:
    """Return the sum of the values of each index from 0 to ``size - 1``."""
    return np.bincount(index, values, minlength=size).astype(np.float64)


def _pairs(
    counts: npt.ArrayLike, totals: npt.ArrayLike
) -> tuple[Integers, Integers, Integers, tuple[int, ...]]:
    """Return the distinct (count, total), and which of them each element is: most elements are alike."""
    c, n = np.broadcast_arrays(np.asarray(counts, np.int64), np.asarray(totals, np.int64))
    sizes, of_total = np.unique(n, return_inverse=True)
    keys, inverse = np.unique(c.reshape(-1) * max(len(sizes), 1) + of_total.reshape(-1), return_inverse=True)
    own, place = np.divmod(keys, max(len(sizes), 1))
    return own, sizes[place], inverse.reshape(-1), c.shape


def _log_choose(n: Floats, k: Floats) -> Floats:
    return log_rising(n - k + 1.0, k) - log_rising(1.0, k)
