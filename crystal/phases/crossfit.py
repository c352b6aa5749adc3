"""Choose a seed and fit a blend on one half of the samples, score both on the other half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from crystal.ops.blend import fit_blend
from crystal.ops.resampling import stream_key
from crystal.phases.rows import (
    Counts,
    Floats,
    Mask,
    Rows,
    halves,
    jsd_to_target,
    proportions,
    redraw,
    smooth,
    target_bias,
)
from crystal.statistics.divergence import js_divergence
from crystal.statistics.smoothing import smoothed

# A fit may end this many nats a sample below the best one: far below what any sample size can tell.
TOLERANCE = 5e-5
LIMIT = 1_000
LEAN = 0.9
"""Weight of the chosen row where a fit starts: of blends that fit alike, the one with most of it is meant."""
# Halves are drawn and fitted in batches of about this many numbers: long lists of options must fit in memory.
_BATCH = 4_000_000


Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Scores:
    """One value a fold: a split is used twice, with its halves swapped, and its two folds are neighbours."""

    chosen: npt.NDArray[np.intp]
    """intp [F]: the row nearest to the target on the first half."""
    residual: Floats
    """float64 [F]: JSD in bits on the second half between the target and the blend fitted to the first."""
    weight: Floats
    """float64 [F]: weight of the chosen row with its twins in the blend fitted to the second half; about the
    largest one, where several blends fit alike."""
    distances: Floats
    """float64 [F, R]: corrected JSD on the second half between the target and every row."""
    average: Floats
    """float64 [F]: the same for the average of the rows."""


@dataclass(frozen=True)
class Fold:
    """One half of many splits: base [S, R, K] and tuned [S, m, K], counts or (exact) probabilities."""

    base: Counts | Floats
    tuned: Counts | Floats

    @cached_property
    def target(self) -> Floats:
        """float64 [S, K]: the tuned behaviour, every prompt with the same weight."""
        result: Floats = proportions(self.tuned).mean(axis=1)
        return result

    @cached_property
    def rows(self) -> Floats:
        """float64 [S, R, K]: the base's proportions."""
        return proportions(self.base)

    @cached_property
    def target_size(self) -> float | Floats:
        """Samples that one multinomial draw of the target would need to be as noisy; infinite if exact."""
        if self.tuned.dtype.kind != "i":
            return np.inf
        n = np.maximum(self.tuned.sum(axis=2), 1)
        result: Floats = n.shape[1] ** 2 / (1.0 / n).sum(axis=1)
        return result

    def distances(self) -> Floats:
        """Return the corrected JSD of every base row from the target [S, R], in bits."""
        if self.base.dtype.kind == "i":
            return jsd_to_target(self.base.astype(np.int64, copy=False), self.target, self.target_size)
        return self._from_target(self.base.astype(np.float64, copy=False))

    def distance_of_average(self) -> Floats:
        """Return the same for the average of the base rows [S]."""
        return self._from_target(self.rows.mean(axis=1, keepdims=True))[:, 0]

    def _from_target(self, p: Floats) -> Floats:
        target = self.target[:, None]
        plain = np.asarray(js_divergence(p, target), dtype=np.float64)
        result: Floats = plain - target_bias(p, target, self.target_size)
        return result


def whole(base: Rows, tuned: Rows) -> Fold:
    """Return all the samples as one fold."""
    return Fold(base.whole[None], tuned.whole[None])


def folds(base: Rows, tuned: Rows, splits: int, seed: int, key: int, threads: int = 0) -> tuple[Fold, Fold]:
    """Split base and tuned samples in halves, ``splits`` times; halves of exact rows are the rows."""
    first_base, second_base = halves(base, splits, seed, stream_key("base halves", key), threads)
    first_tuned, second_tuned = halves(tuned, splits, seed, stream_key("tuned halves", key), threads)
    return Fold(first_base, first_tuned), Fold(second_base, second_tuned)


def cross_fit(first: Fold, second: Fold, twins: Mask, threads: int = 0) -> Scores:
    """Select and fit on one fold, score on the other, and the other way round.

    Parameters
    ----------
    first, second : Fold
        The halves of S splits.
    twins : ndarray, bool [R, R]
        Rows of the base that count as one.
    threads : int
        Threads of the fits.

    Returns
    -------
    Scores
        F = 2 S values.
    """
    one, two = first.distances(), second.distances()
    picked = one.argmin(axis=1), two.argmin(axis=1)
    # What one half chose is weighed on the other, so that is where its fit leans.
    own = [
        blend_weights(fold.target, smooth(fold.base), leaning(twins[other]), threads)
        for fold, other in ((first, picked[1]), (second, picked[0]))
    ]
    chosen = _pairs(*picked)
    return Scores(
        chosen=chosen,
        residual=_pairs(_residual(second, own[0]), _residual(first, own[1])),
        weight=np.where(twins[chosen], _pairs(own[1], own[0]), 0.0).sum(axis=1),
        distances=_pairs(two, one),
        average=_pairs(second.distance_of_average(), first.distance_of_average()),
    )


def leaning(rows: Mask) -> Floats:
    """Return weights [T, R] to start from that lean on the marked rows [T, R]."""
    result: Floats = LEAN * rows / rows.sum(axis=1, keepdims=True) + (1 - LEAN) / rows.shape[1]
    return result


def blend_weights(targets: Floats, rows: Floats, start: Floats | None, threads: int) -> Floats:
    """Return the weights [T, R] of the blends of rows [R, K] or [T, R, K] that fit targets [T, K] best."""
    return fit_blend(targets, rows, start=start, tolerance=TOLERANCE, limit=LIMIT, threads=threads).weights


def _pairs(first: npt.NDArray[Number], second: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Put the two folds of every split beside each other [2 S, ...]."""
    return np.stack([first, second], axis=1).reshape(-1, *first.shape[1:])


def _residual(fold: Fold, weights: Floats) -> Floats:
    blend = np.matmul(weights[:, None], fold.rows)[:, 0]
    return np.asarray(js_divergence(blend, fold.target), dtype=np.float64)


def split_scores(
    base: Rows, tuned: Rows, twins: Mask, splits: int, seed: int, key: int, threads: int = 0
) -> Scores:
    """Return the scores over random halves of the samples: two folds a split."""
    if base.exact and tuned.exact:
        splits = 1

    def scores(count: int, batch: int) -> Scores:
        first, second = folds(base, tuned, count, seed, stream_key("halves", key, batch), threads)
        return cross_fit(first, second, twins, threads)

    return _in_batches(scores, splits, base)


def _in_batches(scores: Callable[[int, int], Scores], total: int, base: Rows) -> Scores:
    # The size of a batch depends on the data alone, so that it never shows in a result.
    most = max(4, _BATCH // base.p.size)
    starts = range(0, total, most)
    parts = [scores(min(most, total - start), number) for number, start in enumerate(starts)]
    names = (field.name for field in fields(Scores))
    return Scores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def null_scores(
    base: Rows, tuned: Rows, row: int, twins: Mask, draws: int, seed: int, key: int, threads: int = 0
) -> Scores:
    """Return the scores where the tuned behaviour *is* one row of the base, at the same numbers of samples.

    Both halves of base and tuned are drawn anew and everything is fitted again, so these scores show what
    noise alone does: how much the blend then leaves unexplained, and how much weight the true seed then loses
    to rows that happen to fit.
    """
    # The truth is the row as the base shows it, not pooled with the target: of a target that is really an
    # average the pool would be that average, and a row amid all others never stands out.
    rows = base.p if base.counts is None else smoothed(base.counts)
    seeded = np.repeat(rows[row : row + 1], len(tuned.p), axis=0)

    def drawn(count: int, batch: int, half: int) -> Fold:
        keys = stream_key("null base", key, batch, half), stream_key("null tuned", key, batch, half)
        return Fold(
            redraw(base, rows, _half(base, half), count, seed, keys[0], threads),
            redraw(tuned, seeded, _half(tuned, half), count, seed, keys[1], threads),
        )

    def scores(count: int, batch: int) -> Scores:
        return cross_fit(drawn(count, batch, 0), drawn(count, batch, 1), twins, threads)

    return _in_batches(scores, draws, base)


def _half(rows: Rows, half: int) -> Counts:
    result: Counts = (rows.whole.sum(axis=1).astype(np.int64) + half) // 2
    return result
