"""The Nemenman-Shafee-Bialek posterior of the entropy, for a known number of options.

The prior is a mixture of symmetric Dirichlets over beta, weighted by d xi/d beta, where xi(beta) =
psi(K beta + 1) - psi(beta + 1) is the entropy expected under beta: nearly flat in entropy (Nemenman, Shafee
and Bialek 2002, "Entropy and inference, revisited"). The mean given beta is Wolpert and Wolf's. The one
integral is taken over ln beta on a grid that is narrowed twice around the posterior's mass; counts enter by
their multiplicities, so the cost follows the number of *distinct* counts, not K.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Counts, Floats, as_counts
from crystal.statistics.special import LN2, digamma, log_rising, trigamma

_RANGE = (-20.0, 16.0)
"""ln beta: beyond it the posterior has lost at least 16 nats, whatever the counts."""
_POINTS = 145
_NEGLIGIBLE = 36.0
"""Nats below the maximum at which the posterior is left out."""


def nsb_mean(counts: npt.ArrayLike, k: int | None = None) -> Floats:
    """Return the posterior mean of the entropy.

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen.
    k : int, optional
        Number of possible options; by default the length of the last axis.

    Returns
    -------
    float64 [...]
        Bits, in [0, log2 k]; NaN without samples.

    Raises
    ------
    SettingsError
        If more than ``k`` options were seen.

    Examples
    --------
    >>> round(float(nsb_mean([5, 5])), 3)
    0.951
    """
    n = as_counts(counts)
    options = n.shape[-1] if k is None else k
    if options < 1 or (n.size and int((n > 0).sum(axis=-1).max()) > options):
        raise SettingsError(
            "more options were seen than there are", where="k", got=str(k), fix="give the whole option list"
        )
    rows = n.reshape(-1, n.shape[-1])
    mean = np.full(rows.shape[0], np.nan)
    sampled = np.flatnonzero(rows.sum(axis=1) > 0)
    if options == 1:
        mean[sampled] = 0.0
    elif sampled.size:
        mean[sampled] = _integrate(rows[sampled], options)
    return np.asarray(mean.reshape(n.shape[:-1])[()])


def _integrate(rows: Counts, options: int) -> Floats:
    values, times = _multiplicities(rows, options)
    total = rows.sum(axis=1)[:, None].astype(np.float64)
    low = np.full((rows.shape[0], 1), _RANGE[0])
    high = np.full((rows.shape[0], 1), _RANGE[1])
    unit = np.linspace(0.0, 1.0, _POINTS)[None, :]
    for _ in range(2):
        log_beta = low + (high - low) * unit
        density = _log_posterior(np.exp(log_beta), values, times, total, options)
        kept = density > density.max(axis=1, keepdims=True) - _NEGLIGIBLE
        step = (high - low) / (_POINTS - 1)
        first = np.take_along_axis(log_beta, kept.argmax(axis=1)[:, None], 1)
        last = np.take_along_axis(log_beta, _POINTS - 1 - kept[:, ::-1].argmax(axis=1)[:, None], 1)
        low, high = np.maximum(first - step, low), np.minimum(last + step, high)
    log_beta = low + (high - low) * unit
    beta = np.exp(log_beta)
    density = _log_posterior(beta, values, times, total, options)
    weight = np.exp(density - density.max(axis=1, keepdims=True))
    weight[:, [0, -1]] *= 0.5
    weight /= weight.sum(axis=1, keepdims=True)
    mean = (weight * _mean_entropy(beta, values, times, total, options)).sum(axis=1)
    return np.asarray(mean / LN2)


def _multiplicities(rows: Counts, options: int) -> tuple[Floats, Floats]:
    """Distinct counts of each row and how many options have them (unseen ones too), padded with 0 times 0."""
    distinct = []
    for row in rows:
        values, times = np.unique(row[row > 0], return_counts=True)
        distinct.append((np.append(values, 0), np.append(times, options - times.sum())))
    width = max(values.size for values, _ in distinct)
    padded = np.zeros((2, len(distinct), width))
    for index, (values, times) in enumerate(distinct):
        padded[0, index, : values.size] = values
        padded[1, index, : times.size] = times
    return padded[0], padded[1]


def _log_posterior(beta: Floats, values: Floats, times: Floats, total: Floats, options: int) -> Floats:
    """Log of prior x likelihood per unit of ln beta, up to a constant: [R, G]."""
    slope = options * trigamma(options * beta + 1) - trigamma(beta + 1)
    result = np.log(np.maximum(slope, 1e-300)) + np.log(beta) - log_rising(options * beta, total)
    for column in range(values.shape[1]):
        result += times[:, column, None] * log_rising(beta, values[:, column, None])
    return np.asarray(result)


def _mean_entropy(beta: Floats, values: Floats, times: Floats, total: Floats, options: int) -> Floats:
    """Mean of the entropy (nats) given beta (Wolpert and Wolf 1995): [R, G]."""
    size = total + options * beta
    weighted = np.zeros_like(beta)  # sum a psi(a + 1)
    for column in range(values.shape[1]):
        a = values[:, column, None] + beta
        weighted += times[:, column, None] * a * digamma(a + 1)
    return np.asarray(digamma(size + 1) - weighted / size)
