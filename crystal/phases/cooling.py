"""Is the tuned distribution a base distribution, only cooler? P proportional to P_base^alpha, alpha > 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.rows import Counts, Floats, Rows, centre_of, proportions, redraw, smooth
from crystal.statistics.divergence import js_divergence
from crystal.statistics.special import normal_quantile

HIGHEST = 64.0
"""Powers beyond this cannot be told apart: all mass is on the top option."""
LEAST = 1e-3
_HALVINGS = 50


@dataclass(frozen=True)
class Cooling:
    """The power of a base row that fits the tuned behaviour best, and what it leaves unexplained."""

    alpha: float
    low: float
    high: float
    residual_low: float
    """One-sided limits of the JSD in bits that the fit leaves, each at level 1 - alpha."""
    residual_high: float


def power_of(base: Floats, target: Floats) -> Floats:
    """Return the alpha in [0, 64] under which a target [..., K] is likeliest as base^alpha / Z (base > 0).

    The log-likelihood alpha E_q[log p] - log sum p^alpha is concave; its slope is halved to zero. An alpha
    at an end of the range means that no power fits better.
    """
    log_p = np.log(base)
    wanted = (target * log_p).sum(axis=-1)
    low, high = np.zeros(np.shape(wanted)), np.full(np.shape(wanted), HIGHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_warm = (cooled(base, middle) * log_p).sum(axis=-1) < wanted
        low, high = np.where(too_warm, middle, low), np.where(too_warm, high, middle)
    result: Floats = (low + high) / 2
    return result


def cooled(base: Floats, alpha: Floats | float) -> Floats:
    """Return base^alpha / Z over the last axis."""
    exponent = np.log(base) * np.asarray(alpha)[..., None]
    weights = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    result: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return result


def fit_cooling(
    base: Rows, row: int, tuned: Rows, level: float, draws: int, seed: int, key: int, threads: int = 0
) -> Cooling | None:
    """Fit the power of one base row by maximum likelihood; None for fewer than 3 options or a flat row.

    Limits come from drawing base and tuned samples anew, ``draws`` times, with the fit as the truth, and
    fitting again: so they carry the noise of the base as well.
    """
    centre, own = centre_of(base.p), base.take(np.array([row]))
    p, q = smooth(own.whole, centre)[0], tuned.p.mean(axis=0)
    options = p.shape[-1]
    if options < 3 or float(p.max() - p.min()) < 1e-6:
        return None
    alpha = float(power_of(p, q))
    fit = cooled(p, alpha)
    residual = float(js_divergence(fit, q))
    if base.exact and tuned.exact:
        return Cooling(alpha, alpha, alpha, residual, residual)
    new_base = smooth(redraw(own, p[None], _sizes(own), draws, seed, key, threads), centre)[:, 0]

    def refit(truth: float) -> tuple[Floats, Floats]:
        rows = np.repeat(cooled(p, truth)[None], len(tuned.p), axis=0)
        again = redraw(tuned, rows, _sizes(tuned), draws, seed, stream_key("tuned", key), threads)
        target = proportions(again).mean(axis=1)
        powers = np.maximum(power_of(new_base, target), LEAST)
        left = np.asarray(js_divergence(cooled(new_base, powers), target), dtype=np.float64)
        return np.log(powers), left

    # Noise in the base pulls alpha towards 0, in data as in draws: what it takes from a first truth is
    # given back to the second, whose draws then say what noise does (basic bootstrap in log alpha).
    fitted = np.log(max(alpha, LEAST))
    first, _ = refit(alpha)
    truth = min(fitted - (float(first.mean()) - fitted), np.log(HIGHEST))
    second, left = refit(float(np.exp(truth)))
    ends = np.exp(fitted - np.quantile(second - truth, [1 - level / 2, level / 2]))
    spread = normal_quantile(1 - level) * float(left.std())
    net = residual - float(left.mean())
    return Cooling(alpha, float(ends[0]), float(min(ends[1], HIGHEST)), net - spread, net + spread)


def _sizes(rows: Rows) -> Counts:
    result: Counts = rows.whole.sum(axis=1).astype(np.int64)
    return result
