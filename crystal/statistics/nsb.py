"""The Nemenman-Shafee-Bialek posterior of the entropy, for a known number of options.

The prior is a mixture of symmetric Dirichlets over beta, weighted by d xi/d beta, where xi(beta) =
psi(K beta + 1) - psi(beta + 1) is the entropy expected under beta: nearly flat in entropy (Nemenman, Shafee
and Bialek 2002, "Entropy and inference, revisited"). Moments given beta are Wolpert and Wolf's. The one
integral is taken over ln beta on a grid that is narrowed twice around the posterior's mass; counts enter by
their multiplicities, so the cost follows the number of *distinct* counts, not K.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class NsbPosterior:
    """Posterior mean and standard deviation of the entropy in bits, float64 [...]; NaN without samples."""

    mean: Floats
    sd: Floats


def nsb_posterior(counts: npt.ArrayLike, k: int | None = None) -> NsbPosterior:
    """Return the posterior of the entropy.

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        How often each option was seen.
    k : int, optional
        Number of possible options; by default the length of the last axis.

    Returns
    -------
    NsbPosterior
        Mean in [0, log2 k] and standard deviation, bits.

    Raises
    ------
    SettingsError
        If more than ``k`` options were seen.

    Examples
    --------
    >>> posterior = nsb_posterior([5, 5])
    >>> round(float(posterior.mean), 3), round(float(posterior.sd), 3)
    (0.951, 0.069)
    """
    n = as_counts(counts)
    options = n.shape[-1] if k is None else k
    if options < 1 or (n.size and int((n > 0).sum(axis=-1).max()) > options):
        raise SettingsError(
            "more options were seen than there are", where="k", got=str(k), fix="give the whole option list"
        )
    rows = n.reshape(-1, n.shape[-1])
    mean = np.full(rows.shape[0], np.nan)
    sd = np.full(rows.shape[0], np.nan)
    sampled = np.flatnonzero(rows.sum(axis=1) > 0)
    if options == 1:
        mean[sampled] = sd[sampled] = 0.0
    elif sampled.size:
        mean[sampled], sd[sampled] = _integrate(rows[sampled], options)
    return NsbPosterior(mean.reshape(n.shape[:-1])[()], sd.reshape(n.shape[:-1])[()])


def _integrate(rows: Counts, options: int) -> tuple[Floats, Floats]:
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
    first_moment, second_moment = _entropy_moments(beta, values, times, total, options)
    mean = (weight * first_moment).sum(axis=1)
    # The spread around the overall mean, so that no two nearly equal numbers are subtracted.
    spread = second_moment - first_moment**2 + (first_moment - mean[:, None]) ** 2
    sd = np.sqrt(np.maximum((weight * spread).sum(axis=1), 0.0))
    return mean / LN2, sd / LN2


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


def _entropy_moments(
    beta: Floats, values: Floats, times: Floats, total: Floats, options: int
) -> tuple[Floats, Floats]:
    """Mean and mean square of the entropy (nats) given beta (Wolpert and Wolf 1995): [R, G] each."""
    size = total + options * beta
    psi_two, psi_one_two = digamma(size + 2), trigamma(size + 2)
    weighted = np.zeros_like(beta)  # sum a psi(a + 1)
    cross = np.zeros_like(beta)  # sum a u, with u = psi(a + 1) - psi(A + 2)
    cross_own = np.zeros_like(beta)  # sum a^2 u^2
    squares = np.zeros_like(beta)  # sum a^2
    diagonal = np.zeros_like(beta)
    for column in range(values.shape[1]):
        a = values[:, column, None] + beta
        t = times[:, column, None]
        psi_a = digamma(a + 1)
        u = psi_a - psi_two
        weighted += t * a * psi_a
        cross += t * a * u
        cross_own += t * (a * u) ** 2
        squares += t * a * a
        diagonal += t * a * (a + 1) * ((u + 1 / (a + 1)) ** 2 + trigamma(a + 2) - psi_one_two)
    mean = digamma(size + 1) - weighted / size
    off_diagonal = cross**2 - cross_own - psi_one_two * (size**2 - squares)
    return mean, (off_diagonal + diagonal) / (size * (size + 1))
