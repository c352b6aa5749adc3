"""What would settle an open transition: larger data sets, simulated and judged alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from crystal.phases.outlook import LOOK_AHEAD, TWO, Analyse, Outlook
from crystal.phases.settings import Settings
from crystal.phases.sides import Side
from crystal.phases.verdict import Evidence
from crystal.states.tables import Floats

_A_THIRD = 6
LARGEST = 100
"""Beyond so many times the samples no promise is made."""
FACTORS = LARGEST * 3.0 ** (np.arange(-30, 1) / _A_THIRD)
"""Sizes that are looked at, as multiples of what is there."""
NOTHING, ANYTHING = 2.0, 6.0
"""An estimate below so many margins whose limits go from 0 beyond so many is no ground for a plan."""
_SEED_SIZES = range(0, len(FACTORS), _A_THIRD)
_RARE = 0.02


class Rule(NamedTuple):
    """What makes a size a good answer, by the shares decided at it and at a third of it."""

    least: float
    """Share of the simulated data sets that a named size decides at least."""
    less: float
    """How much the share decided at a third of a size counts against that size."""
    worth: float
    """Where no size has a balance of so much, none is a good answer."""
    further: int
    """So many sizes beyond the best one is the one that is named: the balance is flat there, and too few
    samples cost more than some too many."""


RULE, RULE_OF_TWO = Rule(0.7, 0.4, 0.5, 1), Rule(0.85, 0.7, 0.35, 0)


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
    analyse: Analyse | None = None,
    seed_share: Callable[[int], float] = lambda _: 1.0,
) -> Needs:
    """Find the number of samples (or prompts) at which a verdict can be expected.

    Predictive: truths are drawn that these samples allow, a data set of every size from each, and all are
    judged as the data were (:class:`Outlook`). A good answer is a size at which most are decided and at a
    third of which many are not: the one with the largest balance, share decided less a part of the share
    decided at a third (:class:`Rule`). The estimates alone would not do as the truth: half of the published
    effects lie so near their margins that the estimate is on the wrong side as often as not.

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
    options = counts.shape[2]
    if options < TWO:
        return Needs(reason="only one answer was ever given")
    margin, limits = settings.margins.jsd, evidence.jsd
    nothing = limits.low == 0.0 and jsd < NOTHING * margin
    if nothing and limits.high is not None and limits.high > ANYTHING * margin:
        return Needs(reason="it may be no divergence or a large one: not known well enough to plan by")
    outlook = Outlook(counts, jsd, evidence, level, settings, key)
    if not outlook.look_ahead(analyse):
        return Needs(reason=f"too little of the answers is seen, even at {LOOK_AHEAD[-1]} times the samples")
    decided, collapsed = outlook.shares(FACTORS)
    if evidence.seed is None and collapsed.max() > _RARE:
        decided -= collapsed * (1 - _seeds(outlook, seed_share))
    best = best_size(decided, two=options == TWO)
    if isinstance(best, str):
        return Needs(reason=best)
    return Needs(samples=math.ceil(FACTORS[best] * outlook.there))


def best_size(decided: Floats, *, two: bool = False) -> int | str:
    """Choose from the shares decided at :data:`FACTORS`: the place of a size, or why none is good.

    Examples
    --------
    >>> best_size(np.repeat([0.0, 1.0], [15, 16]))
    16
    >>> best_size(np.repeat([0.0, 1.0], [15, 16]), two=True)
    15
    >>> best_size(np.full(31, 0.6))
    'not within 100 times the samples'
    """
    rule = RULE_OF_TWO if two else RULE
    decided = np.maximum.accumulate(decided)
    if decided[-1] < rule.least:
        return f"not within {LARGEST} times the samples"
    at, third = decided[_A_THIRD:], decided[:-_A_THIRD]
    balance = np.where((at >= rule.least) & (FACTORS[_A_THIRD:] > 1), at - rule.less * third, -1.0)
    best = int(balance.argmax())
    if balance[best] < rule.worth:
        return "how far the effects lie from their margins is not known well enough to plan by"
    return min(_A_THIRD + best + rule.further, len(FACTORS) - 1)


def _seeds(outlook: Outlook, seed_share: Callable[[int], float]) -> Floats:
    """Return the share of seeds that are decided, at every size: searched at some, and between them."""
    found: list[float] = []
    for place in _SEED_SIZES:
        sure = bool(found) and found[-1] == 1.0
        found.append(1.0 if sure else seed_share(math.ceil(FACTORS[place] * outlook.there)))
    return np.asarray(np.interp(np.arange(len(FACTORS)), _SEED_SIZES, found))
