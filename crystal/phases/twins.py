"""Merge base distributions that cannot be told apart, so that a seed is not split among its twins."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.phases.permuting import permuted
from crystal.phases.rows import Floats, Mask, Rows, pairwise_jsd
from crystal.phases.settings import Settings
from crystal.statistics.multiple import benjamini_hochberg
from crystal.statistics.special import normal_quantile

PAIR_DRAWS = 999
SURE = 6.0
"""Normal deviate of G beyond which two rows differ whatever the permutations would say in detail."""


def merge_twins(rows: Rows, settings: Settings, key: int) -> npt.NDArray[np.intp]:
    """Return the cluster of every row (intp [m]), numbered in the order of their first rows.

    Two rows are twins if the permutation test does not tell them apart (q >= alpha, Benjamini-Hochberg over
    the pairs) or the upper limit of their JSD is below delta_J; exact rows if their JSD is. Being twins is
    not transitive, so clusters are grown by complete linkage, nearest pairs first: all members are twins.
    """
    distances = pairwise_jsd(rows)
    same = distances < settings.margins.jsd
    if rows.counts is not None:
        limit = distances + normal_quantile(1 - settings.alpha) * _standard_error(rows)
        same = _not_told_apart(rows, settings, key) | (limit < settings.margins.jsd)
    labels = np.arange(len(rows.p))
    first, second = np.nonzero(np.triu(same, 1))
    order = np.argsort(distances[first, second], kind="stable")
    for i, j in zip(first[order], second[order], strict=True):
        one, two = labels == labels[i], labels == labels[j]
        if labels[i] != labels[j] and same[np.ix_(one, two)].all():
            labels[two | one] = min(labels[i], labels[j])
    return np.unique(labels, return_inverse=True)[1].astype(np.intp)


def pool(rows: Rows, labels: npt.NDArray[np.intp]) -> Rows:
    """Return one row a cluster: counts added up, exact distributions averaged."""
    member = labels[None, :] == np.arange(labels.max() + 1)[:, None]
    if rows.counts is not None:
        return Rows.sampled(member.astype(np.int64) @ rows.counts)
    return Rows(member @ rows.p / member.sum(axis=1, keepdims=True), None)


def _not_told_apart(rows: Rows, settings: Settings, key: int) -> Mask:
    counts = np.asarray(rows.counts)
    first, second = np.triu_indices(len(counts), 1)
    p = np.array(
        [
            _pair_p(np.stack([counts[i], counts[j]]), settings, stream_key("pair", key, number))
            for number, (i, j) in enumerate(zip(first, second, strict=True))
        ]
    )
    together: Mask = np.eye(len(counts), dtype=bool)
    together[first, second] = together[second, first] = benjamini_hochberg(p) >= settings.alpha
    return together


def _pair_p(pair: npt.NDArray[np.int64], settings: Settings, key: int) -> float:
    pair = pair[:, pair.sum(axis=0) > 0]
    freedom = pair.shape[1] - 1
    if freedom == 0:
        return 1.0
    # Wilson and Hilferty's normal form of a chi-squared: most pairs of many prompts are far beyond doubt, and
    # need no permutations.
    expected = pair.sum(axis=1, keepdims=True) * pair.sum(axis=0, keepdims=True) / pair.sum()
    g = 2.0 * float((pair * np.log(np.where(pair > 0, pair, 1) / expected)).sum())
    spread = 2.0 / (9.0 * freedom)
    if ((g / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread) > SURE:
        return 1.0 / (PAIR_DRAWS + 1)
    result = permuted(pair[None], "g", settings, key, most=PAIR_DRAWS)
    return float(result.p)


def _standard_error(rows: Rows) -> Floats:
    """First-order standard error of the JSD of every two rows [m, m], in bits."""
    variance = np.array([_variance(rows.p, row) for row in rows.p]) / rows.sizes
    result: Floats = np.sqrt(np.maximum(variance + variance.T, 0.0))
    return result


def _variance(p: Floats, other: Floats) -> Floats:
    middle = (p + other) / 2
    slope = np.log2(np.where(p > 0, p, 1.0) / np.where(middle > 0, middle, 1.0)) / 2
    result: Floats = (p * slope**2).sum(axis=1) - (p * slope).sum(axis=1) ** 2
    return result
