"""Frequencies smoothed so that no option is impossible, by an amount that the data themselves choose."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from crystal.statistics.arrays import Counts, Floats, as_counts
from crystal.statistics.divergence import kl
from crystal.statistics.special import log_gamma, log_rising

LOWEST, HIGHEST = 0.02, 1.0
_GRID = np.geomspace(LOWEST, HIGHEST, 49)
_TABULATED = 1 << 10
"""Counts below it, which are looked up again and again; from there on Stirling's series needs no shift."""


def smoothing_weight(counts: npt.ArrayLike) -> Floats:
    """Return the Dirichlet-multinomial weight a under which rows of counts are most likely, in [.02, 1].

    Evidence of a row: Gamma(Ka)/Gamma(N+Ka) prod Gamma(n_k+a)/Gamma(a), exactly; rows of one group share a.
    The maximum is taken on 49 points in ln a, then on a parabola through the best three.

    Parameters
    ----------
    counts : array_like, int64 [..., R, K]
        R rows that share one weight.

    Returns
    -------
    ndarray, float64 [...]
        The weight; 1 where nothing was sampled.

    Examples
    --------
    >>> float(smoothing_weight([[9, 9, 9]])), float(smoothing_weight([[20, 0, 0]]))
    (1.0, 0.02)
    """
    n = as_counts(counts)
    options = n.shape[-1]
    terms = _rising(n).sum(axis=-2)
    sizes = n.sum(axis=-1)[..., None]
    if sizes.min(initial=_TABULATED) < _TABULATED:
        whole = log_rising(options * _GRID, sizes)
    else:
        whole = log_gamma(options * _GRID + sizes) - [math.lgamma(options * a) for a in _GRID]
    evidence = (terms - whole).sum(axis=-2)
    best = np.clip(evidence.argmax(axis=-1), 1, _GRID.size - 2)[..., None]
    left, middle, right = (np.take_along_axis(evidence, best + step, -1)[..., 0] for step in (-1, 0, 1))
    curve = left - 2 * middle + right
    offset = np.divide(0.5 * (left - right), curve, out=np.zeros_like(curve), where=curve < 0)
    step = np.log(_GRID[1] / _GRID[0])
    result = np.exp(np.log(_GRID[best[..., 0]]) + step * np.clip(offset, -1.0, 1.0))
    # At an edge of the range the parabola says nothing: take the better end.
    result = np.where(np.maximum(left, right) > middle, _GRID[evidence.argmax(axis=-1)], result)
    empty = n.sum(axis=(-2, -1)) == 0
    return np.where(empty, HIGHEST, np.clip(result, LOWEST, HIGHEST))[()]


def _rising(n: Counts) -> Floats:
    """Return ln Gamma(n + a)/Gamma(a) of counts [...] at every weight of the grid: [..., 49]."""
    result: Floats = _table()[np.minimum(n, _TABULATED - 1)]
    many = n >= _TABULATED
    if many.any():
        result[many] = log_gamma(n[many][:, None] + _GRID) - [math.lgamma(a) for a in _GRID]
    return result


@cache
def _table() -> Floats:
    return log_rising(_GRID, np.arange(_TABULATED)[:, None])


def smoothed(counts: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Floats:
    """Return p~ = (n + a)/(N + K a), with one weight ``a`` for all rows of the second last axis.

    Parameters
    ----------
    counts : array_like, int64 [..., R, K]
        Rows of counts.
    weight : array_like, float64 [...], optional
        a > 0; by default :func:`smoothing_weight`.

    Returns
    -------
    ndarray, float64 [..., R, K]
        Distributions without zeros.

    Examples
    --------
    >>> smoothed([[3, 1]], 1.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    n = as_counts(counts)
    a = np.asarray(smoothing_weight(n) if weight is None else weight, dtype=np.float64)[..., None, None]
    result: Floats = (n + a) / (n.sum(axis=-1, keepdims=True) + n.shape[-1] * a)
    return result


def smoothed_groups(counts: npt.ArrayLike) -> Floats:
    """Return distributions of groups, smoothed towards what they share and not towards uniform.

    (n_g + a K M)/(N_g + a K), with M the pooled counts smoothed by :func:`smoothed` and a the evidence
    weight of the rows. Smoothing each group by itself would make sparse groups alike in all the options
    that neither showed: the interval of their divergence then missed above in up to 30 % of simulations.

    Parameters
    ----------
    counts : array_like, int64 [..., G, K]
        Rows of groups that are compared.

    Returns
    -------
    ndarray, float64 [..., G, K]
        Distributions without zeros.

    Examples
    --------
    >>> smoothed_groups([[4, 0, 0], [2, 2, 0]]).argmin(axis=1).tolist()
    [2, 2]
    """
    n = as_counts(counts)
    pseudo = n.shape[-1] * np.asarray(smoothing_weight(n))[..., None, None]
    middle = smoothed(n.sum(axis=-2, keepdims=True))
    result: Floats = (n + pseudo * middle) / (n.sum(axis=-1, keepdims=True) + pseudo)
    return result


def smoothed_kl(before: npt.ArrayLike, after: npt.ArrayLike) -> Floats:
    """Return KL(before || after) in bits between counts, both smoothed with one weight: ``kl_smoothed``.

    It is finite by construction, and says as much about the weight as about the data where supports differ.

    Parameters
    ----------
    before, after : array_like, int64 [..., K]
        Counts of the same options.

    Returns
    -------
    ndarray, float64 [...]
        Bits, 0 or more.

    Examples
    --------
    >>> float(smoothed_kl([5, 5], [5, 5]))
    0.0
    """
    p = smoothed(np.stack([as_counts(before), as_counts(after)], axis=-2))
    return kl(p[..., 0, :], p[..., 1, :])
