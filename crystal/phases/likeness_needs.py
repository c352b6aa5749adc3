"""How many samples would tell two models alike or apart: larger data sets, simulated and judged alike."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.phases.likeness_truths import truths
from crystal.phases.renaming import Names, Pair, divergences, names_of
from crystal.phases.settings import Settings
from crystal.states.tables import Counts, Floats
from crystal.statistics.js_interval import FIXED_SAMPLES
from crystal.statistics.special import LN2, normal_cdf, normal_quantile, xlog2x

Bools = npt.NDArray[np.bool_]

LARGEST = 100
"""More than so many times the samples is no useful advice."""
_A_THIRD = 3
FACTORS = LARGEST * 3.0 ** (np.arange(-15, 1) / _A_THIRD)
"""Sizes that are looked at, as multiples of what is there: each is a third of the third next."""
LEAST = 0.7
"""Share of the simulated data sets that a named size has to decide at least."""
LESS = 0.5
"""How much the share decided at a third of a size counts against that size."""
WORTH = 0.48
"""Where no size has a balance of so much, none is a good answer."""
CHANCE = "near, but so would be many who give these options other names"
_RENAMINGS = 99
_SMOOTHING = 0.3
_STEPS = 5


def needs(pair: Pair, settings: Settings, key: int) -> tuple[int | None, str | None]:
    """Return the valid samples of each side at which a verdict can be expected, or why none can be said.

    Predictive: pairs of distributions are drawn from what the two sides may be (:func:`truths`), a data set
    of any size from each, and judged as the data were. A good answer is a size at which most are decided and
    at a third of which many are not: the one with the largest balance, share decided less :data:`LESS` of
    the share decided at a third. One planned effect, the estimate, would not do: it is often wrong by as
    much as it lies from its margin.

    Parameters
    ----------
    pair : Pair
        Counts.
    settings : Settings
    key : int
        Stream of the random numbers.
    """
    world = World(pair, settings, key)
    decided, nearly = world.verdicts(LARGEST)
    if decided < LEAST:
        return None, CHANCE if nearly >= LEAST else f"more than {LARGEST} times the samples"
    shares = np.array([*(world.verdicts(factor)[0] for factor in FACTORS[:-1]), decided])
    shares = np.maximum.accumulate(shares)
    at, third = shares[_A_THIRD:], shares[:-_A_THIRD]
    balance = np.where((at >= LEAST) & (FACTORS[_A_THIRD:] > 1), at - LESS * third, -1.0)
    best = int(balance.argmax())
    if balance[best] < WORTH:
        return None, "how far the divergence lies from its margin is not known well enough to plan by"
    return math.ceil(FACTORS[_A_THIRD + best] * world.there), None


class World:
    """What the truth may be, and data sets of any size drawn from it."""

    def __init__(self, pair: Pair, settings: Settings, key: int) -> None:
        self.settings, self.key = settings, key
        n: Counts = np.asarray(pair.values, dtype=np.int64)
        self.sizes = n.sum(axis=2)
        self.sides = self.sizes.sum(axis=0)
        self.there = int(self.sides.min())
        self.truths = truths(n, np.random.default_rng([settings.seed, stream_key(key, "truths")]))

    def verdicts(self, factor: float) -> tuple[float, float]:
        """Return the share of data sets that get a verdict, and that would if luck were no objection."""
        wanted = np.ceil(factor * self.there * self.sizes / self.sides).astype(np.int64)
        sizes = np.maximum(wanted, self.sizes) if factor > 1 else np.minimum(wanted, self.sizes)
        # So many samples are as good as an exact distribution.
        sizes = np.clip(sizes, 1, FIXED_SAMPLES)
        random = np.random.default_rng([self.settings.seed, stream_key(self.key, int(sizes.max()))])
        # The multinomial wants sums that do not exceed 1 by rounding.
        counts = random.multinomial(sizes, self.truths / self.truths.sum(axis=-1, keepdims=True))
        p = np.where((self.sizes >= FIXED_SAMPLES)[..., None], self.truths, counts / sizes[..., None])
        told, decided, nearly = self._judged(p, sizes)
        return float((told & decided).mean()), float((told & nearly).mean())

    def _judged(self, p: Floats, sizes: Counts) -> tuple[Bools, Bools, Bools]:
        settings, margins = self.settings, self.settings.margins
        observed, control, share = self._renamed(p)
        margin = margins.seed_residual * control
        # The plug-in is about gamma distributed: at no divergence a multiple c of a chi-square, whose mean is
        # the bias, and beyond it what the options' surprise spreads. A limit is beyond the margin where the
        # data would be too rare if the divergence were exactly that.
        c = float((1 / sizes).sum(axis=1).mean()) / (8 * LN2 * len(sizes))
        bias = plugin_bias(self.truths, sizes)
        null = 2 * c * bias
        z = normal_quantile(1 - settings.alpha / 2)
        at = gamma_deviate(observed, margin + bias, null + spread_at(p, sizes, margin))
        # As the inversion has it: data that even no divergence makes unlikely bound it by less.
        least = np.minimum(settings.alpha / 2, settings.alpha * _cdf(gamma_deviate(observed, bias, null)))
        near, apart = _cdf(at) <= least, at >= z
        return control >= margins.jsd, apart | (near & (share <= settings.alpha)), apart | near

    def _renamed(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the plug-in divergence, its control and the share of renamings as near, of each data set.

        Options that a data set does not show take no part in its renamings.
        """
        shown = p.any(axis=(1, 2))
        order = np.argsort(~shown, axis=1, kind="stable")
        p = np.take_along_axis(p, order[:, None, None], axis=3)
        lengths = np.maximum(shown.sum(axis=1), 2)
        observed, control, share = np.zeros((3, len(p)))
        for length in np.unique(lengths).tolist():
            these = lengths == length
            names = _names(length, self.settings)
            observed[these], renamed = divergences(p[these][..., :length], names.orders)
            control[these] = names.control(renamed, observed[these])
            share[these] = names.share(renamed, observed[these])
        return observed, control, share


def _names(options: int, settings: Settings) -> Names:
    names = names_of(options, settings, stream_key("names", options))
    return names if names.complete and options < 6 else Names(names.orders[:_RENAMINGS], complete=False)


def plugin_bias(p: Floats, sizes: Counts) -> Floats:
    """Return how much the plug-in divergence exceeds that of p float64 [..., F, 2, K] on average, in bits.

    Every count is taken as Poisson: E[n log2 n] - m log2 m is looked up by its mean m, so options that
    samples may miss are right too. An option of the mixture counts as in a sample of the size that gives it
    its variance.
    """
    n = sizes[..., None]
    sides = (_excess(p * n).sum(axis=-1) - 0.5 / LN2) / sizes
    mixture = p.mean(axis=-2)
    each = (p / n).sum(axis=-2) / np.maximum(4 * mixture, 1e-300)
    middle = (_excess(mixture / np.maximum(each, 1e-300)) * each).sum(axis=-1)
    middle -= 0.5 / LN2 * (1 / sizes).sum(axis=-1) / 4
    return np.asarray(np.maximum((sides.mean(axis=-1) - middle).mean(axis=-1), 1e-12))


def spread_at(p: Floats, sizes: Counts, wanted: Floats) -> Floats:
    """Return the variance that surprise gives the divergence where it is ``wanted``, on the data's own path.

    p float64 [T, F, 2, K] are proportions, smoothed a little towards what both sides share.
    """
    n = sizes[..., None]
    shared = (n * p).sum(axis=-2, keepdims=True)
    shared = (shared > 0) * (shared + _SMOOTHING)
    extra = _SMOOTHING * (shared > 0).sum(axis=-1, keepdims=True)
    p = (n * p + extra * shared / shared.sum(axis=-1, keepdims=True)) / (n + extra)
    log = np.log(np.maximum(p, 1e-300))
    middle = np.log(np.maximum(p.mean(axis=-2, keepdims=True), 1e-300))
    t, reached = np.ones(len(p)), wanted
    for _ in range(_STEPS):
        # Near 0 the divergence is quadratic in t.
        t = np.clip(t * np.sqrt(wanted / np.maximum(reached, 1e-12)), 0.0, 50.0)
        weight = middle + t[:, None, None, None] * (log - middle)
        weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
        member = weight / weight.sum(axis=-1, keepdims=True)
        surprise = np.log2(np.maximum(member, 1e-300) / np.maximum(member.mean(-2, keepdims=True), 1e-300))
        reached = 0.5 * (member * surprise).sum(axis=(-2, -1)).mean(axis=-1)
    variance = (member * surprise**2).sum(axis=-1) - (member * surprise).sum(axis=-1) ** 2
    total = (variance / sizes).sum(axis=(-2, -1)) / (2 * len(sizes)) ** 2
    return np.asarray(total * wanted / np.maximum(reached, 1e-12))


def gamma_deviate(x: Floats, mean: Floats, variance: Floats) -> Floats:
    """Return the normal deviates of gamma variables with these moments (Wilson and Hilferty 1931)."""
    ninth = np.maximum(variance / (9 * mean**2), 1e-12)
    return np.asarray((np.cbrt(x / mean) - 1 + ninth) / np.sqrt(ninth))


def _cdf(deviate: Floats) -> Floats:
    grid, values = _normal()
    return np.asarray(np.interp(deviate, grid, values))


@cache
def _normal() -> tuple[Floats, Floats]:
    grid = np.linspace(-8, 8, 801)
    return grid, np.array([normal_cdf(z) for z in grid.tolist()])


def _excess(mean: Floats) -> Floats:
    """E[n log2 n] - m log2 m of Poisson counts n with mean m."""
    logs, values = _poisson()
    return np.asarray(np.interp(np.log(np.maximum(mean, 1e-300)), logs, values, left=0.0, right=0.5 / LN2))


@cache
def _poisson() -> tuple[Floats, Floats]:
    means = np.geomspace(1e-5, 200, 120)
    n = np.arange(1, 400)
    log_factorial = np.cumsum(np.log(n))
    share = np.exp(n * np.log(means)[:, None] - means[:, None] - log_factorial)
    return np.log(means), share @ xlog2x(n) - xlog2x(means)
