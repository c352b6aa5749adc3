"""Sharpening: a tuned distribution that is a base distribution, only cooler."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.resampling import simulate_counts, stream_key
from crystal.statistics.arrays import Floats, as_counts
from crystal.statistics.coverage import coverage
from crystal.statistics.divergence import js_divergence
from crystal.statistics.entropy import entropy
from crystal.statistics.estimate import Estimate
from crystal.statistics.js_interval import FIXED_SAMPLES, js_interval
from crystal.statistics.smoothing import smoothed
from crystal.statistics.special import normal_quantile

MOST = 64.0
"""Exponents beyond cannot be told apart: all mass is on the top option."""
BASE_COVERAGE = 0.8
"""Below it, what the base has not shown passes for a new shape (43 % of draws, 30 samples of 30 options)."""
_HALVINGS = 50
_STEPS = 100
_JOINT_STEPS = 40


@dataclass(frozen=True)
class Sharpening:
    """The exponent that carries a base distribution into a tuned one, and what it leaves unexplained."""

    exponent: Estimate
    """1: the same distribution; above 1: cooled; below 1: warmed; 0: uniform."""
    unexplained: Estimate
    """JSD in bits of fit and tuned distribution: a new shape only if ``low`` exceeds the margin."""


def sharpened(base: npt.ArrayLike, exponent: npt.ArrayLike) -> Floats:
    """Return softmax(exponent * log base) over the last axis; ``base`` must be positive.

    Examples
    --------
    >>> sharpened([0.8, 0.2], 2.0).round(3).tolist()
    [0.941, 0.059]
    """
    log = np.log(np.asarray(base, dtype=np.float64)) * np.asarray(exponent, dtype=np.float64)[..., None]
    weight = np.exp(log - log.max(axis=-1, keepdims=True))
    result: Floats = weight / weight.sum(axis=-1, keepdims=True)
    return result


def fit_exponent(base: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """Return the exponent in [0, 64] under which targets are most likely.

    The log-likelihood is concave in the exponent; its slope, the mean of log base under the target less
    that under the fit, is brought to zero by Newton's steps on the logarithm of what the mean lacks to its
    largest value (nearly a straight line), or by halving the bracket where a step leaves it. All mass on
    the likeliest options has no finite exponent: 64.

    Parameters
    ----------
    base : array_like, float64 [..., K]
        Distributions without zeros.
    target : array_like, float64 [..., K]
        Distributions or counts.

    Returns
    -------
    ndarray, float64 [...]

    Examples
    --------
    >>> round(float(fit_exponent([0.8, 0.2], [0.941, 0.059])), 2)
    2.0
    """
    log = np.log(np.asarray(base, dtype=np.float64))
    q = np.asarray(target, dtype=np.float64)
    wanted = (q * log).sum(axis=-1) / q.sum(axis=-1)
    low, high = np.zeros(wanted.shape), np.full(wanted.shape, MOST)
    wanting = np.maximum(log.max(axis=-1) - wanted, 1e-300)
    rounding = 1e-14 * (1.0 + np.abs(wanted))
    cooled, even = (sharpened(base, high) * log).sum(axis=-1), log.mean(axis=-1)
    # Where even an end is not enough, the end it is.
    end = np.where(wanted >= cooled - rounding, high, low)
    inside = (wanted < cooled - rounding) & (wanted > even + rounding)
    exponent, moving = np.where(inside, 1.0, end), inside
    for _ in range(_STEPS):
        fit = sharpened(base, exponent)
        slope = wanted - (fit * log).sum(axis=-1)
        low, high = np.where(slope > 0, exponent, low), np.where(slope > 0, high, exponent)
        spread = (fit * log**2).sum(axis=-1) - (wanted - slope) ** 2
        rest = np.maximum(slope + wanting, 1e-300)
        newton = exponent + rest * np.log(rest / wanting) / np.maximum(spread, 1e-300)
        step = np.where((newton > low) & (newton < high), newton, 0.5 * (low + high)) - exponent
        moving &= np.abs(slope) > rounding
        # What has arrived stays, so that a fit does not depend on the others beside it.
        exponent = np.where(moving, exponent + step, exponent)
        moving &= np.abs(step) > 1e-9 * np.maximum(exponent, 1.0)
        if not moving.any():
            break
    result: Floats = exponent
    return result


def sharpening(
    base: npt.ArrayLike,
    tuned: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    draws: int = 400,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> Sharpening:
    """Fit tuned ~ base^exponent by maximum likelihood under softmax(exponent * log p~_base).

    The exponent's limits are those of the profile likelihood, widened in squares by the spread of the
    exponent when the base is drawn anew. What is left unexplained is the fit's JSD from the tuned
    frequencies less the mean it has where the fit is the truth (base and tuned drawn anew and refitted);
    its lower limit is what that noise cannot explain, its upper limit the inversion's for the fit as it is.

    Parameters
    ----------
    base, tuned : array_like, int64 [K]
        Counts of the same options; an exact base may stand as many samples.
    alpha : float
        One minus the level.
    draws : int
        Simulated data sets.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).

    Returns
    -------
    Sharpening
        Without numbers, but with the reason, for fewer than 3 options, without samples and for a flat base:
        one that is not shown to differ from uniform at level ``alpha``, which every exponent leaves
        uniform. ``unexplained`` alone is missing below a base coverage of .8.

    Raises
    ------
    SettingsError
        If the options differ.

    Examples
    --------
    >>> result = sharpening([60, 30, 15, 10, 5], [90, 22, 6, 2, 1])
    >>> 1 < result.exponent.low < 2 < result.exponent.high, result.unexplained.low
    (True, 0.0)
    """
    n, m = as_counts(base, 1), as_counts(tuned, 1)
    if n.shape != m.shape:
        raise SettingsError("base and tuned need the same options", expected=str(n.shape), got=str(m.shape))
    reason = None
    if n.size < 3:
        reason = "fewer than 3 options: every distribution is a sharpening of every other"
    elif n.sum() == 0 or m.sum() == 0:
        reason = "no valid samples"
    elif _flatness(n, draws, seed, key, threads) >= alpha:
        reason = "flat base: sharpening leaves a uniform distribution as it is"
    if reason is not None:
        return Sharpening(Estimate.unknown(reason), Estimate.unknown(reason))
    p, q = smoothed(n[None])[0], m / m.sum()
    exponent = float(fit_exponent(p, q))
    fit = sharpened(p, exponent)
    again = simulate_counts(
        np.stack([p, fit]), np.array([n.sum(), m.sum()]), draws=draws, seed=seed, key=key, threads=threads
    )
    bases = smoothed(again[:, :1])[:, 0]
    z = normal_quantile(1 - alpha / 2)
    spread = z * float(fit_exponent(bases, q).std(ddof=1))
    low, high = _profile(p, q, exponent, z * z / (2 * int(m.sum())))
    limits = Estimate(
        value=exponent,
        low=max(0.0, exponent - math.hypot(exponent - low, spread)),
        high=min(MOST, exponent + math.hypot(high - exponent, spread)),
        estimator="maximum likelihood, profile widened by bootstrap of the base",
        null=1.0,
    )
    if float(coverage(n)) < BASE_COVERAGE:
        return Sharpening(
            limits, Estimate.unknown("the base's coverage is too low to tell a new shape from noise")
        )
    # Were the fit the truth, the tuned samples would show the base too; left out, options that the base has
    # by chance not shown pass for a new shape (p < .05 in 20 % of draws at 30 samples of 10 options).
    joint, power = _joint_fit(n, m, exponent)
    null = simulate_counts(
        np.stack([joint, sharpened(joint, power)]),
        np.array([n.sum(), m.sum()]),
        draws=draws,
        seed=seed,
        key=stream_key("null", key),
        threads=threads,
    )
    bases, drawn = smoothed(null[:, :1])[:, 0], null[:, 1] / m.sum()
    noise = js_divergence(sharpened(bases, fit_exponent(bases, drawn)), drawn)
    observed = float(js_divergence(fit, q))
    pair = np.stack([np.rint(fit * FIXED_SAMPLES * 2).astype(np.int64), m])[None]
    beyond = js_interval(
        pair, alpha=alpha, draws=draws, seed=seed, key=stream_key("shape", key), threads=threads
    )
    unexplained = Estimate(
        value=max(0.0, observed - float(noise.mean())),
        low=max(0.0, observed - float(np.quantile(noise, 1 - alpha / 2))),
        high=beyond.high,
        estimator="plugin less simulated null",
        null=float(noise.mean()),
        p=float((noise >= observed).sum() + 1) / (draws + 1),
    )
    return Sharpening(limits, unexplained)


def _joint_fit(
    base: npt.NDArray[np.int64], tuned: npt.NDArray[np.int64], exponent: float
) -> tuple[Floats, float]:
    """Return the base and the exponent under which base *and* tuned counts are most likely together.

    Diagonal Newton steps on log p: its slope is n - N p + exponent (m - M q), with half a pseudo-count.
    """
    n, m = base + 0.5 / base.size, tuned.astype(np.float64)
    log = np.log(smoothed(base[None])[0])
    for _ in range(_JOINT_STEPS):
        p = sharpened(np.exp(log), 1.0)
        exponent = float(fit_exponent(p, m))
        q = sharpened(p, exponent)
        slope = n - n.sum() * p + exponent * (m - m.sum() * q)
        log = np.log(p) + np.clip(slope / (n.sum() * p + exponent**2 * m.sum() * q + 0.5), -1.0, 1.0)
    p = sharpened(np.exp(log - log.max()), 1.0)
    return p, float(fit_exponent(p, m))


def _flatness(counts: npt.NDArray[np.int64], draws: int, seed: int, key: int, threads: int) -> float:
    """Return p of the hypothesis that all options are equally likely, by the plug-in entropy."""
    flat = np.full((1, counts.size), 1 / counts.size)
    drawn = simulate_counts(
        flat, counts.sum()[None], draws=draws, seed=seed, key=stream_key("flat", key), threads=threads
    )
    even = entropy(drawn[:, 0], "plugin") <= float(entropy(counts, "plugin")) + 1e-12
    return float(even.sum() + 1) / (draws + 1)


def _profile(p: Floats, q: Floats, best: float, drop: float) -> tuple[float, float]:
    """Return where the mean log-likelihood has fallen by ``drop`` on either side, or an end of the range."""
    log = np.log(p)

    def likelihood(exponent: float) -> float:
        x = exponent * log
        top = float(x.max())
        return float(q @ x) - top - math.log(float(np.exp(x - top).sum()))

    edge = likelihood(best) - drop
    limits = []
    for end in (0.0, MOST):
        inside, outside = best, end
        if likelihood(end) >= edge:
            inside = end
        else:
            for _ in range(_HALVINGS):
                middle = 0.5 * (inside + outside)
                if likelihood(middle) >= edge:
                    inside = middle
                else:
                    outside = middle
        limits.append(inside)
    return limits[0], limits[1]
