"""What would settle an open transition: samples of the fitted checkpoints, simulated and judged alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from crystal.ops.resampling import simulate, simulate_counts, stream_key
from crystal.phases.settings import Settings
from crystal.phases.sides import Side
from crystal.phases.verdict import Evidence, Limits, decide
from crystal.states.tables import Counts, Floats
from crystal.statistics import large_samples
from crystal.statistics.divergence import js_information
from crystal.statistics.jackknife import js_jackknife
from crystal.statistics.smoothing import smoothed
from crystal.statistics.special import LN2, normal_quantile

FACTORS = (1.25, 1.5, 1.8, 2.2, 2.7, 3.3, 4, 5, 6, 7.5, 9, 11, 13, 16, 20, 24, 30, 36, 44, 54, 66, 80, 100)
"""Sample sizes that are tried, as multiples of what is there; beyond the last no promise is made."""
DECIDED = 0.9
"""Share of the simulated data sets that have to end in a verdict."""
SHRINK = 0.25
"""Standard errors by which an effect is taken to be nearer to its margin than it seems."""
LOOK_AHEAD = (4, 12, 48)
"""Multiples of the samples at which limits are looked for that these samples do not give."""
LIMITS = ("entropy_change", "promptability_change", "promptability_from", "halved", "retention_change")
NULL_POWER = 0.75
"""Between the rates at which the limits of an information shrink at 0 (1) and away from it (1/2)."""
_NULL_DRAWS = 400


class Needs(NamedTuple):
    """Valid samples a prompt at each checkpoint (in total), prompts, or why neither can be given."""

    samples: int | None = None
    prompts: int | None = None
    reason: str | None = None


Analyse = Callable[[Counts], Evidence]
"""From the counts [P, 2, K] of two checkpoints to what they show."""


def needs(
    sides: tuple[Side, Side],
    jsd: float | None,
    evidence: Evidence,
    level: float,
    settings: Settings,
    key: int,
    analyse: Analyse | None = None,
    seed_share: Callable[[int, float], float] = lambda *_: 1.0,
) -> Needs:
    """Find the number of samples (or prompts) at which a verdict could be expected.

    The two checkpoints are fitted (smoothed, without the differences between prompts that noise makes), and
    the divergence is moved towards the nearest margin by part of its standard error. At each size, data
    sets are drawn from that: the omnibus test and the upper limit of the JSD are simulated; the other limits
    are those of the data, redrawn around their estimates at widths that shrink with the root of the size.
    Where the data are too few for a limit, they are those of a larger data set drawn from the fit. A seed
    that is still open is searched for in data sets of that size. The answer is the smallest size of a grid
    at which 90 % of them get a verdict.

    Parameters
    ----------
    sides : tuple of Side
        The two checkpoints over their shared prompts.
    jsd : float or None
        The estimated divergence, bits.
    evidence : Evidence
        What is known now.
    level : float
        The p at which the omnibus test would be rejected among the other tasks' tests.
    settings : Settings
    key : int
        Stream of the random numbers.
    analyse : callable, optional
        What a larger data set would show; without it, what has no limit now never gets one.
    seed_share : callable
        Of a size, the share of data sets in which a seed that is open now is found or refuted.
    """
    if evidence.prompts < 2:
        return Needs(prompts=2)
    if sides[0].exact and sides[1].exact:
        return Needs(reason="exact distributions: more samples change nothing")
    if jsd is None:
        return Needs(reason="the divergence is not known well enough to plan by")
    counts = np.stack([sides[0].counts, sides[1].counts], axis=1)
    counts = counts[..., counts.sum(axis=(0, 1)) > 0]
    if counts.shape[2] < 2:
        return Needs(reason="only one answer was ever given")
    there = max(int(np.median(counts.sum(axis=2))), 1)
    fit = _without_noise(smoothed(counts), counts)
    world = _World(fit, jsd, evidence, there, level, settings, key)
    world.seed_share = seed_share
    if analyse is not None and not world.look_ahead(analyse):
        return Needs(reason=f"too little of the answers is seen, even at {LOOK_AHEAD[-1]} times the samples")
    low = world.smallest(0, searched=False)
    open_ = evidence.seed is None and low < len(FACTORS)
    if open_ and world.decided(FACTORS[low]) < DECIDED:
        low = world.smallest(low + 1)
    if low == len(FACTORS):
        return Needs(reason=f"not within {FACTORS[-1]} times the samples")
    return Needs(samples=math.ceil(FACTORS[low] * there))


class _World:
    """The fitted pair of checkpoints, from which data sets of any size are drawn."""

    def __init__(
        self,
        fit: Floats,
        jsd: float,
        evidence: Evidence,
        there: int,
        level: float,
        settings: Settings,
        key: int,
    ) -> None:
        self.evidence, self.there, self.level, self.settings, self.key = evidence, there, level, settings, key
        margin = settings.margins.jsd
        error = _error(evidence.jsd, settings.alpha)
        self.centre = np.broadcast_to(fit.mean(axis=1, keepdims=True), fit.shape)
        self.truth = at_information(fit, max(_towards(jsd, margin, SHRINK * error), 0.0))
        self.margin = at_information(fit, margin)
        self.seen_at = 1.0
        self.seed_share: Callable[[int, float], float] = lambda *_: 1.0

    def look_ahead(self, analyse: Analyse) -> bool:
        """Take the limits from a larger data set where these samples give none; False if none gives them."""
        if all(_known(getattr(self.evidence, name)) for name in LIMITS):
            return True
        for factor in LOOK_AHEAD:
            size = math.ceil(factor * self.there)
            rows = self.truth.reshape(-1, self.truth.shape[-1])
            sizes = np.full(len(rows), size, dtype=np.int64)
            run = {"seed": self.settings.seed, "key": stream_key(self.key, "ahead", size)}
            drawn = simulate_counts(rows, sizes, draws=1, threads=self.settings.threads, **run)
            found = analyse(drawn.reshape(self.truth.shape))
            if all(_known(getattr(found, name)) for name in LIMITS):
                self.evidence = replace(found, seed=self.evidence.seed)
                self.seen_at = float(factor)
                return True
        return False

    def smallest(self, low: int, *, searched: bool = True) -> int:
        """Return the place of the smallest factor, from ``low`` on, where enough is decided, else how many.

        Searches for a seed cost most: without them (``searched``) the answer may be smaller, never larger.
        """
        high = len(FACTORS)
        if low == high or self.decided(FACTORS[-1], searched) < DECIDED:
            return high
        high -= 1
        while low < high:
            middle = (low + high) // 2
            if self.decided(FACTORS[middle], searched) >= DECIDED:
                high = middle
            else:
                low = middle + 1
        return low

    def _drawn(self, members: Floats, size: int, statistic: Literal["g", "js"]) -> Floats:
        """Return a statistic of data sets of a size under members [T, P, 2, K] of the family: [T, draws].

        Where samples are many it comes from its law. With equal sizes G is the divergence on another scale.
        """
        key, draws = stream_key(self.key, statistic[0], size), max(self.settings.simulations, _NULL_DRAWS)
        sizes = np.full(members.shape[1:3], size, dtype=np.int64)
        if large_samples.enough(np.array([self.there]), members.shape[-1]):
            scores = np.random.default_rng([self.settings.seed, key]).standard_normal(draws)
            found = large_samples.drawn(large_samples.js_law(members, sizes), scores)
            if found is not None:
                return found * (2 * sizes.sum() if statistic == "g" else 1 / LN2)
        run = {"seed": self.settings.seed, "key": key, "threads": self.settings.threads}
        return simulate(members, sizes, statistic, draws=draws, **run)

    def decided(self, factor: float, searched: bool = True) -> float:
        """Return the share of simulated data sets of this size that end in a verdict."""
        settings, count = self.settings, self.settings.simulations
        if factor < self.seen_at:
            return 0.0
        size = math.ceil(factor * self.there)
        g = self._drawn(np.stack([self.centre, self.truth]), size, "g")
        js = self._drawn(np.stack([self.margin, self.truth]), size, "js")
        differs = g[1, :count] > gamma_quantile(g[0], self.level)
        at_margin = np.quantile(js[0], [settings.alpha / 2, 1 - settings.alpha / 2])
        frozen, moved = js[1, :count] < at_margin[0], js[1, :count] > at_margin[1]
        random = np.random.default_rng([settings.seed, stream_key(self.key, "limits", size)])
        margins = settings.margins
        drawn: dict[str, list[Limits]] = {
            name: _redraw(getattr(self.evidence, name), factor / self.seen_at, count, settings.alpha, random)
            for name in LIMITS
        }
        seed = True if self.evidence.seed is None else self.evidence.seed
        verdicts, collapsed = 0.0, 0
        for i in range(count):
            limits: dict[str, Any] = {name: column[i] for name, column in drawn.items()}
            limits["jsd"] = Limits(0.0, 0.0) if frozen[i] else Limits(1.0, 1.0) if moved[i] else Limits()
            known = replace(self.evidence, differs=bool(differs[i]), seed=seed, **limits)
            verdict = decide(known, margins)[0]
            verdicts += verdict != "UNDETERMINED"
            collapsed += verdict == "NUCLEATION"
        if searched and collapsed and self.evidence.seed is None:
            # The share of the searches at which 0.9 of the data sets are decided; the rest would not matter.
            least = 1.0 - (verdicts - DECIDED * count) / collapsed
            verdicts -= collapsed * (1.0 - (self.seed_share(size, least) if 0.0 < least <= 1.0 else 1.0))
        return verdicts / count


def at_information(fit: Floats, target: float) -> Floats:
    """Move along M^(1-t) P^t, M the groups' mean, until the mean information of the blocks is ``target``.

    Parameters
    ----------
    fit : ndarray, float64 [B, G, K]
        Distributions without zeros.
    target : float
        Bits; reached as far as the path goes.
    """
    log = np.log(fit)
    middle = np.log(fit.mean(axis=1, keepdims=True))

    def member(t: float) -> Floats:
        weight = middle + t * (log - middle)
        weight = np.exp(weight - weight.max(axis=2, keepdims=True))
        result: Floats = weight / weight.sum(axis=2, keepdims=True)
        return result

    low, high = 0.0, 1.0
    while float(js_information(member(high)).mean()) < target and high < 64:
        high *= 2
    for _ in range(40):
        half = (low + high) / 2
        if float(js_information(member(half)).mean()) < target:
            low = half
        else:
            high = half
    return member(high)


def gamma_quantile(draws: Floats, level: float) -> float:
    """Return the upper quantile of a gamma fitted to draws by moments (Wilson and Hilferty 1931)."""
    mean, variance = float(draws.mean()), float(draws.var())
    if variance <= 0.0 or mean <= 0.0:
        return mean
    shape = mean * mean / variance
    z = normal_quantile(1 - level)
    return mean * max(1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape)), 0.0) ** 3


def _known(limits: Limits) -> bool:
    return limits.low is not None and limits.high is not None


def _without_noise(fit: Floats, counts: Counts) -> Floats:
    """Bring the prompts [P, 2, K] of each checkpoint to the promptability that is left without its bias."""
    if len(fit) < 2 or (counts.sum(axis=2) < 2).any():
        return fit
    result = fit.copy()
    for side in range(2):
        target = max(js_jackknife(counts[None, :, side]).value, 0.0)
        result[:, side] = at_information(fit[None, :, side], target)[0]
    return result


def _error(limits: Limits, alpha: float) -> float:
    """Return the standard error that an interval is worth."""
    if limits.low is None or limits.high is None:
        return 0.0
    return (limits.high - limits.low) / (2 * normal_quantile(1 - alpha / 2))


def _towards(value: float, margin: float, step: float) -> float:
    """Move ``value`` towards ``margin`` by at most ``step``, never past it."""
    return max(margin, value - step) if value > margin else min(margin, value + step)


def _redraw(
    limits: Limits, factor: float, count: int, alpha: float, random: np.random.Generator
) -> list[Limits]:
    """Draw the limits that ``factor`` times the samples would give; unknown ones stay unknown."""
    noise = random.standard_normal(count)
    if limits.low is None or limits.high is None:
        return [limits] * count
    # Limits that start at a boundary are lopsided: each side shrinks by itself. What may well be 0 is planned
    # for as 0, where an information's error shrinks with the size itself.
    value = limits.value if limits.value is not None else (limits.low + limits.high) / 2
    value, power = (0.0, NULL_POWER) if limits.low == 0.0 else (value, 0.5)
    root = factor**power
    centres = value + _error(limits, alpha) / root * noise
    below, above = max(value - limits.low, 0.0) / root, max(limits.high - value, 0.0) / root
    return [Limits(centre - below, centre + above, centre) for centre in centres.tolist()]
