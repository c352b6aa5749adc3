"""What would settle an open transition: samples of the fitted checkpoints, simulated and judged alike."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from crystal.ops.resampling import simulate, stream_key
from crystal.phases.settings import Settings
from crystal.phases.sides import Side
from crystal.phases.verdict import Evidence, Limits, decide
from crystal.states.tables import Floats
from crystal.statistics.divergence import js_information
from crystal.statistics.smoothing import smoothed
from crystal.statistics.special import normal_quantile

FACTORS = (1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
"""Sample sizes that are tried, as multiples of what is there; beyond the last no promise is made."""
DECIDED = 0.9
"""Share of the simulated data sets that have to end in a verdict."""
_NULL_DRAWS = 400


class Needs(NamedTuple):
    """Valid samples a prompt at each checkpoint (in total), prompts, or why neither can be given."""

    samples: int | None = None
    prompts: int | None = None
    reason: str | None = None


def needs(
    sides: tuple[Side, Side],
    jsd: float | None,
    evidence: Evidence,
    level: float,
    settings: Settings,
    key: int,
) -> Needs:
    """Find the number of samples (or prompts) at which a verdict could be expected.

    The two checkpoints are fitted (smoothed), and the difference is moved half its standard error towards the
    nearest margin. At each size, data sets are drawn from that: the omnibus test and the upper limit of the
    JSD are simulated; the other limits are drawn from normals whose standard errors shrink with the root of
    the size. The answer is the smallest size of a grid at which 90 % of them get a verdict.

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
    world = _World(smoothed(counts), jsd, evidence, there, level, settings, key)
    if world.decided(FACTORS[-1]) < DECIDED:
        return Needs(reason=f"not within {FACTORS[-1]} times the samples")
    low, high = 0, len(FACTORS) - 1
    while low < high:
        middle = (low + high) // 2
        if world.decided(FACTORS[middle]) >= DECIDED:
            high = middle
        else:
            low = middle + 1
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
        self.truth = at_information(fit, _towards(jsd, margin, error / 2))
        self.margin = at_information(fit, margin)

    def decided(self, factor: float) -> float:
        """Return the share of simulated data sets of this size that end in a verdict."""
        settings, count = self.settings, self.settings.simulations
        size = math.ceil(factor * self.there)
        sizes = np.full(self.truth.shape[:2], size, dtype=np.int64)
        run = {"seed": settings.seed, "threads": settings.threads}
        tests = np.stack([self.centre, self.truth])
        g = simulate(
            tests, sizes, "g", draws=max(count, _NULL_DRAWS), key=stream_key(self.key, "g", size), **run
        )
        edges = np.stack([self.margin, self.truth])
        js = simulate(
            edges, sizes, "js", draws=max(count, _NULL_DRAWS), key=stream_key(self.key, "j", size), **run
        )
        differs = g[1, :count] > gamma_quantile(g[0], self.level)
        frozen = js[1, :count] < np.quantile(js[0], settings.alpha / 2)
        random = np.random.default_rng([settings.seed, stream_key(self.key, "limits", size)])
        names = ("entropy_change", "promptability_change", "promptability_from", "halved", "retention_change")
        margins = settings.margins
        targets = {
            "entropy_change": self.evidence.entropy_margin,
            "promptability_change": math.copysign(
                margins.promptability_change, _middle(self.evidence.promptability_change)
            ),
            "promptability_from": margins.liquid,
            "halved": 0.0,
            "retention_change": -margins.retention,
        }
        drawn: dict[str, list[Limits]] = {
            name: _redraw(getattr(self.evidence, name), targets[name], factor, count, settings.alpha, random)
            for name in names
        }
        # A seed that is not known yet is taken to be found: more samples are what finds it.
        seed = True if self.evidence.seed is None else self.evidence.seed
        verdicts = 0
        for i in range(count):
            limits: dict[str, Any] = {name: column[i] for name, column in drawn.items()}
            limits["jsd"] = Limits(0.0, 0.0) if frozen[i] else Limits()
            known = replace(self.evidence, differs=bool(differs[i]), seed=seed, **limits)
            verdicts += decide(known, margins)[0] != "UNDETERMINED"
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


def _middle(limits: Limits) -> float:
    return 0.0 if limits.low is None or limits.high is None else (limits.low + limits.high) / 2


def _error(limits: Limits, alpha: float) -> float:
    """Return the standard error that an interval is worth."""
    if limits.low is None or limits.high is None:
        return 0.0
    return (limits.high - limits.low) / (2 * normal_quantile(1 - alpha / 2))


def _towards(value: float, margin: float, step: float) -> float:
    """Move ``value`` towards ``margin`` by at most ``step``, never past it."""
    return max(margin, value - step) if value > margin else min(margin, value + step)


def _redraw(
    limits: Limits, margin: float, factor: float, count: int, alpha: float, random: np.random.Generator
) -> list[Limits]:
    """Draw the limits that ``factor`` times the samples would give; unknown ones stay unknown."""
    noise = random.standard_normal(count)
    if limits.low is None or limits.high is None:
        return [limits] * count
    error = _error(limits, alpha)
    truth = _towards(_middle(limits), margin, error / 2)
    error /= math.sqrt(factor)
    half = normal_quantile(1 - alpha / 2) * error
    return [Limits(value - half, value + half) for value in (truth + error * noise).tolist()]
