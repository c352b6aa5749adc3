"""How much of a distribution its samples have seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.statistics.arrays import Floats, as_counts


def coverage(counts: npt.ArrayLike) -> Floats:
    """Estimate the probability mass of the options that were seen (Chao and Jost 2012).

    With f1 options seen once and f2 seen twice among n samples,
    C = 1 - (f1/n) (n-1) f1 / ((n-1) f1 + 2 f2); for f2 = 0,
    C = 1 - (f1/n) (n-1)(f1-1) / ((n-1)(f1-1) + 2). All singletons: 0, which is a bound and no estimate.

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen.

    Returns
    -------
    ndarray, float64 [...]
        Between 0 and 1; NaN without samples.

    Examples
    --------
    >>> float(coverage([5, 4, 1]))
    1.0
    >>> coverage([[2, 1, 1, 0], [1, 1, 1, 1]]).tolist()
    [0.625, 0.0]
    """
    n = as_counts(counts)
    size = n.sum(axis=-1).astype(np.float64)
    once = (n == 1).sum(axis=-1).astype(np.float64)
    twice = (n == 2).sum(axis=-1).astype(np.float64)
    many = np.maximum(size, 1.0)
    top = np.where(twice > 0, (size - 1) * once, (size - 1) * (once - 1))
    bottom = top + np.where(twice > 0, 2 * twice, 2.0)
    # once = 0 makes the f2 = 0 form negative over zero-ish: nothing is unseen then.
    unseen = np.where(once > 0, once / many * top / np.where(bottom > 0, bottom, 1.0), 0.0)
    result = np.where(once == size, 0.0, 1.0 - unseen)
    return np.where(size > 0, np.clip(result, 0.0, 1.0), np.nan)[()]


def good_turing_coverage(counts: npt.ArrayLike) -> Floats:
    """Return Good and Turing's 1 - f1/n (Good 1953), the plainest estimate of the mass seen.

    Parameters and result are those of :func:`coverage`.

    Examples
    --------
    >>> float(good_turing_coverage([5, 4, 1]))
    0.9
    """
    n = as_counts(counts)
    size = n.sum(axis=-1)
    once = (n == 1).sum(axis=-1)
    return np.where(size > 0, 1.0 - once / np.maximum(size, 1), np.nan)[()]
