"""Distances of all rows of one table from all rows of another: Jensen-Shannon and Hellinger, compiled."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load

Floats = npt.NDArray[np.float64]
Path = Literal["fastest", "avx2", "scalar"]


def js_matrix(
    p: npt.ArrayLike, q: npt.ArrayLike | None = None, *, threads: int = 0, path: Path = "fastest"
) -> Floats:
    r"""Return the Jensen-Shannon divergence of every row of ``p`` from every row of ``q``, in bits.

    With s = p + q: :math:`\tfrac12 (\sum p \log_2 p + \sum q \log_2 q + \sum s - \sum s \log_2 s)`, one
    logarithm an option, because all but the last sum belong to single rows. Where the result is below
    2^-8, rounding is no longer negligible, and it is taken again as a sum of positive terms,
    :math:`\tfrac12 \sum_k s_k g(r_k)` with :math:`r = (p - q)/s` and
    :math:`g(r) = \sum_j r^{2j} / (2j(2j-1)) / \ln 2`. So the error is below 1e-13 absolutely and below 1e-11
    of the divergence, however near the rows are.

    float32 tables are widened first: float32 sums would lose near rows. An entry is a function of its two
    rows alone: the same bytes for (p, q) and (q, p), for any number of threads, for either path, and in a
    table of any other rows.

    Parameters
    ----------
    p : array_like, float64 or float32 [m, K]
        Distributions: finite, each value 0 to 1. Rows are taken as they are, not divided by their sums.
    q : array_like, float64 or float32 [n, K], optional
        The other rows. Without them ``p`` is compared with itself: half of the pairs are computed.
    threads : int
        0 means CRYSTAL_THREADS, else all cores.
    path : {"fastest", "avx2", "scalar"}
        Which code runs; the processor is asked at run time.

    Returns
    -------
    ndarray, float64 [m, n]
        0 to 1; zero for equal rows. Beside it one copy of ``q`` is held (8 n K bytes).

    Raises
    ------
    InputError
        For tables of the wrong shape, with values outside 0 to 1, or with different options.
    SettingsError
        For a negative number of threads, or a path that this processor lacks.

    Examples
    --------
    >>> js_matrix([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    >>> js_matrix([[1.0, 0.0]], [[0.0, 1.0]]).tolist()
    [[1.0]]
    """
    left, right = _tables(p, q, threads, path, "js_matrix")
    if right is not None and right.size == 0:
        return np.zeros((len(left), len(right)))
    result: Floats = load().js_matrix(left, right, path, threads)
    return result


def hellinger_matrix(
    p: npt.ArrayLike, q: npt.ArrayLike | None = None, *, threads: int = 0, path: Path = "fastest"
) -> Floats:
    r"""Return the Hellinger distance of every row of ``p`` from every row of ``q``.

    :math:`\sqrt{\tfrac12 \sum_k (\sqrt{p_k} - \sqrt{q_k})^2}`. The products of the square roots come from
    NumPy's BLAS and are turned into distances in place, so no second table of the result's size is held.
    Where the squared distance is below 2^-10 the product has lost it, and it is taken again from the rows,
    as :math:`\tfrac12 \sum_k (p_k - q_k)^2 / (\sqrt{p_k} + \sqrt{q_k})^2`: the error is below 1e-11 of the
    distance, however near the rows are.

    BLAS may add in another order for another number of its threads, so the last bits (1e-15) are not promised
    there; ``threads`` is only about the second step.

    Parameters
    ----------
    p : array_like, float64 or float32 [m, K]
        Distributions, as in :func:`js_matrix`.
    q : array_like, float64 or float32 [n, K], optional
        The other rows; without them ``p`` is compared with itself.
    threads : int
        0 means CRYSTAL_THREADS, else all cores.
    path : {"fastest", "avx2", "scalar"}
        Which code runs the second step.

    Returns
    -------
    ndarray, float64 [m, n]
        0 to 1.

    Raises
    ------
    InputError, SettingsError
        As :func:`js_matrix`.

    Examples
    --------
    >>> hellinger_matrix([[1.0, 0.0], [0.0, 1.0]]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    left, right = _tables(p, q, threads, path, "hellinger_matrix")
    if right is not None and right.size == 0:
        return np.zeros((len(left), len(right)))
    roots = np.sqrt(left)
    products: Floats = np.ascontiguousarray(roots @ (roots if right is None else np.sqrt(right)).T)
    load().hellinger_from_products(left, right, products, path, threads)
    return products


def _tables(
    p: npt.ArrayLike, q: npt.ArrayLike | None, threads: int, path: str, where: str
) -> tuple[Floats, Floats | None]:
    if threads < 0:
        raise SettingsError("the number of threads is negative", where=where, got=str(threads))
    if path not in ("fastest", "avx2", "scalar") or not load().divergence_path_available(path):
        raise SettingsError("there is no such path here", where=f"{where}, path", got=repr(path))
    left = _table(p, f"{where}, p")
    right = None if q is None else _table(q, f"{where}, q")
    if right is not None and right.shape[1] != left.shape[1]:
        raise InputError(
            "two tables have different options",
            where=where,
            expected=f"{left.shape[1]} options",
            got=str(right.shape[1]),
        )
    return left, right


def _table(values: npt.ArrayLike, where: str) -> Floats:
    table = np.ascontiguousarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise InputError(
            "a table of distributions has two axes",
            where=where,
            expected="[rows, options]",
            got=str(table.shape),
        )
    # Sums may exceed 1 by a rounding or two; NaN fails the comparison.
    if table.size and not (table.min() >= 0.0 and table.max() <= 1.0 + 1e-6):
        raise InputError("probabilities are 0 to 1", where=where, got=f"{table.min():g} to {table.max():g}")
    return table
