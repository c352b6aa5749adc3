"""The distributions of one rung, a row a prompt, whether they were sampled or are exact.

Everything that the clauses and the seed search do to distributions is here once: proportions, halves,
bias-corrected divergences, smoothing, how far each prompt is from the average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import permute_counts, simulate_counts, split_counts
from crystal.states.tables import TaskTable
from crystal.statistics.coverage import coverage
from crystal.statistics.divergence import js_divergence

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NULL_DRAWS = 200
PAIRS_AT_ONCE = 2**16
"""Numbers that a table of pairs of rows holds."""


@dataclass(frozen=True)
class Rows:
    """Distributions over the same K options, one row a prompt."""

    p: Floats
    """float64 [m, K]: on-task proportions or exact probabilities, each row with sum 1."""
    counts: Counts | None
    """int64 [m, K]: the samples behind them; None where they are exact."""

    @property
    def exact(self) -> bool:
        """Whether there is no sampling noise."""
        return self.counts is None

    @property
    def sizes(self) -> Floats:
        """float64 [m]: samples a row, infinite where exact."""
        if self.counts is None:
            return np.full(len(self.p), np.inf)
        result: Floats = self.counts.sum(axis=1).astype(np.float64)
        return result

    @property
    def whole(self) -> Counts | Floats:
        """The counts where there are some, else the probabilities."""
        return self.p if self.counts is None else self.counts

    @property
    def coverage(self) -> float:
        """Mean share of the probability that the options seen in a row hold; 1 where exact."""
        return 1.0 if self.counts is None else float(np.mean(coverage(self.counts)))

    def take(self, keep: Mask | npt.NDArray[np.intp]) -> Rows:
        """Return some of the rows."""
        return Rows(self.p[keep], None if self.counts is None else self.counts[keep])

    @classmethod
    def sampled(cls, counts: Counts) -> Rows:
        """Rows of counts, none of which may be empty."""
        return cls(proportions(counts), counts)


def rows_of(table: TaskTable, checkpoint: int, min_valid: int) -> tuple[Rows, Mask]:
    """Return the rows of one checkpoint, and which of the table's prompts they are (bool [P]).

    A prompt with fewer than ``min_valid`` valid samples is left out. Where some prompts are exact and others
    sampled, the kind that more prompts have is used, since the two cannot be tested together.
    """
    exact = table.exact[checkpoint] & (np.nan_to_num(table.probabilities[checkpoint]).sum(axis=1) > 0)
    sampled = ~table.exact[checkpoint] & (table.counts[checkpoint].sum(axis=1) >= max(min_valid, 1))
    if exact.sum() >= sampled.sum():
        p = np.nan_to_num(table.probabilities[checkpoint, exact])
        return Rows(p / p.sum(axis=1, keepdims=True), None), exact
    return Rows.sampled(table.counts[checkpoint, sampled]), sampled


def seen_options(first: Rows, second: Rows) -> tuple[Rows, Rows]:
    """Leave out the options that neither side has: a long list costs time and changes nothing."""
    seen = (first.p > 0).any(axis=0) | (second.p > 0).any(axis=0)
    if seen.all():
        return first, second

    def cut(rows: Rows) -> Rows:
        return Rows(rows.p[:, seen], None if rows.counts is None else rows.counts[:, seen])

    return cut(first), cut(second)


def proportions(counts: npt.NDArray[np.generic]) -> Floats:
    """Return counts [..., K] as proportions (an empty row stays zero); probabilities as they are."""
    if counts.dtype.kind == "f":
        return counts.astype(np.float64, copy=False)
    values = counts.astype(np.float64)
    result: Floats = values / np.maximum(values.sum(axis=-1, keepdims=True), 1.0)
    return result


def halves(
    rows: Rows, splits: int, seed: int, key: int, threads: int = 0
) -> tuple[Counts | Floats, Counts | Floats]:
    """Return both halves of ``splits`` random splits, [splits, m, K] each.

    Counts where the rows were sampled. Exact rows have no halves: each half is the whole, as probabilities.
    """
    if rows.counts is None:
        whole = np.broadcast_to(rows.p, (splits, *rows.p.shape))
        return whole, whole
    first = split_counts(rows.counts, splits=splits, seed=seed, key=key, threads=threads)
    return first, rows.counts - first


def smooth(rows: npt.NDArray[np.generic], centre: Floats | None = None) -> Floats:
    """Shrink sampled rows [..., R, K] towards their mean by one sample's weight; exact ones by 1e-9.

    A base row without a single sample of an option is no proof that the model cannot give it. One
    pseudo-count a row, spread as the rows' average (with a uniform row among them, so that nothing is 0),
    keeps the likelihood of a blend finite and moves no row by more than 1/(n + 1).
    """
    p = proportions(rows)
    if centre is None:
        centre = centre_of(p)
    if rows.dtype.kind in "iu":
        pull = 1.0 / (rows.sum(axis=-1, keepdims=True) + 1.0)
    else:
        pull = np.full((*p.shape[:-1], 1), 1e-9)
    result: Floats = (1.0 - pull) * p + pull * centre
    return result


def centre_of(p: Floats) -> Floats:
    """Return the average [..., 1, K] of rows [..., R, K] and one uniform row: no option has 0."""
    size, options = p.shape[-2:]
    result: Floats = (p.sum(axis=-2, keepdims=True) + 1.0 / options) / (size + 1.0)
    return result


def pairwise_jsd(rows: Rows) -> Floats:
    """Return the JSD of every two rows [m, m] in bits; for sampled rows corrected by the jackknife.

    The jackknife deletes one sample of either side. Corrected values may be below 0, as those of equal
    distributions must be half of the time; the diagonal is 0.
    """
    sizes = rows.sizes
    plain = np.empty((len(rows.p), len(rows.p)))
    bias = np.zeros_like(plain)
    # A few rows at a time: all pairs at once would hold m * m * K numbers.
    step = max(1, PAIRS_AT_ONCE // max(rows.p.size, 1))
    for start in range(0, len(rows.p), step):
        some = slice(start, start + step)
        own = rows.p[some, None]
        plain[some] = js_divergence(own, rows.p)
        if rows.counts is not None:
            bias[some] = _jackknife_bias(rows.p, sizes[:, None], own, plain[some])
    if rows.counts is None:
        return plain
    result: Floats = plain - bias - bias.T
    np.fill_diagonal(result, 0.0)
    return result


def jsd_to_target(counts: Counts, target: Floats, target_size: float | Floats) -> Floats:
    """Return the corrected JSD of sampled rows [..., R, K] from a target [..., K] of given size, in bits.

    Jackknife on the rows; first order on the target, which is a mean of rows and so has no whole counts.
    """
    p, q = proportions(counts), target[..., None, :]
    plain = np.asarray(js_divergence(p, q), dtype=np.float64)
    sizes = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    result: Floats = plain - _jackknife_bias(p, sizes, q, plain) - target_bias(p, q, target_size)
    return result


def target_bias(p: Floats, q: Floats, size: float | Floats) -> Floats:
    """Return what sampling noise of a target q [..., 1, K] adds to its JSD from rows p [..., R, K], in bits.

    Half the second derivative of the JSD in q_k, times the variance q_k (1 - q_k) / size, over the options.
    """
    middle = np.where(p + q > 0, (p + q) / 2, 1.0)
    slope = (1 - q) * (0.25 - q / (8 * middle)) * (q > 0)
    n = np.asarray(size, dtype=np.float64)
    result: Floats = slope.sum(axis=-1) / np.log(2) / (n[..., None] if n.ndim else n)
    return result


def redraw(
    rows: Rows, truth: Floats, sizes: Counts, draws: int, seed: int, key: int, threads: int = 0
) -> Counts | Floats:
    """Return ``draws`` new data sets [draws, m, K] of rows with a given truth; exact rows are that truth."""
    if rows.counts is None:
        return np.broadcast_to(truth, (draws, *truth.shape))
    least = np.maximum(sizes, 1)
    return simulate_counts(truth, least, draws=draws, seed=seed, key=key, threads=threads)


def _jackknife_bias(p: Floats, n: Floats, q: Floats, plain: Floats) -> Floats:
    """(n - 1) times what the JSD gains, on average, when one sample of p's side is left out."""
    other = _xlog2x(q) / 2

    def terms(x: Floats) -> Floats:
        return _xlog2x(x) / 2 + other - _xlog2x((x + q) / 2)

    rest = np.maximum(n - 1, 1.0)
    scaled = terms(p * n / rest)
    without = scaled.sum(axis=-1, keepdims=True) - scaled + terms(np.maximum(p * n - 1, 0.0) / rest)
    mean: Floats = (p * without).sum(axis=-1)
    # J_corrected = n J - (n - 1) mean = J - bias with bias = (n - 1) (mean - J).
    bias: Floats = np.where(n[..., 0] > 1, rest[..., 0] * (mean - plain), 0.0)
    return bias


def _xlog2x(x: Floats) -> Floats:
    result: Floats = x * np.log2(np.where(x > 0, x, 1.0))
    return result


def divergence_from_mean(p: Floats) -> Floats:
    """Return KL(P_x || mean P) of rows [..., m, K] in bits: their mean over x is the promptability."""
    mean = p.mean(axis=-2, keepdims=True)
    result: Floats = (_xlog2x(p) - p * np.log2(np.where(mean > 0, mean, 1.0))).sum(axis=-1)
    return result


def promptedness(rows: Rows, seed: int, key: int, threads: int = 0) -> Floats:
    """Return KL(P_x || mean P) of every prompt less its mean under permuted prompt labels [m], in bits.

    Labels are permuted with the sizes of the prompts fixed; exact rows have nothing to subtract.
    """
    observed = divergence_from_mean(rows.p)
    if rows.counts is None:
        return observed
    drawn = permute_counts(rows.counts[None], draws=NULL_DRAWS, seed=seed, key=key, threads=threads)[:, 0]
    result: Floats = observed - divergence_from_mean(proportions(drawn)).mean(axis=0)
    return result
