"""Clusters of samples that lie so far apart that the draws of their null would tell nothing more."""

from __future__ import annotations

import numpy as np

from crystal.clustering.partitions import Labels, shares
from crystal.clustering.results import Floats, Integers
from crystal.ops.divergence_matrix import js_matrix
from crystal.statistics.special import LN2

SURE = 7.0
"""Normal deviate of what sampling would have to do for a draw to matter."""
EXCESS = 1.25
"""A likelihood ratio of options that are hardly ever seen has up to this many times its chi-squared mean."""


def beyond_null(rows: Floats, sizes: Integers, labels: Labels, drop: float) -> float | None:
    r"""Return what the null of these clusters cannot reach, if the objective falls by more; else None.

    Within a cluster, under the null, the JSD of two samples of n and m is :math:`\chi^2 (1/n + 1/m) / (8 \ln
    2)` bits, that of one from its truth :math:`\chi^2 / (8 n \ln 2)`; the square root of the JSD is a metric.
    If the centres are so far apart that the farthest two of one cluster stay nearer than the nearest two of
    different ones, any linkage of a draw is cut into these very clusters. What more clusters then explain is
    at most the likelihood ratio within them: no more than 1.25 times its degrees of freedom f on average, and
    beyond that z sqrt(4 f) + z^2, as a sum of terms with the tail of a chi-squared (Bernstein's form). All at
    z = ``SURE`` normal deviates.

    Parameters
    ----------
    rows : ndarray, float64 [n, K]
        Shares of the options.
    sizes : ndarray, int64 [n]
        Samples of each row.
    labels : ndarray, int32 [n]
        The clusters of the null.
    drop : float
        By how much the objective falls from them to one more, bits.

    Returns
    -------
    float or None
        Bits, below ``drop``.
    """
    w = sizes.astype(np.float64)
    centres = shares(labels, w) @ rows
    freedom = np.maximum((centres > 0).sum(axis=1) - 1.0, 1.0)
    all_freedom = float(((np.bincount(labels) - 1) * freedom).sum())
    most = EXCESS * all_freedom + SURE * np.sqrt(4.0 * all_freedom) + SURE**2
    bound = float(most / (2.0 * LN2 * w.sum()))
    if drop <= bound:
        return None
    fewest = np.full(len(centres), np.inf)
    np.minimum.at(fewest, labels, w)
    spread = 2.0 / (9.0 * freedom)  # Wilson and Hilferty 1931
    squares = freedom * (1.0 - spread + SURE * np.sqrt(spread)) ** 3 / (8.0 * LN2 * fewest)
    radius, across = np.sqrt(squares), np.sqrt(2.0 * squares.max())
    apart = np.sqrt(np.maximum(js_matrix(centres, threads=1), 0.0)) - radius[:, None] - radius
    np.fill_diagonal(apart, np.inf)
    return bound if apart.min() > across else None
