"""Plug-in entropy and information of many samples: their law from three cumulants, without drawing any.

Of n samples, proportions are off their truth by noise z with the multinomial covariance, and a statistic is
T(P) + b'z + z'Az / 2 to second order: its cumulants are those of a quadratic form (b'b + tr AA / 2, 3 b'Ab +
tr AAA, both in coordinates in which z is standard normal and each row's noise adds up to 0). Options that are
rarely seen have less curvature than that says; so the mean is exact for Poisson counts, option by option,
and the curvature is scaled to it. A gamma law with these cumulants (Wilson and Hilferty 1931) gives the tail.
``docs/decisions/many-samples.md`` says how near that is.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from crystal.statistics.arrays import Counts, Floats
from crystal.statistics.special import LN2, normal_cdf, xlog2x

FEWEST_SAMPLES, SAMPLES_AN_OPTION = 100, 10
"""Samples that every row has to have, in all and for each option."""
MOST_SKEW = 0.5
"""Skewness of the statistic, wherever a limit may lie, beyond which three cumulants say too little."""
AS_DRAWS = 1 << 40
"""Draws that would give a tail as exactly as a law does."""
_LEAST = 1e-300
_MATTERS = 2.6
"""Normal scores between which the limits lie."""


def enough(sizes: Counts, options: int) -> bool:
    """Whether rows of so many samples over so many options may be treated so."""
    return int(sizes.min()) >= max(FEWEST_SAMPLES, SAMPLES_AN_OPTION * options)


class Law(NamedTuple):
    """Cumulants of a statistic at T members of a family, each float64 [T]; nats."""

    mean: Floats
    variance: Floats
    third: Floats


def entropy_law(members: Floats, sizes: Counts) -> Law:
    """Return the law of the mean over rows of the plug-in entropy.

    Parameters
    ----------
    members : ndarray, float64 [T, P, K]
        Distributions without zeros.
    sizes : ndarray, int64 [P]
        Samples of each row.
    """
    p = np.maximum(members, _LEAST)[:, :, None]
    n = sizes.astype(np.float64)[:, None, None]
    gain = poisson_gain(n * p)
    bias = (0.5 - gain.sum(axis=-1)) / n[..., 0]
    mean = -LN2 * xlog2x(members).sum(axis=-1) + bias[..., 0]
    curvature = (-np.minimum(2 * gain, 1.0) / n).transpose(0, 1, 3, 2)[..., None]
    return _law(mean, p, n, -np.log(p), curvature)


def js_law(members: Floats, sizes: Counts) -> Law:
    """Return the law of H(mean P_g) - mean H(P_g) of proportions, averaged over blocks.

    Parameters
    ----------
    members : ndarray, float64 [T, B, G, K]
        Distributions without zeros.
    sizes : ndarray, int64 [B, G]
        Samples of each row.
    """
    p, n = np.maximum(members, _LEAST), sizes.astype(np.float64)[..., None]
    groups = p.shape[2]
    middle = p.mean(axis=2, keepdims=True)
    own = 1.0 / (groups * n)
    # The mean of the groups varies as a Poisson count of unit `unit` does, but for the sums being fixed.
    unit = (p / n).sum(axis=2, keepdims=True) / (groups**2 * middle)
    gain = (poisson_gain(n * p) * own).sum(axis=2) - (unit * poisson_gain(middle / unit))[:, :, 0]
    fixed = (p**2 / (groups**2 * n * middle)).sum(axis=(2, 3)) - own.sum(axis=(1, 2))
    slope = np.log(p / middle) / groups
    mean = (p * slope).sum(axis=(2, 3)) + gain.sum(axis=-1) + 0.5 * fixed
    weight = np.clip(2 * gain / (own.sum(axis=1) - unit[:, :, 0]), 0.0, 1.0)
    shares = np.sqrt(p / n / middle).swapaxes(2, 3) / groups
    curvature = np.eye(groups) * own[:, None] - shares[..., None] * shares[..., None, :]
    return _law(mean, p, n, slope, weight[..., None, None] * curvature)


def _law(mean: Floats, p: Floats, n: Floats, slope: Floats, curvature: Floats) -> Law:
    """Add up the cumulants of blocks: means [T, B], slopes [T, B, G, K], curvatures [T, B, K, G, G]."""
    blocks = p.shape[1]
    slope = slope - (p * slope).sum(axis=-1, keepdims=True)
    noise = (np.sqrt(p / n) * slope).swapaxes(2, 3)
    share = p.swapaxes(2, 3)
    root = np.sqrt(share)
    square = curvature @ curvature
    # What noise that would change a row's sum adds.
    first, second = (
        (root[..., :, None] * power * root[..., None, :]).sum(axis=2) for power in (curvature, square)
    )

    def trace(a: Floats, b: Floats) -> Floats:
        result: Floats = np.einsum("...ij,...ji->...", a, b)
        return result

    squares = (
        trace(curvature, curvature).sum(axis=-1) - 2 * np.einsum("tbii->tb", second) + trace(first, first)
    )
    cubes = (
        trace(square, curvature).sum(axis=-1)
        - 3 * np.einsum("tbki,tbkij,tbkji->tb", share, square, curvature)
        + 3 * trace(first, second)
        - trace(first @ first, first)
    )
    along = np.einsum("tbki,tbkij,tbkj->tb", noise, curvature, noise)
    lopsided = (p * slope**3 / n**2).sum(axis=(2, 3))
    variance = (noise**2).sum(axis=(2, 3)) + 0.5 * squares
    skewed = 3 * along + cubes + lopsided
    return Law(mean.mean(axis=1), variance.sum(axis=1) / blocks**2, skewed.sum(axis=1) / blocks**3)


def tails(law: Law, observed: float) -> Floats | None:
    """Return the probability of a statistic at least as large as the observed one (nats) at each member.

    Returns
    -------
    ndarray, float64 [T], or None
        None where a member near the limits is too skewed for three cumulants.
    """
    deviation = np.sqrt(law.variance)
    if not (deviation > 0).all():
        return None
    skew = law.third / deviation**3
    away = (observed - law.mean) / deviation
    straight = np.abs(skew) < 1e-4
    bent = np.where(straight, 1.0, skew)
    score = np.where(straight, away, (np.cbrt(1 + bent * away / 2) - 1 + bent**2 / 36) * 6 / bent)
    near = np.abs(score) < _MATTERS
    near[1:] |= near[:-1].copy()
    near[:-1] |= near[1:].copy()
    if (np.abs(skew[near]) > MOST_SKEW).any():
        return None
    return np.array([normal_cdf(-x) for x in score.tolist()])


def poisson_gain(mean: Floats) -> Floats:
    """Return E[X ln X] - m ln m of a Poisson count X of mean m: 0 for few, 1/2 for many."""
    many = np.maximum(mean, 30.0)
    result: Floats = np.asarray(0.5 + 1 / (12 * many) + 1 / (12 * many**2))
    few = np.asarray(mean < 30.0)
    if few.any():
        result[few] = np.interp(np.log(np.maximum(np.asarray(mean)[few], 1e-300)), *_gains())
    return result


@cache
def _gains() -> tuple[Floats, Floats]:
    logs = np.linspace(np.log(1e-8), np.log(30.0), 600)
    mean = np.exp(logs)[:, None]
    x = np.arange(1, 121)
    log_factorial = np.cumsum(np.log(x))
    mass = np.exp(x * logs[:, None] - mean - log_factorial)
    gains = (mass * x * np.log(x)).sum(axis=1) - np.exp(logs) * logs
    return logs, gains
