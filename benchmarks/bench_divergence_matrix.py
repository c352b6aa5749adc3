"""Jensen-Shannon and Hellinger matrices beside numba, SciPy and NumPy, on one thread; answers compared first.

Two peers in numba: the definition (two logarithms an option), and the entropy form with the rows' own sums
taken before (one logarithm), which is what we compute too, but loses rows that are nearly equal. Both leave
out half of the pairs. The race is against the fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from crystal.ops.divergence_matrix import hellinger_matrix, js_matrix

numba = pytest.importorskip("numba")


@numba.njit
def by_definition(p: Any) -> Any:
    rows, options = p.shape
    out = np.zeros((rows, rows))
    for i in range(rows):
        for j in range(i):
            total = 0.0
            for k in range(options):
                a, b = p[i, k], p[j, k]
                m = 0.5 * (a + b)
                if a > 0:
                    total += a * math.log(a / m)
                if b > 0:
                    total += b * math.log(b / m)
            out[i, j] = out[j, i] = 0.5 * total / math.log(2.0)
    return out


@numba.njit
def by_entropies(p: Any) -> Any:
    rows, options = p.shape
    out = np.zeros((rows, rows))
    own = np.zeros(rows)
    for i in range(rows):
        for k in range(options):
            if p[i, k] > 0:
                own[i] += p[i, k] * math.log(p[i, k])
    for i in range(rows):
        for j in range(i):
            total = 0.0
            for k in range(options):
                m = 0.5 * (p[i, k] + p[j, k])
                if m > 0:
                    total -= m * math.log(m)
            out[i, j] = out[j, i] = (total + 0.5 * (own[i] + own[j])) / math.log(2.0)
    return out


def by_product(p: Any) -> Any:
    roots = np.sqrt(p)
    return np.sqrt(np.maximum(1.0 - roots @ roots.T, 0.0))


def rows_of(kind: str, rows: int, options: int) -> Any:
    """``wide``: sparse-ish rows far apart. ``near``: one distribution, 10,000 samples a row."""
    rng = np.random.default_rng(1)
    if kind == "wide":
        return rng.dirichlet(np.full(options, 0.5), size=rows)
    return rng.multinomial(10_000, rng.dirichlet(np.ones(options)), size=rows) / 10_000


@pytest.mark.parametrize(
    ("kind", "rows", "options"),
    [("wide", 1000, 10), ("wide", 1000, 16), ("wide", 600, 100), ("near", 1000, 16)],
)
def test_js(race: Callable[..., None], kind: str, rows: int, options: int) -> None:
    p = rows_of(kind, rows, options)
    ours = js_matrix(p, threads=1)
    np.testing.assert_allclose(ours, by_definition(p), rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours, by_entropies(p), rtol=0, atol=1e-12)
    peer = squareform(pdist(p[:99], "jensenshannon") ** 2) / math.log(2)
    np.testing.assert_allclose(ours[:99, :99], peer, rtol=0, atol=1e-12)
    race(
        f"js {kind} {rows} x {options}, pairs",
        rows * (rows - 1) // 2,
        crystal=lambda: js_matrix(p, threads=1),
        numba_entropies=lambda: by_entropies(p),
        numba_definition=lambda: by_definition(p),
        scipy_pdist=lambda: pdist(p, "jensenshannon"),
    )


@pytest.mark.parametrize(("rows", "options"), [(2000, 16), (2000, 100), (1500, 1000)])
def test_hellinger(race: Callable[..., None], rows: int, options: int) -> None:
    p = rows_of("wide", rows, options)
    ours = hellinger_matrix(p, threads=1)
    off = ~np.eye(rows, dtype=bool)
    np.testing.assert_allclose(ours[off], by_product(p)[off], rtol=0, atol=1e-12)
    race(
        f"hellinger {rows} x {options}, pairs",
        rows * (rows - 1) // 2,
        crystal=lambda: hellinger_matrix(p, threads=1),
        numpy_product=lambda: by_product(p),
    )
