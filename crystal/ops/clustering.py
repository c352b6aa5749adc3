"""The compiled steps of clustering: Lloyd's algorithm and trees of merges."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Path = Literal["fastest", "scalar"]


class Merges(NamedTuple):
    """A tree in SciPy's convention, a row a merge, heights ascending."""

    left: Integers
    right: Integers
    height: Floats
    size: Integers


class Lloyd(NamedTuple):
    """Where Lloyd's algorithm ended."""

    labels: npt.NDArray[np.int32]
    centroids: Floats
    objective: float
    """Weighted sum of the rows' costs."""
    iterations: int
    converged: bool


def link(distances: npt.ArrayLike, method: str, *, overwrite: bool = False, path: Path = "fastest") -> Merges:
    """Build the tree of a linkage in O(n^2) time.

    ``complete`` and ``average`` follow chains of nearest neighbours (Murtagh, The Computer Journal 26, 1983),
    ``single`` is the minimum spanning tree (Prim 1957). The tree is that of
    ``scipy.cluster.hierarchy.linkage`` where no distances tie. Where some do, the nearest neighbour is the
    one before in the chain, then the lowest number.

    Parameters
    ----------
    distances : array_like, float64 [n, n] or [n (n - 1) / 2]
        A symmetric and finite table, or its upper triangle row by row as SciPy has it. The diagonal is not
        read.
    method : {"single", "complete", "average"}
    overwrite : bool
        Work in the memory of a float64 [n, n] array that is known to be good: it is not checked, and holds
        nothing of use afterwards. Else 8 n^2 bytes are taken.
    path : {"fastest", "scalar"}
        Which code runs: with AVX2 where the processor has it, or without. The same bytes.

    Returns
    -------
    Merges

    Raises
    ------
    InputError
        If the distances are no symmetric, finite table with a row.
    SettingsError
        If the method is unknown.

    Examples
    --------
    >>> link([[0.0, 1.0, 4.0], [1.0, 0.0, 6.0], [4.0, 6.0, 0.0]], "average").height.tolist()
    [1.0, 5.0]
    >>> link([1.0, 4.0, 6.0], "single").height.tolist()
    [1.0, 4.0]
    """
    if method not in ("single", "complete", "average"):
        raise SettingsError(
            "unknown linkage", where="method", expected="single, complete, average", got=repr(method)
        )
    given = np.ascontiguousarray(distances, dtype=np.float64)
    n = len(given) if given.ndim == 2 else (1 + math.isqrt(1 + 8 * len(given))) // 2
    if n == 0 or given.shape not in ((n, n), (n * (n - 1) // 2,)):
        raise InputError(
            "distances are a square table or its upper triangle",
            where="distances",
            expected="[n, n] or [n (n - 1) / 2]",
            got=str(given.shape),
        )
    in_place = overwrite and given.ndim == 2
    table = given if in_place else load().distance_table(given, n)
    if table is None:
        raise InputError("distances are finite and symmetric", where="distances")
    return Merges(*load().linkage(table, method, path == "scalar"))


def lloyd(
    x: npt.ArrayLike,
    weights: npt.ArrayLike,
    start: npt.ArrayLike,
    geometry: str,
    *,
    limit: int = 300,
    threads: int = 0,
    path: Path = "fastest",
) -> Lloyd:
    """Move centroids until no row changes its cluster (Lloyd 1982), on weighted rows.

    Rows whose centroid cannot have changed are passed over, by bounds on how far the costs moved (Hamerly,
    SDM 2010, for costs linear in the row); the labels are those of plain passes. A cluster that loses its
    rows moves to the row that costs most. Every pass lowers the objective or ends; the result is the same
    bytes for any number of threads.

    Parameters
    ----------
    x : array_like, float64 [n, K]
        ``js``: distributions, a row costs KL(p || c) in bits. ``hellinger``: their square roots, a row costs
        |x - c|^2 / 2.
    weights : array_like, float64 [n]
        Not negative.
    start : array_like, float64 [k, K]
        Centroids to start from, 1 <= k <= n.
    geometry : {"js", "hellinger"}
    limit : int
        Most passes.
    threads : int
        0 means CRYSTAL_THREADS, else all cores.
    path : {"fastest", "scalar"}
        Which code runs, as for :func:`link`.

    Returns
    -------
    Lloyd

    Raises
    ------
    InputError
        For shapes that do not match, values outside 0 to 1, or weights that are negative or not finite.
    SettingsError
        For an unknown geometry, a limit below 1 or a negative number of threads.

    Examples
    --------
    >>> rows = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]
    >>> lloyd(rows, [1, 1, 1], [rows[0], rows[2]], "js").labels.tolist()
    [0, 0, 1]
    """
    _check(geometry, limit, threads, "lloyd")
    rows = np.ascontiguousarray(x, dtype=np.float64)
    masses = np.ascontiguousarray(weights, dtype=np.float64)
    centroids = np.ascontiguousarray(start, dtype=np.float64)
    if (
        rows.ndim != 2
        or masses.shape != rows.shape[:1]
        or centroids.ndim != 2
        or centroids.shape[1] != rows.shape[1]
        or not 1 <= len(centroids) <= len(rows)
    ):
        raise InputError(
            "rows, weights and centroids do not match",
            where="lloyd",
            expected="[n, K], [n] and [k, K] with k from 1 to n",
            got=f"{rows.shape}, {masses.shape}, {centroids.shape}",
        )
    _check_values("lloyd", x=rows, weights=masses, start=centroids)
    return Lloyd(*load().kmeans(rows, masses, centroids, geometry, limit, threads, path == "scalar"))


def start_rows(
    roots: npt.ArrayLike, weights: npt.ArrayLike, uniforms: npt.ArrayLike, *, path: Path = "fastest"
) -> Integers:
    """Choose rows to start k-means from: greedy k-means++ (Arthur and Vassilvitskii 2007).

    Of ``trials`` candidates each the one that lowers the sum most is taken. Chances are in proportion to the
    weight times the squared Hellinger distance from the nearest start so far, in any geometry: it bounds the
    JSD from both sides, where KL(p || q) to a row is infinite wherever the row has a zero.

    Parameters
    ----------
    roots : array_like, float64 [n, K]
        Square roots of distributions.
    weights : array_like, float64 [n]
        Not negative.
    uniforms : array_like, float64 [k, trials]
        Random numbers in [0, 1): the choice is a function of them.
    path : {"fastest", "scalar"}
        Which code runs, as for :func:`link`.

    Returns
    -------
    ndarray, int64 [k]
        Rows; some twice where fewer than k are distinct.

    Raises
    ------
    InputError
        For shapes that do not match.

    Examples
    --------
    >>> start_rows([[1.0, 0.0], [0.0, 1.0]], [1, 1], [[0.9], [0.9]]).tolist()
    [1, 0]
    """
    rows, masses, random = (np.ascontiguousarray(a, dtype=np.float64) for a in (roots, weights, uniforms))
    if rows.ndim != 2 or masses.shape != rows.shape[:1] or random.ndim != 2 or 0 in (len(rows), random.size):
        raise InputError(
            "rows, weights and random numbers do not match",
            where="start_rows",
            expected="[n, K], [n] and [k, trials]",
            got=f"{rows.shape}, {masses.shape}, {random.shape}",
        )
    result: Integers = load().kmeans_starts(rows, masses, random, path == "scalar")
    return result


def best_lloyd(
    p: npt.ArrayLike,
    weights: npt.ArrayLike,
    uniforms: npt.ArrayLike,
    geometry: str,
    *,
    limit: int = 300,
    threads: int = 0,
) -> Lloyd:
    """Run :func:`lloyd` from several choices of :func:`start_rows` and return the best end.

    Parameters
    ----------
    p : array_like, float64 [n, K]
        Distributions, in either geometry.
    weights : array_like, float64 [n]
        Not negative.
    uniforms : array_like, float64 [runs, k, trials]
        Random numbers in [0, 1); 1 <= k <= n.
    geometry, limit, threads
        As of :func:`lloyd`.

    Returns
    -------
    Lloyd
        Of the run with the lowest objective, the first among equals.

    Raises
    ------
    InputError
        For shapes that do not match, or values outside 0 to 1.
    SettingsError
        As :func:`lloyd`.

    Examples
    --------
    >>> best_lloyd([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], [1, 1, 1], [[[0.5], [0.5]]], "js").labels.tolist()
    [0, 0, 1]
    """
    _check(geometry, limit, threads, "best_lloyd")
    rows, masses, random = (np.ascontiguousarray(a, dtype=np.float64) for a in (p, weights, uniforms))
    if (
        rows.ndim != 2
        or masses.shape != rows.shape[:1]
        or random.ndim != 3
        or random.size == 0
        or random.shape[1] > len(rows)
    ):
        raise InputError(
            "rows, weights and random numbers do not match",
            where="best_lloyd",
            expected="[n, K], [n] and [runs, k, trials] with k from 1 to n",
            got=f"{rows.shape}, {masses.shape}, {random.shape}",
        )
    _check_values("best_lloyd", p=rows, weights=masses)
    roots = np.sqrt(rows)
    x = rows if geometry == "js" else roots
    return Lloyd(*load().kmeans_best(x, roots, masses, random, geometry, limit, threads, False))


def _check(geometry: str, limit: int, threads: int, where: str) -> None:
    if geometry not in ("js", "hellinger") or limit < 1 or threads < 0:
        raise SettingsError(
            "a fit needs a known geometry, a positive limit and threads that are not negative",
            where=where,
            got=f"geometry={geometry!r}, limit={limit}, threads={threads}",
        )


def _check_values(where: str, **arrays: Floats) -> None:
    for name, array in arrays.items():
        # NaN fails the comparison.
        most = np.inf if name == "weights" else 1.0 + 1e-6
        if not (array.size == 0 or (array.min() >= 0 and array.max() <= most and array.max() < np.inf)):
            raise InputError(
                "weights are finite and not negative, other values are 0 to 1", where=f"{where}, {name}"
            )
