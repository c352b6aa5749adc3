"""Entropy of a distribution known exactly, and its estimators from counts, in bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Counts, Floats, as_counts, as_probabilities, row_probabilities
from crystal.statistics.nsb import nsb_mean
from crystal.statistics.special import LN2, digamma, xlog2x

Estimator = Literal["plugin", "miller_madow", "grassberger", "chao_shen", "jackknife", "nsb"]


def shannon_entropy(p: npt.ArrayLike) -> Floats:
    """Return the entropy in bits of exact distributions.

    Parameters
    ----------
    p : array_like, float64 [..., K]
        Distributions over the last axis.

    Returns
    -------
    ndarray, float64 [...]
        Bits, 0 to log2 K.

    Examples
    --------
    >>> float(shannon_entropy([0.5, 0.25, 0.25]))
    1.5
    """
    result: Floats = -xlog2x(as_probabilities(p)).sum(axis=-1)
    return np.maximum(result, 0.0)


def entropy(counts: npt.ArrayLike, estimator: Estimator = "grassberger", k: int | None = None) -> Floats:
    """Estimate the entropy in bits behind counts.

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen; vectorised over the leading axes.
    estimator : {"plugin", "miller_madow", "grassberger", "chao_shen", "jackknife", "nsb"}
        ``plugin``: of the empirical frequencies; never above log2 n.
        ``miller_madow`` (Miller 1955): plug-in + (observed options - 1)/(2n) nats.
        ``grassberger`` (Grassberger 2003, "Entropy estimates from insufficient samplings"):
        ln n - (1/n) sum n_i G(n_i), with G(n) = psi(n) + (-1)^n/2 (psi((n+1)/2) - psi(n/2)).
        ``chao_shen`` (Chao and Shen 2003): coverage-adjusted Horvitz-Thompson, for unseen options.
        ``jackknife`` (Zahl 1977): n H - (n-1) times the mean plug-in with one sample left out.
        ``nsb`` (Nemenman, Shafee and Bialek 2002): posterior mean under a prior nearly flat in entropy.
    k : int, optional
        Number of possible options, used by ``nsb`` alone; by default the length of the last axis.

    Returns
    -------
    ndarray, float64 [...]
        Bits. NaN without samples (``jackknife``: with fewer than 2). ``grassberger``, ``miller_madow``,
        ``chao_shen`` and ``jackknife`` may exceed log2 K: nothing is clipped here.

    Raises
    ------
    SettingsError
        If the estimator is unknown, or ``k`` is smaller than the number of options seen.
    InputError
        If ``counts`` are not counts.

    Examples
    --------
    >>> float(entropy([1, 1], "plugin"))
    1.0
    >>> entropy([[4, 4, 0], [8, 0, 0]], "miller_madow").round(3).tolist()
    [1.09, 0.0]
    """
    n = as_counts(counts)
    if estimator == "nsb":
        return nsb_mean(n, k)
    if estimator not in _ESTIMATORS:
        raise SettingsError(
            "unknown entropy estimator", expected=", ".join(get_args(Estimator)), got=repr(estimator)
        )
    if n.shape[-1] == 0:
        return np.full(n.shape[:-1], np.nan)
    result = np.asarray(_ESTIMATORS[estimator](n))
    result[n.sum(axis=-1) == 0] = np.nan
    return result[()]


def _plugin(counts: Counts) -> Floats:
    result: Floats = np.abs(-xlog2x(np.nan_to_num(row_probabilities(counts))).sum(axis=-1))
    return result


def _miller_madow(counts: Counts) -> Floats:
    n = np.maximum(counts.sum(axis=-1), 1)
    result: Floats = _plugin(counts) + ((counts > 0).sum(axis=-1) - 1) / (2 * n * LN2)
    return result


def grassberger_term(counts: npt.ArrayLike) -> Floats:
    """Return Grassberger's G(n) in nats for n >= 1.

    His alternating sum closes to psi(floor(n/2) + 1/2) + ln 2, which is what is evaluated.
    """
    result: Floats = digamma(np.asarray(counts) // 2 + 0.5) + LN2
    return result


def _grassberger(counts: Counts) -> Floats:
    n = np.maximum(counts.sum(axis=-1), 1)
    terms = counts * grassberger_term(np.maximum(counts, 1))
    result: Floats = (np.log(n) - terms.sum(axis=-1) / n) / LN2
    return result


def _chao_shen(counts: Counts) -> Floats:
    n = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    singletons = (counts == 1).sum(axis=-1, keepdims=True)
    # All singletons would give coverage 0 and an infinite answer: Chao and Shen then count one less.
    coverage = 1 - np.where(singletons == n, n - 1, singletons) / n
    p = coverage * counts / n
    seen = -np.expm1(n * np.log1p(-np.where(p < 1, p, 0.0)))
    seen = np.where(p < 1, seen, 1.0)
    result: Floats = np.abs(-(xlog2x(p) / np.where(counts > 0, seen, 1.0)).sum(axis=-1))
    return result


def leave_one_out(counts: Counts) -> Floats:
    """Return the plug-in entropy without one sample of each option: float64 [..., K], NaN for unseen ones.

    With S = sum n ln n it is ln(n-1) - (S - n_k ln n_k + (n_k-1) ln(n_k-1))/(n-1): no loop over samples.
    """
    n = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    rest = np.maximum(n - 1, 1)
    own = xlog2x(counts)
    without = own.sum(axis=-1, keepdims=True) - own + xlog2x(np.maximum(counts - 1, 0))
    possible = (counts > 0) & (n > 1)
    result: Floats = np.where(possible, np.abs(np.log2(rest) - without / rest), np.nan)
    return result


def _jackknife(counts: Counts) -> Floats:
    n = counts.sum(axis=-1).astype(np.float64)
    sums = (counts * np.nan_to_num(leave_one_out(counts))).sum(axis=-1)
    mean = sums / np.maximum(n, 1)
    result: Floats = np.where(n > 1, n * _plugin(counts) - (n - 1) * mean, np.nan)
    return result


_ESTIMATORS: dict[str, Callable[[Counts], Floats]] = {
    "plugin": _plugin,
    "miller_madow": _miller_madow,
    "grassberger": _grassberger,
    "chao_shen": _chao_shen,
    "jackknife": _jackknife,
}
