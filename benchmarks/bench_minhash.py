"""MinHash signatures beside numba and rensa, on one thread; all have to be correct estimates first.

Peers get their best case. The numba kernel is written as one would write the fastest: 32-bit products that it
vectorises for this very processor, shingles hashed in the same loop. rensa's compiled
matrix gets shingles that were hashed beforehand, free of charge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crystal.ops.minhash import jaccard, minhash, shingle_set, signature_similarity

numba = pytest.importorskip("numba")
rensa = pytest.importorskip("rensa")

ROWS, PLACES, N = 200_000, 128, 3
SHAPES = [
    (shape, kind, mean)
    for shape in ("base", "collapsed")
    for kind, mean in (("tokens", 12), ("text", 40), ("tokens", 64))
]


@numba.njit(nogil=True)
def mixed(x: Any) -> Any:
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xA0761D6478BD642F)
    return x ^ (x >> np.uint64(32))


@numba.njit(nogil=True)
def shingle_hashes(values: Any, offsets: Any, n: Any, out: Any, ends: Any) -> None:
    at = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        size = min(n, end - begin)
        for i in range(begin, end - size + 1):
            h = np.uint64(size)
            for j in range(i, i + size):
                h = h * np.uint64(0x9E6C63D0876A9A99) + np.uint64(values[j])
            out[at] = mixed(h)
            at += 1
        ends[row + 1] = at


@numba.njit(nogil=True)
def numba_minhash(values: Any, offsets: Any, n: Any, factors: Any, out: Any) -> None:
    places = len(factors)
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        least = out[row]
        least[:] = np.uint32(0xFFFFFFFF)
        size = min(n, end - begin)
        for i in range(begin, end - size + 1):
            h = np.uint64(size)
            for j in range(i, i + size):
                h = h * np.uint64(0x9E6C63D0876A9A99) + np.uint64(values[j])
            x = np.uint32(mixed(h) >> np.uint64(32))
            for p in range(places):
                value = np.uint32(x * factors[p])
                least[p] = min(least[p], value)


def check_estimates(make: Callable[[Any, Any], Any]) -> None:
    """Hold a sketch to its promise: over pairs of known similarity, no bias beyond five standard errors."""
    pairs, total, shared = 400, 40, 24
    rng = np.random.default_rng(1)
    ids = rng.permutation(1_000_000)[: pairs * total].reshape(pairs, total).astype(np.int32)
    only = (total - shared) // 2
    rows = []
    for some in ids:
        rows += [some[: shared + only], np.concatenate([some[:shared], some[shared + only :]])]
    offsets = np.arange(len(rows) + 1, dtype=np.int64) * len(rows[0])
    signatures = np.asarray(make(np.concatenate(rows), offsets))
    estimates = signature_similarity(signatures[::2], signatures[1::2])
    truth = jaccard(shingle_set(rows[0].tolist(), 1), shingle_set(rows[1].tolist(), 1))
    assert abs(estimates.mean() - truth) < 5 * estimates.std() / np.sqrt(pairs)
    assert estimates.std() < 1.3 * np.sqrt(truth * (1 - truth) / PLACES)


@pytest.mark.parametrize(("shape", "kind", "mean"), SHAPES)
def test_signatures(
    race: Callable[..., None], make_samples: Callable[..., Any], shape: str, kind: str, mean: int
) -> None:
    values, offsets = make_samples(shape, kind, ROWS, mean)
    factors = np.random.default_rng(0).integers(0, 1 << 32, PLACES, dtype=np.uint32) | np.uint32(1)

    def with_numba(data: Any, starts: Any, n: int) -> Any:
        out = np.empty((len(starts) - 1, PLACES), np.uint32)
        numba_minhash(data, starts, n, factors, out)
        return out

    def hashed(data: Any, starts: Any, n: int) -> tuple[Any, Any]:
        hashes, ends = np.empty(len(data) + len(starts), np.uint64), np.zeros(len(starts), np.uint64)
        shingle_hashes(data, starts, n, hashes, ends)
        return hashes[: int(ends[-1])], ends

    def with_rensa(hashes: Any, ends: Any) -> Any:
        return rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, ends, PLACES, 42)

    check_estimates(lambda data, starts: minhash(data, starts, n=1, permutations=PLACES, threads=1))
    check_estimates(lambda data, starts: with_numba(data, starts, 1))
    check_estimates(lambda data, starts: with_rensa(*hashed(data, starts, 1)).to_rows())
    hashes, ends = hashed(values, offsets, N)
    with_numba(values, offsets, N)
    race(
        f"minhash {shape} {kind} {mean}",
        ROWS,
        crystal=lambda: minhash(values, offsets, n=N, permutations=PLACES, unit="element", threads=1),
        numba=lambda: with_numba(values, offsets, N),
        rensa=lambda: with_rensa(hashes, ends),
    )
