"""The blend of given distributions under which a target is likeliest, fitted by accelerated EM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load

Floats = npt.NDArray[np.float64]


class Blend(NamedTuple):
    """What :func:`fit_blend` found, one row a target."""

    weights: Floats
    """float64 [T, R], each row in [0, 1] with sum 1."""
    iterations: npt.NDArray[np.int64]
    """int64 [T]: passes of the EM map."""
    gap: Floats
    """float64 [T]: at most this many nats a sample lie between the fit and the best blend."""


def fit_blend(
    targets: npt.ArrayLike,
    dictionary: npt.ArrayLike,
    *,
    start: npt.ArrayLike | None = None,
    tolerance: float = 1e-8,
    limit: int = 20_000,
    threads: int = 0,
) -> Blend:
    r"""Fit mixture weights: maximise :math:`\sum_k t_k \log \sum_r w_r d_{rk}` over the simplex.

    EM (the multiplicative map :math:`w_r \leftarrow w_r g_r`, with
    :math:`g_r = \sum_k t_k d_{rk} / \sum_j w_j d_{jk}` and t scaled to sum 1) from ``start``, accelerated
    by SQUAREM (Varadhan and Roland, Scandinavian Journal of Statistics 35, 2008) with a jump refused where
    the likelihood falls. It ends where the optimality conditions hold: :math:`\max_r g_r - 1`, which by
    concavity bounds what is still to be gained, is at most ``tolerance``.

    Where the best blend is not unique (a target inside the hull of more rows than options) the start decides
    among the best ones: one that leans on a row ends near the best blend with most of that row. Results are
    the same bytes for any number of threads.

    Parameters
    ----------
    targets : array_like, float64 [T, K] or [K]
        Counts or probabilities, finite and not negative, with some mass in every row.
    dictionary : array_like, float64 [R, K], or [T, R, K] for a dictionary of its own for every target
        Finite and not negative; an option that a target has needs a row that has it too.
    start : array_like, float64 [T, R], optional
        Positive weights, each row with sum 1; equal weights by default.
    tolerance : float
        Largest gap in nats a sample, positive.
    limit : int
        Most passes for a target; a fit that reaches it is returned with its gap.
    threads : int
        0 means CRYSTAL_THREADS, else all cores.

    Returns
    -------
    Blend
        ``weights`` [T, R], ``iterations`` [T] and ``gap`` [T].

    Raises
    ------
    InputError
        For shapes that do not match, values that are negative or not finite, a target without mass, one with
        mass where its whole dictionary is zero, or a start that is no positive weights.
    SettingsError
        For a tolerance or a limit that is not positive.

    Examples
    --------
    >>> fit = fit_blend([[30, 50, 20]], [[0.2, 0.6, 0.2], [0.4, 0.4, 0.2]])
    >>> fit.weights.round(3)
    array([[0.5, 0.5]])
    """
    t = np.atleast_2d(np.ascontiguousarray(targets, dtype=np.float64))
    d = np.ascontiguousarray(dictionary, dtype=np.float64)
    _check(t, d)
    s = None if start is None else np.ascontiguousarray(start, dtype=np.float64)
    if s is not None:
        _check_start(s, (len(t), d.shape[-2]))
    if not tolerance > 0 or limit < 1 or threads < 0:
        raise SettingsError(
            "a fit needs a positive tolerance and limit, and threads that are not negative",
            where="fit_blend",
            got=f"tolerance={tolerance}, limit={limit}, threads={threads}",
        )
    return Blend(*load().fit_blend(t, d, s, tolerance, limit, threads))


def _check_start(s: Floats, shape: tuple[int, int]) -> None:
    if s.shape != shape:
        raise InputError(
            "a start weighs every row for every target",
            where="fit_blend, start",
            expected=str(list(shape)),
            got=str(list(s.shape)),
        )
    if not ((s > 0).all() and np.allclose(s.sum(axis=1), 1.0)):
        raise InputError("weights to start from are positive with sum 1", where="fit_blend, start")


def _check(t: Floats, d: Floats) -> None:
    own = d.ndim == 3
    if t.ndim != 2 or d.ndim not in (2, 3) or d.shape[-1] != t.shape[1] or (own and len(d) != len(t)):
        raise InputError(
            "targets and dictionary do not fit together",
            where="fit_blend",
            expected="targets [T, K] with a dictionary [R, K] or [T, R, K]",
            got=f"{list(t.shape)} with {list(d.shape)}",
        )
    if d.shape[-2] == 0 or t.shape[1] == 0:
        raise InputError("a blend needs at least one row and one option", where="fit_blend", got=str(d.shape))
    for name, array in (("targets", t), ("dictionary", d)):
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise InputError("values must be finite and not negative", where=f"fit_blend, {name}")
    if not (t.sum(axis=1) > 0).all():
        raise InputError("a target has no mass", where="fit_blend, targets")
    covered = d.max(axis=-2) > 0
    if ((t > 0) & ~covered).any():
        raise InputError(
            "a target has mass on an option that no row of its dictionary has",
            where="fit_blend, dictionary",
            fix="smooth the rows first",
        )
