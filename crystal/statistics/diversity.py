"""How many options, and how many different distributions, there effectively are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Floats, as_counts, as_probabilities, row_probabilities
from crystal.statistics.special import xlog2x


def hill_number(counts: npt.ArrayLike, order: float) -> Floats:
    """Return the plug-in Hill number (sum p^q)^(1/(1-q)): the effective number of options (Hill 1973).

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen.
    order : float
        q >= 0. 0: options seen; 1: 2^H of the frequencies; 2: one over their sum of squares.

    Returns
    -------
    ndarray, float64 [...]
        At least 1; NaN without samples. Biased down at small n, least for q = 2.

    Examples
    --------
    >>> [round(float(hill_number([6, 3, 3], q)), 3) for q in (0, 1, 2)]
    [3.0, 2.828, 2.667]
    """
    if not (np.isfinite(order) and order >= 0):
        raise SettingsError("the order of a Hill number is not negative", where="order", got=str(order))
    n = as_counts(counts)
    p = row_probabilities(n)
    empty = np.isnan(p).any(axis=-1) | (n.sum(axis=-1) == 0)
    p = np.nan_to_num(p)
    if order == 1:
        result = np.exp2(-xlog2x(p).sum(axis=-1))
    else:
        powers = np.where(p > 0, np.where(p > 0, p, 1.0) ** order, 0.0).sum(axis=-1)
        result = np.where(empty, 1.0, powers) ** (1 / (1 - order))
    return np.where(empty, np.nan, result)[()]


def collision(counts: npt.ArrayLike) -> Floats:
    """Return the unbiased estimate of sum p^2: sum n_i (n_i - 1) / (n (n - 1)) (Simpson 1949).

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen.

    Returns
    -------
    ndarray, float64 [...]
        Between 0 and 1; NaN with fewer than 2 samples.

    Examples
    --------
    >>> float(collision([2, 2]))
    0.3333333333333333
    """
    n = as_counts(counts).astype(np.float64)
    size = n.sum(axis=-1)
    pairs = (n * (n - 1)).sum(axis=-1)
    return np.where(size > 1, pairs / np.maximum(size * (size - 1), 1.0), np.nan)[()]


def top_probability(counts: npt.ArrayLike) -> Floats:
    """Return the share of the commonest option.

    It is the maximum of noisy shares and so *biased upwards*: by up to sqrt(ln K / (2n)) where many options
    are nearly as likely. Use :func:`collision` to compare small samples.

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen.

    Returns
    -------
    ndarray, float64 [...]
        Between 1/K and 1; NaN without samples.

    Examples
    --------
    >>> float(top_probability([3, 1]))
    0.75
    """
    n = as_counts(counts)
    size = n.sum(axis=-1)
    top = n.max(axis=-1, initial=0)
    return np.where(size > 0, top / np.maximum(size, 1), np.nan)[()]


def vendi_number(p: npt.ArrayLike) -> float:
    """Return the effective number of distinct distributions: 2^(von Neumann entropy of G/m).

    G_xy = sum_k sqrt(p_xk p_yk), the Bhattacharyya kernel: 1 for equal distributions, 0 for disjoint ones,
    positive semidefinite with unit diagonal, as the Vendi score asks (Friedman and Dieng 2023).
    On frequencies it is biased upwards: two samples of one distribution are never quite equal.

    Parameters
    ----------
    p : array_like, float64 [m, K]
        The prompts' distributions.

    Returns
    -------
    float
        Between 1 and m.

    Examples
    --------
    >>> vendi_number([[1.0, 0.0], [0.0, 1.0]])
    2.0
    """
    rows = np.sqrt(as_probabilities(p, ndim=2))
    if rows.shape[0] == 0:
        raise SettingsError("there is no distribution", where="p", got=str(rows.shape))
    values = np.maximum(np.linalg.svd(rows / np.sqrt(rows.shape[0]), compute_uv=False) ** 2, 0.0)
    return float(np.exp2(-xlog2x(values / values.sum()).sum()))
