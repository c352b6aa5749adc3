"""N-gram counts beside NumPy, which packs windows into 64-bit keys and sorts them; one thread each.

NumPy's keys are exact where n elements fit 64 bits, and a hash beyond. It counts
different n-grams and entropy; ours gives the repetition within each sample as well, in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crystal.ops.ngrams import ngram_counts

ROWS = 200_000
SHAPES = [
    (shape, kind, mean) for shape in ("base", "collapsed") for kind, mean in (("tokens", 24), ("text", 60))
]


def hash_and_sort(values: Any, offsets: Any, n: int) -> tuple[int, float]:
    """Different n-grams and their entropy in bits."""
    bits = max(int(values.max()).bit_length(), 1)
    keys = values[: len(values) - n + 1].astype(np.uint64)
    for i in range(1, n):
        step = values[i : len(values) - n + 1 + i].astype(np.uint64)
        if n * bits <= 64:
            keys = (keys << np.uint64(bits)) | step
        else:
            keys = (keys ^ (keys >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + step
    inside = np.ones(len(values), bool)
    for i in range(1, n):
        ends = offsets[1:] - i
        inside[ends[ends >= offsets[:-1]]] = False
    counts = np.unique(keys[inside[: len(keys)]], return_counts=True)[1]
    share = counts / counts.sum()
    return len(counts), -float(np.sum(share * np.log2(share)))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize(("shape", "kind", "mean"), SHAPES)
def test_ngrams(
    race: Callable[..., None], make_samples: Callable[..., Any], shape: str, kind: str, mean: int, n: int
) -> None:
    values, offsets = make_samples(shape, kind, ROWS, mean)
    found = ngram_counts(values, offsets, n, threads=1)
    distinct, entropy = hash_and_sort(values, offsets, n)
    assert found.distinct == distinct
    assert found.entropy == pytest.approx(entropy, rel=1e-9)
    race(
        f"{n}-grams {shape} {kind} {mean}",
        found.total,
        rounds=3,
        crystal=lambda: ngram_counts(values, offsets, n, threads=1),
        numpy=lambda: hash_and_sort(values, offsets, n),
    )
