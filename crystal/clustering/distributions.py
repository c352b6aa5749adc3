"""Distributions into groups: k-means in two geometries, and linkages; the number of groups with a test."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from crystal.clustering.number import choose, stability
from crystal.clustering.partitions import Way, generator, shares
from crystal.clustering.results import Clusters, Floats, NullTest
from crystal.errors import InputError, SettingsError
from crystal.statistics.arrays import as_counts, as_probabilities

Method = Literal["kmeans", "average", "complete", "single"]
Geometry = Literal["js", "hellinger"]


def cluster_distributions(
    p: npt.ArrayLike,
    method: Method = "kmeans",
    *,
    k: int | Literal["auto"] = "auto",
    geometry: Geometry = "js",
    counts: bool = False,
    weights: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    draws: int = 199,
    max_k: int = 10,
    restarts: int = 10,
    resamples: int | None = None,
    seed: int = 0,
    threads: int = 0,
) -> Clusters:
    r"""Group distributions into ``k`` clusters, or into as many as are shown to be there.

    ``kmeans`` minimises the mean cost of a row about the centre of its cluster. In geometry ``js`` the cost
    is KL(p || c) in bits, and the centre is the mean distribution, which is the best one; the objective is
    then the Jensen-Shannon information within clusters, what is left of promptability once the cluster is
    known (Dhillon, Mallela and Kumar, JMLR 3, 2003). In ``hellinger`` the cost is
    :math:`\tfrac12 |\sqrt p - c|^2`, and the centre is the mean of the square roots. Starts are drawn by
    greedy k-means++ (:func:`crystal.ops.clustering.start_rows`); the best of ``restarts`` is kept, the first
    among equals.

    ``average``, ``complete`` and ``single`` merge the two nearest clusters, by JSD (bits) or by Hellinger
    distance, until ``k`` are left: the whole tree is returned too, and equals SciPy's where no distances tie
    (:func:`crystal.ops.clustering.link`). They hold 8 n^2 bytes.

    With ``k="auto"`` the null of one cluster is tested, then of two, and so on, until one is kept at
    ``alpha``, so that too many come out at a rate of about ``alpha``. The statistic is by how much the
    objective falls from k to k + 1, 2 k and 4 k clusters, each in the standard deviations of data drawn from
    the null and clustered alike (parametric bootstrap, McLachlan 1987); the largest counts.

    * With ``counts`` the rows are numbers of samples, and the fall is a likelihood ratio. Null: each row is a
      sample of its size from the pooled distribution of its cluster. A cluster is one distribution, and the
      noise of sampling makes none.
    * Without, rows are exact, and falls are of the logarithm, as by the gap statistic (Tibshirani, Walther
      and Hastie 2001). Null: each cluster is a cloud without gaps, uniform along the principal axes of its
      square roots, with the cluster's own centre and covariance.

    ``single`` chains rows and splits off outliers; neither null holds its error rate, and it needs a ``k``.

    Parameters
    ----------
    p : array_like, float64 or float32 [n, K]
        Distributions, or counts.
    method : {"kmeans", "average", "complete", "single"}
    k : int or "auto"
        Clusters, 1 to n. k-means leaves fewer where there are fewer distinct rows.
    geometry : {"js", "hellinger"}
    counts : bool
        Whether rows are counts; then they weigh as many samples as they have.
    weights : array_like, float64 [n], optional
        Weights of exact rows in centres and objective, not negative with a positive sum; equal by default.
        A linkage's tree does not use them.
    alpha : float
        Level of each test, at least 1 / (draws + 1) and below 1.
    draws : int
        Draws of each null.
    max_k : int
        Most clusters that ``"auto"`` looks for. If all nulls below are rejected, k is ``max_k``.
    restarts : int
        Starts of k-means, at least 1.
    resamples : int, optional
        Resamples for ``stability``; 20 with ``"auto"``, else none by default.
    seed : int
        Of the counter-based random numbers, 0 to 2^64 - 1.
    threads : int
        0 means CRYSTAL_THREADS, else all cores. Never changes the result; only BLAS, of its own threads, may
        change last bits of Hellinger distances.

    Returns
    -------
    Clusters
        labels int32 [n] and more; clusters are numbered in the order of their first rows.

    Raises
    ------
    InputError
        If a row is no distribution or has no samples, or weights do not fit.
    SettingsError
        If a setting is unknown or outside its range.

    Examples
    --------
    >>> rows = [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.1, 0.8], [0.0, 0.2, 0.8]]
    >>> found = cluster_distributions(rows, k=2)
    >>> found.labels.tolist(), found.centroids.round(2).tolist()
    ([0, 0, 1, 1], [[0.85, 0.15, 0.0], [0.05, 0.15, 0.8]])
    >>> cluster_distributions(rows, "average", k=2).tree.size.tolist()
    [2, 2, 4]
    >>> seen = [[9, 1, 0], [8, 2, 0], [1, 1, 8], [0, 2, 8]]
    >>> cluster_distributions(seen, counts=True).k
    2
    """
    sizes: npt.NDArray[np.int64] | None = None
    if counts:
        sizes, rows, w = _sampled(p, weights)
    else:
        rows = as_probabilities(p, ndim=2)
        w = _weights(weights, len(rows))
    _check(method, geometry, k, len(rows))
    for name, value, holds, expected in (
        ("alpha", alpha, 1 / (draws + 1) <= alpha < 1 if draws > 0 else False, "1 / (draws + 1) to 1"),
        ("draws", draws, draws >= 1, "1 or more"),
        ("max_k", max_k, max_k >= 1, "1 or more"),
        ("restarts", restarts, restarts >= 1, "1 or more"),
        ("resamples", resamples, resamples is None or resamples >= 0, "0 or more"),
        ("seed", seed, 0 <= seed < 2**64, "0 to 2^64 - 1"),
        ("threads", threads, threads >= 0, "0 or more"),
    ):
        if not holds:
            raise SettingsError("outside its range", where=name, expected=expected, got=repr(value))
    if method == "single" and k == "auto":
        raise SettingsError(
            "no null holds for single linkage, which splits off outliers",
            where="k",
            fix="give the number of clusters, or use average linkage",
        )
    way = Way(method, geometry, restarts, threads)
    tests: tuple[NullTest, ...] = ()
    if k == "auto":
        partition, tests = choose(rows, w, sizes, way, alpha=alpha, draws=draws, most=max_k, seed=seed)
    else:
        (partition,) = way.partitions(rows, w, (int(k),), generator(seed, "data"))
    labels = partition.labels
    if resamples is None:
        resamples = 20 if k == "auto" else 0
    return Clusters(
        labels=labels,
        k=int(labels.max()) + 1,
        centroids=shares(labels, w) @ rows,
        sizes=np.bincount(labels, weights=w).astype(np.float64),
        objective=partition.objective,
        tree=None if method == "kmeans" else way.tree(rows),
        tests=tests,
        stability=stability(rows, w, labels, way, resamples, seed),
        method=method,
        geometry=geometry,
    )


def _check(method: str, geometry: str, k: object, rows: int) -> None:
    for name, value, known in (("method", method, Method), ("geometry", geometry, Geometry)):
        if value not in get_args(known):
            raise SettingsError(
                "unknown setting", where=name, expected=", ".join(get_args(known)), got=repr(value)
            )
    whole = isinstance(k, (int, np.integer)) and not isinstance(k, bool) and 1 <= k <= rows
    if rows == 0 or not (whole or (isinstance(k, str) and k == "auto")):
        raise SettingsError(
            "the number of clusters is outside its range",
            where="k",
            expected=f"1 to {rows}, or 'auto'",
            got=repr(k),
        )


def _sampled(
    values: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return the sizes of samples, their shares, and the sizes as weights."""
    table = as_counts(values, ndim=2)
    sizes = table.sum(axis=1)
    if (sizes == 0).any():
        raise InputError(
            "a row has no samples", where=f"p, row {int((sizes == 0).argmax())}", fix="leave such rows out"
        )
    if weights is not None:
        raise SettingsError("counts weigh as many samples as they have", where="weights")
    return sizes, table / sizes[:, None], sizes.astype(np.float64)


def _weights(weights: npt.ArrayLike | None, rows: int) -> Floats:
    if weights is None:
        return np.ones(rows)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (rows,) or not np.isfinite(w).all() or (w < 0).any() or w.sum() <= 0:
        raise InputError(
            "weights are one for each row, not negative, with a positive sum",
            where="weights",
            expected=f"[{rows}]",
            got=str(w.shape),
        )
    return w
