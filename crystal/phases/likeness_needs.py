"""How many samples would tell two models alike or apart: larger data sets, simulated and judged alike."""

from __future__ import annotations

import math

import numpy as np

from crystal.ops.resampling import simulate_counts, stream_key
from crystal.phases.renaming import Names, Pair, divergences, names_of
from crystal.phases.settings import Settings
from crystal.states.tables import Counts, Floats
from crystal.statistics.divergence import js_information
from crystal.statistics.inversion import upper_tail
from crystal.statistics.jackknife import js_jackknife
from crystal.statistics.js_interval import FIXED_SAMPLES, family_at
from crystal.statistics.special import normal_quantile

LARGEST = 100
"""More than so many times the samples is no useful advice."""
FACTORS = np.geomspace(1.25, LARGEST, 20)
"""Sizes that are tried, as multiples of what is there."""
DECIDED = 0.84
"""Share of the simulated data sets that have to end in a verdict."""
THIRD = 0.76
"""Where more than this share of them does so with a third of the samples, no size is a good answer."""
CHANCE = "near, but so would be many who give these options other names"
_TRUTHS = 25
_DRAWS = 64
_JUDGED = 8
"""Of the data sets drawn from each truth: those whose options are renamed too."""
_RENAMINGS = 199
_REACH = 4.0
"""Standard errors on each side of the estimate within which the truth is sought."""


def needs(pair: Pair, settings: Settings, key: int) -> tuple[int | None, str | None]:
    """Return the valid samples of each side at which a verdict can be expected, or why none can be said.

    What the truth may be is read off the interval's own family: the mid-p of the data at a member is the
    confidence that the divergence is at most that member's. From members over that range data sets of any
    size are drawn and judged as the data were: the interval by inversion over the same family, the margin
    and the share of renamings that lie as near from the data set itself. The answer is the smallest size at
    which :data:`DECIDED` of them, weighted by confidence, get a verdict. One planned effect, the estimate,
    would not do: it is often wrong by as much as it lies from its margin.

    Parameters
    ----------
    pair : Pair
        Counts.
    settings : Settings
    key : int
        Stream of the random numbers.
    """
    world = _World(pair, settings, key)
    most = world.verdicts(LARGEST)
    if most[0] < DECIDED:
        return None, CHANCE if most[1] >= DECIDED else f"more than {LARGEST} times the samples"
    low, high = 0, len(FACTORS) - 1
    while low < high:
        middle = (low + high) // 2
        if world.verdicts(FACTORS[middle])[0] >= DECIDED:
            high = middle
        else:
            low = middle + 1
    if world.verdicts(FACTORS[low] / 3)[0] > THIRD:
        return None, "how far the divergence lies from its margin is not known well enough to plan by"
    return math.ceil(FACTORS[low] * world.there), None


class _World:
    """What the truth may be, and data sets of any size drawn from it."""

    def __init__(self, pair: Pair, settings: Settings, key: int) -> None:
        self.settings, self.key = settings, key
        n: Counts = np.asarray(pair.values, dtype=np.int64)
        self.sizes = n.sum(axis=2)
        self.sides = self.sizes.sum(axis=0)
        self.there = int(self.sides.min())
        spread = js_jackknife(n)
        # The plug-in is biased by at most about twice what the jackknife takes off.
        half = _REACH * math.sqrt(spread.variance) + 2 * max(spread.plugin - spread.value, 0.0)
        low, high = max(spread.value - half, 0.0), max(spread.value, 0.0) + half
        # Even in the root, in which the standard error is nearly the same everywhere.
        wanted = np.linspace(math.sqrt(low), math.sqrt(high), _TRUTHS) ** 2
        self.members, self.targets = family_at(n, wanted)
        p = self._drawn(1.0)
        tail = upper_tail(js_information(p).mean(axis=-1).T, spread.plugin)
        known = 0.5 * (np.maximum.accumulate(tail) + np.minimum.accumulate(tail[::-1])[::-1])
        edges = np.concatenate([[0.0], 0.5 * (known[1:] + known[:-1]), [1.0]])
        self.weights = np.diff(edges)
        names = names_of(n.shape[2], settings, stream_key("names", key))
        self.names = names if names.complete else Names(names.orders[:_RENAMINGS], complete=False)

    def _drawn(self, factor: float) -> Floats:
        """Draw the proportions of data sets [draws, T, F, 2, K] of ``factor`` times the size."""
        wanted = np.ceil(factor * self.there * self.sizes / self.sides).astype(np.int64)
        sizes = np.maximum(wanted, self.sizes) if factor > 1 else np.minimum(wanted, self.sizes)
        fixed = self.sizes >= FIXED_SAMPLES
        # So many samples are as good as an exact distribution; and a call takes no more than 2^24.
        most = min(FIXED_SAMPLES, (1 << 24) // sizes.size)
        sizes = np.where(fixed, 1, np.clip(sizes, 1, most))
        drawn = [
            simulate_counts(
                member.reshape(-1, member.shape[-1]),
                sizes.ravel(),
                draws=_DRAWS,
                seed=self.settings.seed,
                key=stream_key("needs", self.key, truth, int(sizes.max())),
                threads=self.settings.threads,
            ).reshape(_DRAWS, *member.shape)
            for truth, member in enumerate(self.members)
        ]
        p: Floats = np.stack(drawn, axis=1) / sizes[..., None]
        return np.where(fixed[..., None], self.members, p)

    def verdicts(self, factor: float) -> tuple[float, float]:
        """Return the share of data sets that get a verdict, and that would if luck were no objection."""
        settings, margins = self.settings, self.settings.margins
        p = self._drawn(factor)
        plugin = js_information(p).mean(axis=-1)
        z = normal_quantile(1 - settings.alpha / 2)
        least, most = (np.maximum.accumulate(gamma_quantiles(plugin, side)) for side in (-z, z))
        observed, renamed = divergences(p[:_JUDGED], self.names.orders)
        control = self.names.control(renamed, observed)
        margin = margins.seed_residual * control
        # The truths at which the data would be among the smallest, or the largest, share alpha/2.
        near = np.interp(observed, least, self.targets, right=np.inf) <= margin
        apart = np.interp(observed, most, self.targets, left=0.0) > margin
        lucky = self.names.share(renamed, observed) > settings.alpha
        told = control >= margins.jsd
        shares = [
            ((told & (apart | shared)).mean(axis=0) * self.weights).sum() for shared in (near & ~lucky, near)
        ]
        return float(shares[0]), float(shares[1])


def gamma_quantiles(draws: Floats, z: float) -> Floats:
    """Return a quantile, by its normal deviate, of gammas with the columns' moments (Wilson, Hilferty)."""
    mean, variance = draws.mean(axis=0), draws.var(axis=0)
    ninth = variance / (9 * np.maximum(mean, 1e-300) ** 2)
    return np.asarray(mean * np.maximum(1 - ninth + z * np.sqrt(ninth), 0.0) ** 3)
