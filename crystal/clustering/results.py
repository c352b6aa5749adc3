"""What clustering returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree of merges in SciPy's convention: cluster n + i is what merge i made."""

    left: Integers
    """int64 [n - 1]: the smaller number of the two that are merged."""
    right: Integers
    """int64 [n - 1]: the larger one."""
    height: Floats
    """float64 [n - 1], not descending: the linkage between the two."""
    size: Integers
    """int64 [n - 1]: rows in the cluster made."""

    def to_scipy(self) -> Floats:
        """Return the matrix [n - 1, 4] that ``scipy.cluster.hierarchy`` takes."""
        columns = [self.left, self.right, self.height, self.size]
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)

    def cut(self, k: int) -> npt.NDArray[np.int32]:
        """Return labels int32 [n] of ``k`` clusters, numbered in the order of their first rows."""
        n = len(self.left) + 1
        parent = list(range(2 * n - 1))
        for i in range(n - k):
            parent[int(self.left[i])] = parent[int(self.right[i])] = n + i
        for i in range(2 * n - 2, -1, -1):  # from the root down: a parent's parent is known before
            parent[i] = parent[parent[i]]
        return in_order(np.array(parent[:n]))


class NullTest(NamedTuple):
    """Whether ``k`` clusters are enough: a test of what more would explain."""

    k: int
    """Clusters under the null."""
    drop: float
    """By how much the objective falls from k to k + 1 clusters."""
    chance: float
    """Mean of the same over the draws of the null; what they cannot exceed, where they would tell no more."""
    p: float
    """(draws whose statistic reaches that of the data + 1) / (draws + 1)."""
    draws: int
    """Draws of the null. None is made, and p is as after all of them, where none could reach the data."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """What :func:`crystal.cluster_distributions` found."""

    labels: npt.NDArray[np.int32]
    """int32 [n], in [0, k), numbered in the order of their first rows."""
    k: int
    """How many clusters there are."""
    centroids: Floats
    """float64 [k, K]: the weighted mean distribution of each cluster, whatever the method."""
    sizes: Floats
    """float64 [k]: the sum of the weights of each."""
    objective: float
    """Mean cost of a row about the centre of its cluster, as k-means counts it, whatever the method."""
    tree: Tree | None
    """The whole tree of a linkage, None for k-means."""
    tests: tuple[NullTest, ...]
    """The tests that chose ``k``, from one cluster on, to the first null that was kept; empty where ``k`` was
    given."""
    stability: float | None
    """Mean adjusted Rand index between the labels and those of clusters made of 0.8 of the rows; None for one
    cluster, or where it was not asked for."""
    method: str
    """As it was asked for."""
    geometry: str
    """As it was asked for."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand over a row a distribution, columns ``row`` and ``cluster``, to anything that reads Arrow."""
        import pyarrow as pa

        table = pa.table({"row": np.arange(len(self.labels)), "cluster": self.labels})
        return table.__arrow_c_stream__(requested_schema)


def in_order(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return labels numbered in the order of their first rows.

    Examples
    --------
    >>> import numpy as np
    >>> in_order(np.array([7, 3, 7, 0])).tolist()
    [0, 1, 0, 2]
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    result: npt.NDArray[np.int32] = rank[inverse]
    return result
