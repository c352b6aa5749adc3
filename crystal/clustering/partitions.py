"""One way of making partitions: the method, the geometry, and what both need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.clustering.results import Floats, Tree, in_order
from crystal.ops.clustering import best_lloyd, link
from crystal.ops.divergence_matrix import hellinger_matrix, js_matrix
from crystal.ops.resampling import stream_key

Labels = npt.NDArray[np.int32]


class Partition(NamedTuple):
    """Rows in clusters."""

    labels: Labels
    objective: float
    """Mean cost of a row about the centre of its cluster."""


def generator(seed: int, *words: str | int) -> np.random.Generator:
    """Return random numbers that are a function of the seed and of what they are for."""
    return np.random.Generator(np.random.Philox(key=[seed, stream_key("clusters", *words)]))


@dataclass(frozen=True)
class Way:
    """How rows are put into clusters."""

    method: str
    geometry: str
    restarts: int
    threads: int

    def tree(self, rows: Floats) -> Tree:
        """Return the tree of a linkage of distributions [n, K]."""
        return self.tree_of(self.distances(rows))

    def tree_of(self, distances: Floats) -> Tree:
        """Return the tree of a linkage by distances [n, n], which are overwritten."""
        return Tree(*link(distances, self.method, overwrite=True))

    def distances(self, rows: Floats) -> Floats:
        """Return the distances [n, n] of distributions."""
        matrix = js_matrix if self.geometry == "js" else hellinger_matrix
        return matrix(rows, threads=self.threads)

    def partitions(
        self, rows: Floats, w: Floats, ks: Sequence[int], random: np.random.Generator
    ) -> list[Partition]:
        """Return a partition of distributions [n, K] with weights [n] for each number of clusters."""
        if self.method == "kmeans":
            labels = [in_order(self._best(rows, w, k, random)) for k in ks]
            return [Partition(one, self.objective(rows, w, one)) for one in labels]
        tree = self.tree(rows)
        (costs,) = self._costs([tree], [rows], w, ks)
        return [Partition(tree.cut(k), float(one)) for k, one in zip(ks, costs, strict=True)]

    def objectives(
        self, tables: Sequence[Floats], w: Floats, ks: Sequence[int], random: np.random.Generator
    ) -> Floats:
        """Return the objectives of :meth:`partitions` of each table, which a linkage has without labels."""
        if self.method != "kmeans":
            return self._costs([self.tree(rows) for rows in tables], tables, w, ks)
        made = [self.partitions(rows, w, ks, random) for rows in tables]
        return np.array([[one.objective for one in some] for some in made])

    def _costs(self, trees: Sequence[Tree], tables: Sequence[Floats], w: Floats, ks: Sequence[int]) -> Floats:
        """Return the objectives [trees, ks] of cuts: what merges cost, added up from the leaves."""
        n, many = len(w), np.arange(len(trees))
        share = (w / w.sum())[:, None, None]
        left, right = np.array([(tree.left, tree.right) for tree in trees]).transpose(1, 2, 0)
        # Of every cluster its mass, then its points: [cluster, tree, 1 + options].
        sums = np.empty((2 * n - 1, len(trees), tables[0].shape[1] + 1))
        sums[:n, :, :1] = share
        leaves = np.stack(tables, axis=1)
        np.multiply(leaves if self.geometry == "js" else np.sqrt(leaves), share, out=sums[:n, :, 1:])
        for i in range(n - 1):
            np.add(sums[left[i], many], sums[right[i], many], out=sums[n + i])
        mass, points = sums[..., 0], sums[..., 1:]
        spread: Floats
        if self.geometry == "js":  # the mass times the entropy of the mean
            spread = _xlog2x(mass) - _xlog2x(points).sum(axis=-1)
        else:  # less the mass times half the square of the mean
            squares = (points**2).sum(axis=-1)
            spread = -0.5 * np.divide(squares, mass, out=np.zeros_like(mass), where=mass > 0)
        merges = spread[n:] - spread[left, many] - spread[right, many]
        total = np.concatenate([np.zeros((1, len(trees))), np.maximum(merges, 0.0).cumsum(axis=0)])
        result: Floats = total[[n - k for k in ks]].T
        return result

    def objective(self, rows: Floats, w: Floats, labels: Labels) -> float:
        """Return the mean cost of a row about the mean of its cluster; bits in ``js``."""
        x = rows if self.geometry == "js" else np.sqrt(rows)
        own = (shares(labels, w) @ x)[labels]
        if self.geometry == "js":
            terms = x * np.log2(np.divide(x, own, out=np.ones_like(x), where=(x > 0) & (own > 0)))
        else:
            terms = 0.5 * (x - own) ** 2
        return float((w * terms.sum(axis=1)).sum() / w.sum())

    def _best(self, rows: Floats, w: Floats, k: int, random: np.random.Generator) -> Labels:
        uniforms = random.random((self.restarts, k, 2 + int(math.log(k))))
        return best_lloyd(rows, w, uniforms, self.geometry, threads=self.threads).labels


def _xlog2x(x: Floats) -> Floats:
    result: Floats = x * np.log2(np.maximum(x, 1e-300))  # half the time of a mask
    return result


def shares(labels: Labels, w: Floats) -> Floats:
    """Return each row's share in the mean of its cluster [k, n]; 0 in a cluster without weight."""
    member = (labels == np.arange(int(labels.max()) + 1)[:, None]) * w
    total = member.sum(axis=1, keepdims=True)
    result: Floats = np.divide(member, total, out=np.zeros_like(member), where=total > 0)
    return result


def adjusted_rand_index(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return how far two labellings of the same rows agree, less what chance gives (Hubert and Arabie 1985).

    Returns
    -------
    float
        1 for the same partition, 0 on average for unrelated ones; 1 where neither divides anything.

    Examples
    --------
    >>> adjusted_rand_index([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    >>> round(adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]), 2)
    -0.5
    """
    a, b = np.unique(first, return_inverse=True)[1], np.unique(second, return_inverse=True)[1]
    both = np.bincount(a * (int(b.max()) + 1) + b)

    def pairs(counts: npt.NDArray[np.int64]) -> float:
        return float((counts * (counts - 1)).sum()) / 2

    together, one, other = pairs(both), pairs(np.bincount(a)), pairs(np.bincount(b))
    expected = one * other / max(len(a) * (len(a) - 1) / 2, 1.0)
    most = (one + other) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)
