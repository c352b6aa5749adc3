"""Near-duplicate clusters end to end beside rensa and datasketch, each on one thread.

All start from values and offsets. Peers join whatever their bands propose; ours compares every pair that it
joins. Equal rows are left out first for peers too. `rensa_ready` is given each distinct row's shingles ready
made, free of charge. All have to find 0.99 of the pairs that are similar among the first rows. On base-like
data peers are timed on a part of the rows, which favours them: a larger index has more candidates a row.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from crystal.benchmarking.ragged import edited
from crystal.ops.near_duplicates import SHINGLE, near_duplicates
from crystal.ops.sequences import count_sequences

rensa = pytest.importorskip("rensa")
datasketch = pytest.importorskip("datasketch")

ROWS, PART, CHECKED, THRESHOLD, BANDS, WIDE = 1_000_000, 10_000, 2000, 0.8, 25, 5
SHAPES = [
    (shape, kind, mean) for shape in ("base", "collapsed") for kind, mean in (("tokens", 64), ("text", 200))
]


def row_bytes(values: Any, offsets: Any) -> list[bytes]:
    return [values[begin:end].tobytes() for begin, end in pairwise(offsets.tolist())]


def shingles(row: bytes, size: int, step: int) -> list[bytes]:
    return [row[i : i + size] for i in range(0, max(len(row) - size, 0) + 1, step)]


def connected(rows: int, pairs: list[tuple[int, int]]) -> Any:
    """Return the cluster of each row: union-find, compiled."""
    edges = np.array(pairs or [(0, 0)])
    graph = csr_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(rows, rows))
    return connected_components(graph, directed=False)[1]


def with_rensa(sets: list[list[bytes]]) -> Any:
    signed = rensa.RMinHash.from_token_sets(sets, BANDS * WIDE, 42)
    index = rensa.RMinHashLSH(THRESHOLD, BANDS * WIDE, BANDS)
    index.insert_many(signed)
    found = index.query_all(signed)
    return connected(len(sets), [(row, other) for row, some in enumerate(found) for other in some])


def with_datasketch(sets: list[list[bytes]]) -> Any:
    index = datasketch.MinHashLSH(num_perm=BANDS * WIDE, params=(BANDS, WIDE))
    pairs = []
    for row, signature in enumerate(datasketch.MinHash.bulk(sets, num_perm=BANDS * WIDE)):
        pairs += [(row, other) for other in index.query(signature)]
        index.insert(row, signature, check_duplication=False)
    return connected(len(sets), pairs)


def similar_pairs(sets: list[list[bytes]]) -> tuple[Any, Any]:
    """Return all pairs of rows whose exact similarity reaches the threshold."""
    numbers: dict[bytes, int] = {}
    rows, columns = [], []
    for row, some in enumerate(sets):
        for shingle in set(some):
            rows.append(row)
            columns.append(numbers.setdefault(shingle, len(numbers)))
    holds = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(sets), len(numbers)))
    shared = (holds @ holds.T).tocoo()
    sizes = np.bincount(rows)
    similarity = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    wanted = (similarity >= THRESHOLD) & (shared.row < shared.col)
    return shared.row[wanted], shared.col[wanted]


@pytest.mark.parametrize(("shape", "kind", "mean"), SHAPES)
def test_clusters(
    race: Callable[..., None], make_samples: Callable[..., Any], shape: str, kind: str, mean: int
) -> None:
    values, offsets = edited(*make_samples(shape, kind, ROWS, mean))[:2]
    n = SHINGLE["element" if kind == "tokens" else "character"]
    peer_rows = PART if shape == "base" else ROWS
    size, step = n * values.itemsize, values.itemsize

    def distinct(count: int) -> list[list[bytes]]:
        return [shingles(row, size, step) for row in dict.fromkeys(row_bytes(values, offsets[: count + 1]))]

    ready = distinct(peer_rows)
    sets = distinct(CHECKED)
    first, second = similar_pairs(sets)
    assert len(first) > 20
    runs = {
        "crystal": lambda: near_duplicates((values, offsets), THRESHOLD, n=n, threads=1),
        "rensa": lambda: with_rensa(distinct(peer_rows)),
        "rensa_ready": lambda: with_rensa(ready),
    }
    rows = {"crystal": ROWS, "rensa": peer_rows, "rensa_ready": peer_rows}
    if shape == "base":
        runs["datasketch"] = lambda: with_datasketch(distinct(CHECKED))
        rows["datasketch"] = CHECKED
    ours = near_duplicates((values, offsets), THRESHOLD, n=n, threads=1).inverse
    found = {"rensa": with_rensa(sets), "datasketch": with_datasketch(sets)}
    place = count_sequences(values, offsets[: CHECKED + 1]).first
    found["crystal"] = ours[place]
    for name, clusters in found.items():
        assert np.mean(clusters[first] == clusters[second]) >= 0.99, name
    race(f"near-duplicates {shape} {kind} {mean}", rows, 2, **runs)
