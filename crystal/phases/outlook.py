"""What more samples would show of a transition: truths that these allow, and data sets drawn from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import simulate_counts, stream_key
from crystal.phases.likeness_needs import gamma_deviate, plugin_bias
from crystal.phases.settings import Margins, Settings
from crystal.phases.sides import EXACT_SAMPLES
from crystal.phases.verdict import Evidence, Limits, decide
from crystal.states.tables import Counts, Floats
from crystal.statistics.divergence import js_information
from crystal.statistics.jackknife import js_jackknife
from crystal.statistics.smoothing import smoothed
from crystal.statistics.special import LN2, normal_quantile

LOOK_AHEAD = (2, 4, 8, 16, 48)
"""Multiples of the samples at which limits are looked for that these samples do not give."""
LIMITS = ("jsd", "entropy_change", "promptability_change", "promptability_from", "halved", "retention_change")
TWO = 2
_LEAST = 1e-9


class Law(NamedTuple):
    """How truths are drawn around their estimates: ``docs/decisions/statistics.md`` says what was tried."""

    wide: float
    """How far, as a share of what the limits allow."""
    zero: tuple[float, float, float]
    """Share that is 0 where the limits allow it: divergence, promptability on either side."""


LAW, LAW_OF_TWO = Law(0.35, (0.5, 0.8, 0.8)), Law(0.75, (0.0, 0.0, 0.0))
"""With two options there is one bit in all: small effects lie about their margins, and are not 0."""

Bools = npt.NDArray[np.bool_]

Analyse = Callable[[Counts], Evidence]
"""From the counts [P, 2, K] of two checkpoints to what they show."""


class Shares(NamedTuple):
    """Of the data sets of every size: the share that gets a verdict, and the share called NUCLEATION."""

    decided: Floats
    collapsed: Floats


class Outlook:
    """Truths that the samples of two checkpoints allow, and what data sets of any size would show of each.

    Of every quantity that verdicts rest on, the limits are read as how sure its value is: a truth is a
    normal draw around the estimate, on either side by a share (:class:`Law`) of what the limit there allows,
    held to what is possible; an information that may be 0 is 0 in a share of them. A data set adds the
    noise of its size. An information x is about c times a chi-square, so its variance is c (2 c df + 4 x),
    with c one over the size: near 0 its error shrinks with the size, beyond with its root, as those of the
    other quantities do. The omnibus test and the limits of the divergence are the plug-in's, taken as gamma
    distributed.

    Parameters
    ----------
    counts : ndarray, int64 [P, 2, K]
        Two checkpoints over their shared prompts; a side of ``EXACT_SAMPLES`` keeps its size.
    jsd : float
        The estimated divergence, bits.
    evidence : Evidence
        What is known now.
    level : float
        The p at which the omnibus test would be rejected among the other tasks' tests.
    settings : Settings
    key : int
        Stream of the random numbers.
    """

    def __init__(
        self, counts: Counts, jsd: float, evidence: Evidence, level: float, settings: Settings, key: int
    ) -> None:
        self.evidence, self.jsd = evidence, jsd
        self.level, self.settings, self.key = level, settings, key
        self.sizes = counts.sum(axis=2)
        self.exact = self.sizes >= EXACT_SAMPLES
        self.there = max(int(np.median(self.sizes[~self.exact])), 1)
        self.fit = _without_noise(smoothed(counts), counts)
        self.law = LAW_OF_TWO if counts.shape[2] == TWO else LAW
        self.seen_at = 1.0

    def look_ahead(self, analyse: Analyse | None) -> bool:
        """Take the limits from a larger data set where these samples give none; False if none gives them."""
        if analyse is None or _all_known(self.evidence):
            return _all_known(self.evidence)
        rows = at_information(self.fit, self.jsd)
        rows = rows.reshape(-1, rows.shape[-1])
        for factor in LOOK_AHEAD:
            drawn = simulate_counts(
                rows,
                self.at(float(factor)).ravel(),
                draws=1,
                seed=self.settings.seed,
                key=stream_key(self.key, "ahead", factor),
                threads=self.settings.threads,
            )
            found = analyse(drawn.reshape(self.fit.shape))
            if _all_known(found):
                self.evidence = replace(found, seed=self.evidence.seed)
                self.seen_at = float(factor)
                return True
        return False

    def at(self, factor: float) -> Counts:
        """Return the sizes [P, 2] of a data set of ``factor`` times the samples."""
        return np.where(self.exact, self.sizes, math.ceil(factor * self.there))

    def shares(self, factors: Floats) -> Shares:
        """Return the shares of data sets of these multiples of the samples, all from the same truths."""
        settings = self.settings
        random = np.random.default_rng([settings.seed, stream_key(self.key, "outlook")])
        truth, noise = random.standard_normal((2, 5, settings.simulations))
        # Whether the divergence, and promptability on either side, are 0 where they may be.
        zero = random.random((3, settings.simulations)) < np.array(self.law.zero)[:, None]
        sizes = np.stack([self.at(factor) for factor in factors.tolist()])
        differs, frozen, moved = self._divergence(sizes, truth[0], noise[0], zero[0])
        limits = {
            **self._informations(sizes, truth[1:3], noise[1:3], zero[1:]),
            "entropy_change": self._scalar("entropy_change", factors, truth[3], noise[3]),
            "retention_change": self._scalar("retention_change", factors, truth[4], noise[4]),
        }
        decided, collapsed = _decided(self.evidence, settings.margins, differs, frozen, moved, limits)
        told = factors >= self.seen_at
        return Shares(decided.mean(axis=1) * told, collapsed.mean(axis=1) * told)

    def _divergence(
        self, sizes: Counts, truth: Floats, noise: Floats, zero: Bools
    ) -> tuple[Bools, Bools, Bools]:
        """Whether the test rejects, and the limits are below or above the margin: bool [F, S] each."""
        settings = self.settings
        limits = self.evidence.jsd._replace(value=self.jsd)
        t = self._information(limits, truth, zero)
        prompts = sizes.shape[1]
        unit = (1 / sizes).sum(axis=(1, 2))[:, None] / (8 * LN2 * prompts**2)
        centre = np.broadcast_to(self.fit.mean(axis=1, keepdims=True), self.fit.shape)
        bias = plugin_bias(centre, sizes)[:, None]

        def deviate(x: Floats, at: Floats | float) -> Floats:
            return gamma_deviate(x, at + bias, unit * (2 * bias + 4 * at))

        mean, variance = t + bias, unit * (2 * bias + 4 * t)
        ninth = variance / (9 * mean**2)
        seen = mean * np.maximum(1 - ninth + np.sqrt(ninth) * noise, 0.0) ** 3
        half = normal_quantile(1 - settings.alpha / 2)
        null, at_margin = deviate(seen, 0.0), deviate(seen, settings.margins.jsd)
        return null > normal_quantile(1 - self.level), at_margin < -half, at_margin > half

    def _informations(self, sizes: Counts, truth: Floats, noise: Floats, zero: Bools) -> dict[str, Floats]:
        """Limits [F, S, 3] of promptability at the earlier checkpoint and of its changes."""
        prompts, _, options = self.fit.shape
        freedom = (options - 1) * (prompts - 1)
        now = self.at(self.seen_at)
        found = []
        for side, limits in enumerate(_both_sides(self.evidence)):
            t = self._information(limits, truth[side], zero[side])
            unit = (1 / sizes[:, :, side]).mean(axis=1)[:, None] / (2 * prompts * LN2)
            here = float((1 / now[:, side]).mean()) / (2 * prompts * LN2)
            value, width = limits.value or 0.0, ((limits.high or 0.0) - (limits.low or 0.0)) / 2
            width /= math.sqrt(here * (2 * freedom * here + 4 * value))

            def widths(x: Floats, unit: Floats = unit, width: float = width) -> Floats:
                result: Floats = width * np.sqrt(unit * (2 * freedom * unit + 4 * x))
                return result

            z = normal_quantile(1 - self.settings.alpha / 2)
            x = np.maximum(t + widths(t) / z * noise[side], 0.0)
            found.append((x, widths(x)))
        (before, first), (after, second) = found

        def change(ratio: float) -> Floats:
            half = np.hypot(second, ratio * first)
            value = after - ratio * before
            return np.stack([value - half, value, value + half], axis=-1)

        return {
            "promptability_from": np.stack([before - first, before, before + first], axis=-1),
            "promptability_change": change(1.0),
            "halved": change(self.settings.margins.collapse_ratio),
        }

    def _scalar(self, name: str, factors: Floats, truth: Floats, noise: Floats) -> Floats:
        """Limits [F, S, 3] of a quantity whose error shrinks with the root of the size."""
        limits: Limits = getattr(self.evidence, name)
        low, high, value = _numbers(limits)
        root = np.sqrt(factors / self.seen_at)[:, None]
        error = (high - low) / (2 * normal_quantile(1 - self.settings.alpha / 2)) / root
        x = self._draw(limits, truth) + error * noise
        return np.stack([x - (value - low) / root, x, x + (high - value) / root], axis=-1)

    def _draw(self, limits: Limits, noise: Floats) -> Floats:
        """Draw truths around an estimate; limits of a larger data set are made as wide as these samples'."""
        low, high, value = _numbers(limits)
        wide = self.law.wide * math.sqrt(self.seen_at) / normal_quantile(1 - self.settings.alpha / 2)
        result: Floats = value + np.where(noise > 0, high - value, value - low) * wide * noise
        return result

    def _information(self, limits: Limits, noise: Floats, zero: Bools) -> Floats:
        """Draw truths of an information, which is 0 in some where its limits allow that."""
        t = np.maximum(self._draw(limits, noise), 0.0)
        return np.where(zero, 0.0, t) if _numbers(limits)[0] <= _LEAST else t


def _numbers(limits: Limits) -> tuple[float, float, float]:
    low, high = limits.low or 0.0, limits.high or 0.0
    value = (low + high) / 2 if limits.value is None else limits.value
    return min(low, value), max(high, value), value


def _both_sides(evidence: Evidence) -> tuple[Limits, Limits]:
    """Tell the limits of both checkpoints' promptability, from those of the earlier and of the change."""
    low, high, value = _numbers(evidence.promptability_from)
    bottom, top, change = _numbers(evidence.promptability_change)
    after = max(value + change, 0.0)
    # A change is as wide as its sides together, each in the direction that it moves the change.
    down = math.sqrt(max((change - bottom) ** 2 - (high - value) ** 2, 0.0))
    up = math.sqrt(max((top - change) ** 2 - (value - low) ** 2, (0.3 * (top - change)) ** 2))
    return evidence.promptability_from, Limits(max(after - down, 0.0), after + up, after)


def _decided(
    evidence: Evidence,
    margins: Margins,
    differs: Bools,
    frozen: Bools,
    moved: Bools,
    limits: dict[str, Floats],
) -> tuple[Bools, Bools]:
    """Judge every data set as data are judged: whether it gets a verdict, and whether NUCLEATION."""
    asked = {
        "promptability_from": (margins.liquid,),
        "promptability_change": (margins.promptability_change, -margins.promptability_change),
        "halved": (0.0,),
        "entropy_change": (evidence.entropy_margin,),
        "retention_change": (-margins.retention,),
    }
    # The rule sees limits only through their side of the margins: data sets that agree there get one verdict.
    answers = [differs, frozen, moved]
    answers += [
        limits[name][..., i] > at for name, points in asked.items() for at in points for i in range(3)
    ]
    code = np.stack(answers, axis=-1) @ (1 << np.arange(len(answers)))
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    seed = True if evidence.seed is None else evidence.seed
    verdicts = []
    for place in first.tolist():
        at = np.unravel_index(place, code.shape)
        jsd = Limits(0.0, 0.0) if frozen[at] else Limits(1.0, 1.0) if moved[at] else Limits()
        known: dict[str, Any] = {
            name: Limits(float(values[at][0]), float(values[at][2]), float(values[at][1]))
            for name, values in limits.items()
        }
        whole = replace(evidence, differs=bool(differs[at]), seed=seed, jsd=jsd, **known)
        verdicts.append(decide(whole, margins)[0])
    names = np.array(verdicts)[inverse.reshape(code.shape)]
    return names != "UNDETERMINED", names == "NUCLEATION"


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


def _all_known(evidence: Evidence) -> bool:
    found: list[Limits] = [getattr(evidence, name) for name in LIMITS]
    return all(limits.low is not None and limits.high is not None for limits in found)


def _without_noise(fit: Floats, counts: Counts) -> Floats:
    """Bring the prompts [P, 2, K] of each checkpoint to the promptability that is left without its bias."""
    if len(fit) < 2 or (counts.sum(axis=2) < 2).any():
        return fit
    result = fit.copy()
    for side in range(2):
        target = max(js_jackknife(counts[None, :, side]).value, 0.0)
        result[:, side] = at_information(fit[None, :, side], target)[0]
    return result
