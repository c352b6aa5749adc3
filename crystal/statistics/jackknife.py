"""Jackknives that delete one sample within its prompt: less bias, and a variance, for H and for I.

With d_i the change of a statistic when sample i of stratum s (a prompt of a checkpoint) is deleted, its
bias is sum_s (n_s - 1) mean_i d_i and its variance sum_s (n_s - 1)/n_s sum_i (d_i - mean d)^2 (Jones 1974,
for strata). Samples of one option change it equally, so the work is one term an option.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Counts, Floats, as_counts, row_probabilities
from crystal.statistics.entropy import entropy, leave_one_out
from crystal.statistics.special import xlog2x


@dataclass(frozen=True)
class Jackknife:
    """A statistic with its jackknife: NaN where a prompt has fewer than 2 samples."""

    plugin: float
    """The statistic of the frequencies."""
    value: float
    """The same less its estimated bias; not floored, not clipped."""
    variance: float
    freedom: float
    """Satterthwaite's degrees of freedom of the variance; inf where it is 0."""


def entropy_jackknife(counts: npt.ArrayLike) -> Jackknife:
    """Jackknife the mean over prompts of the within-prompt entropy.

    Parameters
    ----------
    counts : array_like, int64 [P, K]
        Counts of P prompts.

    Returns
    -------
    Jackknife
        Bits.

    Examples
    --------
    >>> round(entropy_jackknife([[2, 2]]).value, 3)
    1.245
    """
    n = as_counts(counts, 2)
    _not_empty(n)
    plugin = entropy(n, "plugin")
    change = (leave_one_out(n) - plugin[:, None]) / n.shape[0]
    return _combine(float(plugin.mean()), n, change)


def js_jackknife(counts: npt.ArrayLike) -> Jackknife:
    """Jackknife the equal-weight information of G groups, H(mean P_g) - mean H(P_g), averaged over blocks.

    Promptability: one block whose groups are the prompts. Jensen-Shannon divergence of two checkpoints: the
    prompts are blocks of two groups.

    Parameters
    ----------
    counts : array_like, int64 [B, G, K]
        Counts of B blocks of G groups.

    Returns
    -------
    Jackknife
        Bits.

    Examples
    --------
    >>> js_jackknife([[[5, 0], [0, 5]]]).value
    1.0
    """
    n = as_counts(counts, 3)
    _not_empty(n)
    plugin, change = _js_changes(n)
    return _combine(float(plugin.mean()), n, change / len(n))


def js_values(counts: Counts) -> Floats:
    """Return the jackknife's value of every block, as :func:`js_jackknife` would of it alone.

    Parameters
    ----------
    counts : ndarray, int64 [..., G, K]
        Counts of the G groups of many blocks.

    Returns
    -------
    ndarray, float64 [...]
        Bits; NaN where a group has fewer than 2 samples.

    Examples
    --------
    >>> js_values(np.array([[[5, 0], [0, 5]], [[1, 0], [0, 5]]])).tolist()
    [1.0, nan]
    """
    plugin, change = _js_changes(counts)
    n = counts.sum(axis=-1)
    bias = (n - 1) / np.maximum(n, 1) * (counts * np.where(counts > 0, change, 0.0)).sum(axis=-1)
    result: Floats = np.where((n < 2).any(axis=-1), np.nan, plugin - bias.sum(axis=-1))
    return result


def _js_changes(n: Counts) -> tuple[Floats, Floats]:
    """Return the plug-in of each block [...], and what deleting a sample does to it [..., G, K]."""
    groups = n.shape[-2]
    p = row_probabilities(n)
    own = np.where(n.sum(axis=-1) > 0, entropy(n, "plugin"), np.nan)
    middle = p.mean(axis=-2, keepdims=True)
    mixed = xlog2x(middle).sum(axis=-1, keepdims=True)
    plugin = -mixed[..., 0, 0] - own.mean(axis=-1)
    # Without a sample of k, row g is (n p - e_k)/(n - 1): the mixture moves to `base`, and less at k alone.
    share = 1.0 / (np.maximum(n.sum(axis=-1, keepdims=True) - 1, 1) * groups)
    base = middle + p * share
    terms = xlog2x(base)
    mixture = -(terms.sum(axis=-1, keepdims=True) - terms + xlog2x(np.maximum(base - share, 0.0)))
    change = mixture + mixed - (leave_one_out(n) - own[..., None]) / groups
    return np.maximum(plugin, 0.0), change


def _combine(plugin: float, counts: Counts, change: Floats) -> Jackknife:
    """Sum the strata; ``change`` [..., K] is what deleting a sample of that option does to the statistic."""
    n = counts.sum(axis=-1).astype(np.float64)
    if np.any(n < 2) or not math.isfinite(plugin):
        return Jackknife(plugin, math.nan, math.nan, math.nan)
    share = counts / n[..., None]
    delta = np.where(counts > 0, change, 0.0)
    mean = (share * delta).sum(axis=-1)
    spread = (share * (delta - mean[..., None]) ** 2).sum(axis=-1)
    parts = (n - 1) * spread
    variance = float(parts.sum())
    bottom = float((parts**2 / (n - 1)).sum())
    freedom = variance**2 / bottom if bottom > 0 else math.inf
    return Jackknife(plugin, plugin - float(((n - 1) * mean).sum()), variance, freedom)


def _not_empty(counts: Counts) -> None:
    if 0 in counts.shape:
        raise SettingsError("there is nothing to measure", where="counts", got=str(counts.shape))
