"""A tuned distribution that is a base distribution, only cooler: P ~ P_base^alpha with alpha > 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystal.ops.resampling import simulate, stream_key
from crystal.phases.rows import Counts, Floats, Mask, Rows, centre_of, proportions, redraw, smooth
from crystal.statistics.divergence import js_divergence
from crystal.statistics.entropy import shannon_entropy
from crystal.statistics.sharpening import MOST, fit_exponent, sharpened
from crystal.statistics.special import normal_cdf, normal_quantile

LEAST = 1e-3
"""Logarithms of powers are taken no lower."""
_POWERS = np.geomspace(1.0, MOST, 25)


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


def far_from_powers(base: Rows, tuned: Rows, margin: float) -> Mask:
    """Return of which base rows [m] the power that fits best leaves more than the margin, far beyond noise.

    What :func:`fit_cooling` would say of that, without a draw: at its null a JSD of K options is (K - 1)(1/n1
    + 1/n2) / (8 ln 2) bits on average, the base's part up to alpha^2 times that; four times as much, for K,
    is beyond what its draws show.
    """
    p, q = smooth(base.whole, centre_of(base.p)), tuned.p.mean(axis=0)
    if q.size < 3:
        return np.zeros(len(p), dtype=bool)
    alpha = fit_exponent(p, q)
    noise = np.maximum(alpha, 1.0) ** 2 / base.sizes + 1.0 / float(tuned.sizes.sum())
    residual = np.asarray(js_divergence(sharpened(p, alpha), q))
    result: Mask = residual - margin > q.size * noise / (2.0 * np.log(2.0))
    return result


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


@dataclass(frozen=True)
class Cooled:
    """Whether a power above 1 of one base row is the tuned behaviour, up to a margin."""

    yes: float
    """p-value that none is: small where cooling the row brings it nearer, and leaves less than the margin."""
    no: float
    """p-value that one is."""
    bias: float = 0.0
    """What noise adds to the JSD that the nearest power leaves, bits."""
    spread: float = 0.0
    """Standard deviation of that JSD, bits."""
    error: float = 0.0
    """Standard deviation of the slope."""

    def found(self, left: Floats, slope: Floats, margin: float, level: float) -> Mask:
        """Return where a JSD and a slope, as noisy as these, show a cooled row at a level."""
        z = normal_quantile(1 - level)
        result: Mask = (left - self.bias + z * self.spread < margin) & (slope + z * self.error < 0)
        return result


def cooled_test(
    base: Rows, members: Mask, tuned: Rows, margin: float, draws: int, seed: int, key: int, threads: int = 0
) -> Cooled:
    """Test whether the tuned behaviour is a base row, cooled.

    Two numbers are asked, of all samples together: the JSD in bits that the *nearest* power from 1 up leaves,
    and the slope of the JSD in the power at 1, below 0 where cooling brings the row nearer. Likelihood would
    ask for more than samples can tell: its power hangs on options too rare to be seen. Both numbers
    are corrected for their bias by drawing base and tuned samples anew from what they show, smoothed, and
    are held against the margin and 0 by the spread of these draws. Yes needs both to be below, no one of them
    to be above (Bonferroni).

    Parameters
    ----------
    base : Rows
        Distributions of the base, R rows.
    members : ndarray, bool [R]
        The row that is meant with its twins: one distribution, whose samples are pooled.
    tuned : Rows
        The tuned behaviour: the mean over these rows.
    margin : float
        Bits that the power may leave.
    draws, seed, key, threads
        Simulated data sets, and the stream of random numbers.

    Returns
    -------
    Cooled
        For two options, of which every distribution is a power of every other: never cooled.
    """
    if base.p.shape[1] < 3:
        return Cooled(1.0, 0.0)
    centre, q = centre_of(base.p), tuned.p.mean(axis=0)
    own = Rows(base.p[members].mean(axis=0, keepdims=True), None)
    if base.counts is not None:
        own = Rows.sampled(base.counts[members].sum(axis=0, keepdims=True))
    p = smooth(own.whole, centre)
    left, slope = nearest_power(p, q)
    truth = tuned.p if tuned.counts is None else smooth(tuned.counts)
    new_base = smooth(redraw(own, p, _sizes(own), draws, seed, key, threads), centre)[:, 0]
    again = redraw(tuned, truth, _sizes(tuned), draws, seed, stream_key("tuned", key), threads)
    lefts, slopes = nearest_power(new_base, proportions(again).mean(axis=1))
    bias = float(lefts.mean() - left[0])
    far, spread = float(left[0]) - bias - margin, float(lefts.std())
    warm, error = 2.0 * float(slope[0]) - float(slopes.mean()), float(slopes.std())
    return Cooled(
        yes=max(_below(far, spread), _below(warm, error)),
        no=min(1.0, 2.0 * min(_below(-far, spread), _below(-warm, error))),
        bias=bias,
        spread=spread,
        error=error,
    )


def nearest_power(rows: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Return the JSD of targets [..., K] from the nearest power (1 or more) of rows, and its slope at 1.

    The minimum is taken on 25 powers from 1 to 64, and on a parabola through the best three. The slope, in
    bits a unit of power, is sum_k p_k (ln p_k - mean ln p) log2(2 p_k / (p_k + q_k)) / 2.
    """
    ladder = np.asarray(js_divergence(sharpened(rows[..., None, :], _POWERS), target[..., None, :]))
    best = np.clip(ladder.argmin(axis=-1), 1, _POWERS.size - 2)[..., None]
    low, middle, high = (np.take_along_axis(ladder, best + step, -1)[..., 0] for step in (-1, 0, 1))
    curve = low - 2.0 * middle + high
    offset = np.divide(0.5 * (low - high), curve, out=np.zeros_like(curve), where=curve > 0)
    power = _POWERS[best[..., 0]] * (_POWERS[1] / _POWERS[0]) ** np.clip(offset, -1.0, 1.0)
    between = np.asarray(js_divergence(sharpened(rows, power), target))
    own = np.log(rows)
    centred = rows * (own - (rows * own).sum(axis=-1, keepdims=True))
    slope = 0.5 * (centred * np.log2(2.0 * rows / (rows + target))).sum(axis=-1)
    return np.minimum(between, ladder.min(axis=-1)), slope


def _below(distance: float, spread: float) -> float:
    """p-value that a number lies at 0 or above; without noise it decides by itself."""
    if not spread > 0:
        return 0.0 if distance < 0 else 1.0
    return normal_cdf(distance / spread)
