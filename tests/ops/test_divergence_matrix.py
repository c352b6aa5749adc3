"""Matrices of divergences: against float64 and exact references, near-equal rows, paths, threads."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import CrystalError
from crystal.ops.divergence_matrix import hellinger_matrix, js_matrix
from crystal.statistics import divergence as d

PATHS = ["scalar", "fastest"]


def table(rows: int, options: int, seed: int, power: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = rng.exponential(size=(rows, options)) ** power
    p[rng.random(p.shape) < 0.2] = 0.0
    p[:, 0] += 1e-30
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("rows", "options"), [(1, 1), (3, 2), (8, 10), (9, 129), (21, 300), (0, 3), (5, 0)])
def test_matrices_are_the_reference(rows: int, options: int, path: str) -> None:
    p = table(rows, options, seed=rows) if options else np.zeros((rows, 0))
    js, hellinger = js_matrix(p, path=path), hellinger_matrix(p, path=path)  # type: ignore[arg-type]
    assert js.shape == hellinger.shape == (rows, rows)
    for i in range(rows if options else 0):
        np.testing.assert_allclose(js[i], d.js_divergence(p[i], p), rtol=0, atol=1e-13)
        np.testing.assert_allclose(hellinger[i], d.hellinger(p[i], p), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(js, js.T)
    assert np.all(np.diag(js) == 0)
    assert np.all(np.diag(hellinger) == 0)


def exact_js(p: np.ndarray, q: np.ndarray) -> Decimal:
    getcontext().prec = 60
    total = Decimal(0)
    for a, b in zip(map(Decimal, map(float, p)), map(Decimal, map(float, q)), strict=True):
        for x in (a, b):
            if x > 0:
                total += x * (2 * x / (a + b)).ln()
    return total / 2 / Decimal(2).ln()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [1e-1, 1e-2, 1e-4, 1e-7, 1e-10, 1e-14])
def test_tiny_divergences_keep_their_relative_accuracy(size: float, path: str) -> None:
    """Some options move by a share, others appear: both formulas for near rows meet in one sum."""
    rng = np.random.default_rng(5)
    p = table(6, 40, seed=2)
    q = p * (1 + size * rng.standard_normal(p.shape))
    q[:, 7] = np.where(p[:, 7] == 0, size**2, q[:, 7])
    js, hellinger = js_matrix(p, q, path=path), hellinger_matrix(p, q, path=path)  # type: ignore[arg-type]
    for i in range(6):
        exact = float(exact_js(p[i], q[i]))
        assert js[i, i] == pytest.approx(exact, rel=1e-11)
        pairs = zip(map(Decimal, p[i].tolist()), map(Decimal, q[i].tolist()), strict=True)
        square = sum((a.sqrt() - b.sqrt()) ** 2 for a, b in pairs) / 2
        assert hellinger[i, i] == pytest.approx(float(Decimal(square).sqrt()), rel=1e-11)


def test_the_entropy_form_alone_would_fail() -> None:
    """The guard is needed: the form that is fast returns noise, even below zero, for such rows."""
    p = np.full(50, 0.02)
    q = p + 1e-10 * np.tile([1, -1], 25)
    s = (p + q) / 2
    plain = -(s * np.log2(s)).sum() + ((p * np.log2(p)).sum() + (q * np.log2(q)).sum()) / 2
    exact = float(exact_js(p, q))
    assert abs(plain - exact) > exact
    assert js_matrix([p], [q])[0, 0] == pytest.approx(exact, rel=1e-6)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 140), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_entries_depend_on_their_rows_alone(m: int, n: int, k: int, seed: int) -> None:
    both = table(m + n, k, seed)
    p, q = both[:m], both[m:]
    whole = js_matrix(both, threads=1)
    np.testing.assert_array_equal(js_matrix(p, q), whole[:m, m:])
    np.testing.assert_array_equal(js_matrix(q, p).T, whole[:m, m:])
    np.testing.assert_array_equal(js_matrix(both, path="scalar"), whole)
    assert whole.min() >= 0
    assert whole.max() <= 1
    h = hellinger_matrix(p, q)
    np.testing.assert_array_equal(hellinger_matrix(p, q, path="scalar"), h)
    np.testing.assert_allclose(h, hellinger_matrix(both)[:m, m:], rtol=1e-11, atol=1e-15)


def test_bytes_are_the_same_for_any_threads() -> None:
    p = table(150, 60, seed=1)
    assert js_matrix(p, threads=1).tobytes() == js_matrix(p, threads=3).tobytes()


def test_disjoint_and_subnormal_rows() -> None:
    p = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 5e-324, 1e-310], [0.5, 0.5, 0.0]])
    js = js_matrix(p)
    assert js[0, 1] == 1.0
    assert js[0, 2] == pytest.approx(0.0, abs=1e-300)
    assert js[0, 3] == pytest.approx(float(d.js_divergence(p[0], p[3])), abs=1e-15)
    assert hellinger_matrix(p)[0, 1] == 1.0


def test_no_rows_are_compared_with_some() -> None:
    p, nothing = table(3, 4, seed=1), np.zeros((0, 4))
    for function in (js_matrix, hellinger_matrix):
        assert function(p, nothing).shape == (3, 0)
        assert function(nothing, p).shape == (0, 3)


def test_float32_tables_are_widened() -> None:
    p = table(12, 30, seed=3).astype(np.float32)
    np.testing.assert_array_equal(js_matrix(p), js_matrix(p.astype(np.float64)))
    np.testing.assert_array_equal(js_matrix(p[:, ::2]), js_matrix(p[:, ::2].copy()))


def test_the_public_name_takes_a_second_table() -> None:
    p, q = table(3, 4, seed=1), table(2, 4, seed=2)
    for kind in ("js", "hellinger", "tv", "kl"):
        matrix = d.divergence_matrix(p, kind, other=q)  # type: ignore[arg-type]
        single = {"js": d.js_divergence, "hellinger": d.hellinger, "tv": d.tv, "kl": d.kl}[kind]
        np.testing.assert_allclose(matrix, single(p[:, None], q[None]), rtol=0, atol=1e-12)
    with pytest.raises(CrystalError, match="different options"):
        d.divergence_matrix(p, "tv", other=[[1.0]])


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([0.5, 0.5],), {}, "two axes"),
        (([[0.5, -0.5]],), {}, "0 to 1"),
        (([[np.nan, 1.0]],), {}, "0 to 1"),
        (([[3.0, 1.0]],), {}, "0 to 1"),
        (([[1.0]], [[0.5, 0.5]]), {}, "different options"),
        (([[1.0]],), {"threads": -1}, "threads"),
        (([[1.0]],), {"path": "gpu"}, "no such path"),
    ],
)
def test_bad_arguments(arguments: tuple, options: dict, text: str) -> None:  # type: ignore[type-arg]
    for function in (js_matrix, hellinger_matrix):
        with pytest.raises(CrystalError, match=text):
            function(*arguments, **options)
