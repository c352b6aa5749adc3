"""Distributions into groups: k-means in two geometries, and linkages."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from crystal.clustering.results import Clusters, Floats, Tree, in_order
from crystal.errors import InputError, SettingsError
from crystal.ops.clustering import Lloyd, link, lloyd
from crystal.ops.divergence_matrix import hellinger_matrix, js_matrix
from crystal.ops.resampling import stream_key
from crystal.statistics.arrays import as_probabilities

Method = Literal["kmeans", "average", "complete", "single"]
Geometry = Literal["js", "hellinger"]
RESTARTS = 10


def cluster_distributions(
    p: npt.ArrayLike,
    method: Method = "kmeans",
    *,
    k: int,
    geometry: Geometry = "js",
    weights: npt.ArrayLike | None = None,
    restarts: int = RESTARTS,
    seed: int = 0,
    threads: int = 0,
) -> Clusters:
    r"""Group distributions into ``k`` clusters.

    ``kmeans`` minimises the mean cost of a row about the centre of its cluster. In geometry ``js`` the cost
    is KL(p || c) in bits, and the centre is the mean distribution, which is the best one; the objective is
    then the Jensen-Shannon information within clusters, what is left of promptability once the cluster is
    known (Dhillon, Mallela and Kumar, JMLR 3, 2003). In ``hellinger`` the cost is
    :math:`\tfrac12 |\sqrt p - c|^2`, and the centre is the mean of the square roots. Starts are drawn by
    greedy k-means++ (Arthur and Vassilvitskii 2007): chances in proportion to the squared Hellinger distance
    from the nearest start so far, which bounds the JSD from both sides. The best of ``restarts`` is kept, the
    first among equals.

    ``average``, ``complete`` and ``single`` merge the two nearest clusters, by JSD (bits) or by Hellinger
    distance, until ``k`` are left: the whole tree is returned too, and equals SciPy's where no distances tie
    (:func:`crystal.ops.clustering.link`). They hold 8 n^2 bytes.

    How many clusters there are is not decided here. Rows of few samples differ by chance alone: clusters of
    such rows are not shown to be different distributions.

    Parameters
    ----------
    p : array_like, float64 or float32 [n, K]
        Distributions.
    method : {"kmeans", "average", "complete", "single"}
    k : int
        Clusters, 1 to n. k-means leaves fewer where there are fewer distinct rows.
    geometry : {"js", "hellinger"}
    weights : array_like, float64 [n], optional
        Weights of the rows in centres and objective, not negative with a positive sum; equal by default.
        A linkage's tree does not use them.
    restarts : int
        Starts of k-means, at least 1.
    seed : int
        Of the counter-based random numbers.
    threads : int
        0 means CRYSTAL_THREADS, else all cores. Never changes the result; only BLAS, of its own threads, may
        change last bits of Hellinger distances, and of the chances of starts.

    Returns
    -------
    Clusters
        labels int32 [n] and more; clusters are numbered in the order of their first rows.

    Raises
    ------
    InputError
        If a row is no distribution, or weights do not fit.
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
    """
    rows = as_probabilities(p, ndim=2)
    for name, value, known in (("method", method, Method), ("geometry", geometry, Geometry)):
        if value not in get_args(known):
            raise SettingsError(
                "unknown setting", where=name, expected=", ".join(get_args(known)), got=repr(value)
            )
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= len(rows):
        raise SettingsError(
            "the number of clusters is outside its range",
            where="k",
            expected=f"1 to {len(rows)}",
            got=repr(k),
        )
    if restarts < 1 or threads < 0:
        raise SettingsError(
            "restarts are positive and threads not negative",
            where="cluster_distributions",
            got=f"restarts={restarts}, threads={threads}",
        )
    w = _weights(weights, len(rows))
    x = rows if geometry == "js" else np.sqrt(rows)
    if method == "kmeans":
        tree = None
        labels = in_order(_best(rows, x, w, int(k), geometry, restarts, seed, threads).labels)
    else:
        distances = js_matrix if geometry == "js" else hellinger_matrix
        tree = Tree(*link(distances(rows, threads=threads), method, overwrite=True))
        labels = tree.cut(int(k))
    found = int(labels.max()) + 1
    member = (labels == np.arange(found)[:, None]) * w
    sizes = member.sum(axis=1)
    share = np.divide(member, sizes[:, None], out=np.zeros_like(member), where=sizes[:, None] > 0)
    return Clusters(
        labels=labels,
        k=found,
        centroids=share @ rows,
        sizes=sizes,
        objective=float((w * _costs(x, (share @ x)[labels], geometry)).sum() / w.sum()),
        tree=tree,
        method=method,
        geometry=geometry,
    )


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


def _costs(x: Floats, centres: Floats, geometry: str) -> Floats:
    """Return what every row costs about its own centre [n]; bits in js."""
    ratio = np.divide(x, centres, out=np.ones_like(x), where=(x > 0) & (centres > 0))
    terms = x * np.log2(ratio) if geometry == "js" else 0.5 * (x - centres) ** 2
    result: Floats = terms.sum(axis=1)
    return result


def _best(
    rows: Floats, x: Floats, w: Floats, k: int, geometry: str, restarts: int, seed: int, threads: int
) -> Lloyd:
    roots = np.sqrt(rows) if geometry == "js" else x
    best: Lloyd | None = None
    for restart in range(restarts):
        starts = _starts(roots, w, k, (seed, restart))
        fit = lloyd(x, w, x[starts], geometry, threads=threads)
        if best is None or fit.objective < best.objective:
            best = fit
    assert best is not None  # noqa: S101 - restarts is at least 1
    return best


def _starts(roots: Floats, w: Floats, k: int, stream: tuple[int, int]) -> list[int]:
    """Draw rows by greedy k-means++: of a few candidates the one that lowers the sum most is taken.

    Chances go with the squared Hellinger distance in both geometries: one product of matrices a step, and
    KL(p || q) to a row would be infinite wherever the row has a zero.
    """
    trials = 2 + int(math.log(k))
    chosen = [_draw(np.cumsum(w), stream, 0, 0)]
    nearest = _apart(roots, chosen)[:, 0]
    for step in range(1, k):
        chances = w * nearest
        if not chances.sum() > 0:  # no more distinct rows: any will do, its cluster stays empty
            chances = w
        total = np.cumsum(chances)
        candidates = [_draw(total, stream, step, trial) for trial in range(trials)]
        lowered = np.minimum(nearest[:, None], _apart(roots, candidates))
        best = int((w @ lowered).argmin())
        chosen.append(candidates[best])
        nearest = lowered[:, best]
    return chosen


def _apart(roots: Floats, chosen: list[int]) -> Floats:
    """Return the squared Hellinger distance of every row from some of them [n, chosen]."""
    apart: Floats = np.maximum(1.0 - roots @ roots[chosen].T, 0.0)
    return apart


def _draw(total: Floats, stream: tuple[int, int], step: int, trial: int) -> int:
    """Return a row by running sums of chances: a function of seed, restart, step and trial."""
    uniform = stream_key("k-means++", *stream, step, trial) / 2**64
    return int(np.searchsorted(total, uniform * total[-1], side="right").clip(0, len(total) - 1))
