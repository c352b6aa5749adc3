"""Merge base distributions that cannot be told apart, so that a seed is not split among its twins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.phases.permuting import permuted
from crystal.phases.rows import Counts, Floats, Mask, Rows, pairwise_jsd
from crystal.phases.settings import Settings
from crystal.statistics.multiple import benjamini_hochberg
from crystal.statistics.special import LN2, normal_quantile, xlog2x

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
    p = np.full(len(first), 1.0 / (PAIR_DRAWS + 1))
    for number in np.flatnonzero(~_sure(counts, first, second)):
        pair = counts[[first[number], second[number]]]
        pair = pair[:, pair.sum(axis=0) > 0]
        alike = pair.shape[1] == 1
        own = stream_key("pair", key, int(number))
        p[number] = 1.0 if alike else permuted(pair[None], "g", settings, own, most=PAIR_DRAWS).p
    together: Mask = np.eye(len(counts), dtype=bool)
    together[first, second] = together[second, first] = benjamini_hochberg(p) >= settings.alpha
    return together


def _sure(counts: Counts, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> Mask:
    """Say of every pair if G is so far beyond doubt that permutations would tell nothing more.

    Most pairs of many prompts are. Wilson and Hilferty's normal form of a chi-squared.
    """
    sizes = counts.sum(axis=1)
    own = xlog2x(counts).sum(axis=1) - xlog2x(sizes)
    sure = np.zeros(len(first), dtype=bool)
    for i in range(len(counts) - 1):
        # Row by row: all pairs at once would hold m * m * K numbers.
        here = first == i
        sums = counts[i] + counts[second[here]]
        both = xlog2x(sums).sum(axis=1) - xlog2x(sizes[i] + sizes[second[here]])
        g = 2.0 * LN2 * np.maximum(own[i] + own[second[here]] - both, 0.0)
        freedom = np.maximum((sums > 0).sum(axis=1) - 1, 1)
        spread = 2.0 / (9.0 * freedom)
        sure[here] = (np.cbrt(g / freedom) - (1 - spread)) / np.sqrt(spread) > SURE
    return sure


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
