"""A tuned distribution that is a base distribution, only cooler: P ~ P_base^alpha with alpha > 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystal.ops.resampling import simulate, stream_key
from crystal.phases.rows import Counts, Floats, Rows, centre_of, proportions, redraw, smooth
from crystal.statistics.divergence import js_divergence
from crystal.statistics.entropy import shannon_entropy
from crystal.statistics.sharpening import MOST, fit_exponent, sharpened
from crystal.statistics.special import normal_quantile

LEAST = 1e-3
"""Logarithms of powers are taken no lower."""


@dataclass(frozen=True)
class Cooling:
    """The power of a base row that fits the tuned behaviour best, and what it leaves unexplained."""

    alpha: float
    low: float
    high: float
    residual_low: float
    """One-sided limits of the JSD in bits that the fit leaves, each at level 1 - alpha."""
    residual_high: float


def fit_cooling(
    base: Rows, row: int, tuned: Rows, level: float, draws: int, seed: int, key: int, threads: int = 0
) -> Cooling | None:
    """Fit the power of one base row by maximum likelihood; None for fewer than 3 options or a flat row.

    This is :func:`crystal.statistics.sharpening.sharpening` for a tuned behaviour that is a mean over
    prompts, and for exact distributions. A row is flat if it is not shown to differ from uniform. Limits come
    from drawing base and tuned samples anew, ``draws`` times, with the fit as the truth, and fitting again:
    so they carry the noise of the base as well.
    """
    centre, own = centre_of(base.p), base.take(np.array([row]))
    p, q = smooth(own.whole, centre)[0], tuned.p.mean(axis=0)
    if p.size < 3 or _flat(own, level, draws, seed, key, threads):
        return None
    alpha = float(fit_exponent(p, q))
    fit = sharpened(p, alpha)
    residual = float(js_divergence(fit, q))
    if base.exact and tuned.exact:
        return Cooling(alpha, alpha, alpha, residual, residual)
    new_base = smooth(redraw(own, p[None], _sizes(own), draws, seed, key, threads), centre)[:, 0]

    def refit(truth: float) -> tuple[Floats, Floats]:
        rows = np.repeat(sharpened(p, truth)[None], len(tuned.p), axis=0)
        again = redraw(tuned, rows, _sizes(tuned), draws, seed, stream_key("tuned", key), threads)
        target = proportions(again).mean(axis=1)
        powers = np.maximum(fit_exponent(new_base, target), LEAST)
        left = np.asarray(js_divergence(sharpened(new_base, powers), target), dtype=np.float64)
        return np.log(powers), left

    # Noise in the base pulls alpha towards 0, in data as in draws: what it takes from a first truth is
    # given back to the second, whose draws then say what noise does (basic bootstrap in log alpha).
    fitted = np.log(max(alpha, LEAST))
    first, _ = refit(alpha)
    truth = min(fitted - (float(first.mean()) - fitted), np.log(MOST))
    second, left = refit(float(np.exp(truth)))
    ends = np.exp(fitted - np.quantile(second - truth, [1 - level / 2, level / 2]))
    spread = normal_quantile(1 - level) * float(left.std())
    net = residual - float(left.mean())
    return Cooling(alpha, float(ends[0]), float(min(ends[1], MOST)), net - spread, net + spread)


def _flat(row: Rows, level: float, draws: int, seed: int, key: int, threads: int) -> bool:
    """Whether a row is not shown to differ from uniform, which every power leaves as it is."""
    if row.counts is None:
        return float(row.p.max() - row.p.min()) < 1e-6
    even = np.full((1, 1, *row.p.shape), 1.0 / row.p.size)
    drawn = simulate(
        even,
        row.counts.sum(axis=1)[None],
        "entropy",
        draws=draws,
        seed=seed,
        key=stream_key("flat", key),
        threads=threads,
    )
    low = drawn[0] <= float(shannon_entropy(row.p[0])) + 1e-12
    return float((low.sum() + 1) / (draws + 1)) >= level


def _sizes(rows: Rows) -> Counts:
    result: Counts = rows.whole.sum(axis=1).astype(np.int64)
    return result
