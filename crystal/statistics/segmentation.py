"""The transitions of a long ladder: how many, where, how sure, and whether each is a cut or a drift.

Why the error rate holds
------------------------
An interval of checkpoints is *homogeneous* if no block's distribution changes in it. Its test permutes the
samples' checkpoint labels within each block, so its p-value is valid whatever the distributions are. The
whole ladder of S checkpoints is tested at level alpha, an interval of L of them at alpha (L - 1)/(S - 2).
A further transition is claimed between two that were found only if every interval is rejected whose ends lie
anywhere in their position sets. If those sets hold the true positions, then a false claim between
two true neighbours rejects, among others, exactly the interval between them. These intervals are
fixed by the truth, not by the data, and disjoint, so their levels add up to at most alpha (Meinshausen 2008
argues so for trees): P(any false claim) <= alpha + P(a position set misses).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import permutation_test, simulate_counts, stream_key
from crystal.statistics.arrays import Counts, Floats, as_counts
from crystal.statistics.change_points import cut_g, order_test
from crystal.statistics.ramps import Ramps, ramp_fits, ramps_through, step_fits
from crystal.statistics.smoothing import smoothed

SIMULATED_CELLS = 12_000_000
"""Cells of simulated tables that are held at once; fewer data sets are simulated for larger ladders."""
_ORDER_DRAWS = 199
_FAR, _FAR_SPREADS = 40.0, 6.0
"""G so far below the largest (and so many standard deviations of its noise) is out of the question."""
_ROUNDS = 10
"""Rounds of moving cuts between their neighbours; each raises the likelihood, so they end by themselves."""


@dataclass(frozen=True)
class Transition:
    """One place where a ladder changes."""

    position: int
    """The change lies between checkpoints ``position - 1`` and ``position``."""
    cuts: tuple[int, ...]
    """All cuts that the data do not exclude: a set, which may have gaps. For a drift, all that it spans."""
    g: float
    """G of the cut between its neighbours, nats, summed over the blocks."""
    p: float
    """Adjusted over the segmentation: at most alpha."""
    gradual: bool
    """A ramp over several checkpoints describes it better than any step (level alpha)."""
    gradual_p: float | None
    """The p-value of "it is a step"; None where there are no checkpoints for anything else."""

    @property
    def low(self) -> int:
        """The first cut that is not excluded."""
        return self.cuts[0]

    @property
    def high(self) -> int:
        """The last one."""
        return self.cuts[-1]


@dataclass(frozen=True)
class Segmentation:
    """What :func:`find_transitions` found."""

    p: float
    """Permuting the samples' checkpoint labels within each block: does anything change anywhere?"""
    order_p: float | None
    """:func:`crystal.statistics.change_points.order_test`; None below 10 checkpoints."""
    transitions: tuple[Transition, ...]
    """In ladder order; empty where p is above alpha."""


@dataclass(frozen=True)
class _Cut:
    position: int
    p: float
    cuts: tuple[int, ...]


def find_transitions(
    counts: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    permutations: int = 19_999,
    exceedances: int = 20,
    simulations: int = 400,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> Segmentation | None:
    """Find where a ladder changes, with error control over the whole segmentation.

    Binary segmentation by the largest G of a cut; each claim is tested as the module's heading says. After
    each claim all cuts are moved to the best place between their neighbours. A position set holds all t with
    max G - G_t at most the 1 - alpha quantile of max G - G_true in data simulated from the fitted cut. The
    same simulations say whether a ramp (:mod:`crystal.statistics.ramps`) beats every step by more than it
    does where the truth is a step; neighbouring gradual transitions that touch are one.

    Parameters
    ----------
    counts : array_like, int64 [B, S, K]
        Counts of B blocks (prompts) at S checkpoints in order.
    alpha : float
        Probability of any false transition if position sets cover, and one minus the level of those sets.
    permutations, exceedances : int
        Most draws of a permutation test, and the exceedances at which it stops.
    simulations : int
        Most simulated data sets for each cut.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).

    Returns
    -------
    Segmentation or None
        None with fewer than 2 checkpoints or without samples.

    Examples
    --------
    >>> counts = [[[30, 5], [28, 7], [6, 29], [4, 31]]]
    >>> found = find_transitions(counts)
    >>> [(change.position, change.cuts, change.gradual) for change in found.transitions]
    [(2, (2,), False)]
    """
    n = as_counts(counts, 3)
    if n.shape[1] < 2 or n.sum() == 0:
        return None
    search = _Search(n, alpha, permutations, exceedances, simulations, seed, key, threads)
    cuts = search.cuts()
    return Segmentation(
        p=search.p(0, n.shape[1]),
        order_p=order_test(n, draws=_ORDER_DRAWS, seed=seed, key=key),
        transitions=tuple(_merged(search.transitions(cuts))),
    )


class _Search:
    def __init__(
        self,
        counts: Counts,
        alpha: float,
        permutations: int,
        exceedances: int,
        simulations: int,
        seed: int,
        key: int,
        threads: int,
    ) -> None:
        self.n = counts[:, :, counts.sum(axis=(0, 1)) > 0]
        self.size = counts.shape[1]
        self.alpha = alpha
        self.permutations, self.exceedances, self.simulations = permutations, exceedances, simulations
        self.seed, self.key, self.threads = seed, key, threads
        self._known: dict[tuple[int, int, int], float] = {}
        self._sets: dict[tuple[int, int, int], tuple[int, ...]] = {}

    def p(self, start: int, end: int, fineness: int = 10) -> float:
        """Return the p-value of one interval, divided by its share of alpha.

        Enough draws are made to go `fineness` times below the level, so that short intervals, of which there
        are many, are cheap.
        """
        if (start, end, fineness) not in self._known:
            whole = end - start == self.size
            share = 1.0 if whole else min(1.0, (end - start - 1) / (self.size - 2))
            draws = min(self.permutations, max(99 * fineness, math.ceil(fineness / (self.alpha * share))))
            test = permutation_test(
                self.n[:, start:end],
                "max_cut_g",
                draws=draws,
                exceedances=self.exceedances,
                seed=self.seed,
                key=stream_key("interval", self.key, start, end),
                threads=self.threads,
            )
            self._known[start, end, fineness] = min(1.0, test.p / share)
        return self._known[start, end, fineness]

    def cuts(self) -> list[_Cut]:
        """Return all transitions that can be claimed, as cuts."""
        found: list[_Cut] = []
        while True:
            ends = [(0,), *(cut.cuts for cut in found), (self.size,)]
            parents = [0.0, *(cut.p for cut in found), 0.0]
            added = []
            for i, (left, right) in enumerate(itertools.pairwise(ends)):
                p = max(self._further(left, right), *parents[i : i + 2])
                if p <= self.alpha:
                    start = found[i - 1].position if i else 0
                    end = found[i].position if i < len(found) else self.size
                    added.append(_Cut(self._best(start, end), p, ()))
            if not added:
                return found
            found = self._moved(sorted([*found, *added], key=lambda cut: cut.position))

    def _further(self, left: tuple[int, ...], right: tuple[int, ...]) -> float:
        """Return the adjusted p of a transition between two others, 1 unless it is one wherever they are.

        It is that of the shortest interval; all longer ones must be rejected too.
        """
        start, end = left[-1], right[0]
        p = self.p(start, end) if end - start >= 2 else 1.0
        if p > self.alpha:
            return 1.0
        others = sorted(((a, b) for a in left for b in right), key=lambda ends: ends[1] - ends[0])[1:]
        return p if all(self.p(a, b, 2) <= self.alpha for a, b in others) else 1.0

    def _best(self, start: int, end: int) -> int:
        return start + 1 + int(cut_g(self.n[:, start:end]).argmax())

    def _moved(self, cuts: list[_Cut]) -> list[_Cut]:
        """Put every cut where it is best between its neighbours, and find its position set there."""
        places = [cut.position for cut in cuts]
        for _ in range(_ROUNDS):
            before = list(places)
            for i in range(len(places)):
                places[i] = self._best(*self._window(places, i))
            if places == before:
                break
        return [
            replace(cut, position=place, cuts=self._position_set(*self._window(places, i), place))
            for i, (cut, place) in enumerate(zip(cuts, places, strict=True))
        ]

    def _window(self, places: list[int], i: int) -> tuple[int, int]:
        return (places[i - 1] if i else 0), (places[i + 1] if i + 1 < len(places) else self.size)

    def _simulated(self, n: Counts, cuts: Sequence[int], *words: int) -> Counts:
        """Draw data sets [draws, B, S', K] of the size of `n`, int64 [B, S', K], from fitted cuts."""
        blocks, checkpoints, options = n.shape
        sides = smoothed(np.add.reduceat(n, [0, *cuts], axis=1))
        rows = np.repeat(sides, np.diff([0, *cuts, checkpoints]), axis=1)
        draws = int(np.clip(SIMULATED_CELLS // n.size, 60, max(self.simulations, 60)))
        drawn = simulate_counts(
            rows.reshape(-1, options),
            n.sum(axis=2).ravel(),
            draws=draws,
            seed=self.seed,
            key=stream_key("cuts", self.key, *words, *cuts),
            threads=self.threads,
        )
        return drawn.reshape(draws, blocks, checkpoints, options)

    def _position_set(self, start: int, end: int, cut: int) -> tuple[int, ...]:
        """Return the cuts that the data do not exclude between two neighbours.

        Data are simulated from the cut, and from it with the next best one on either side: where a second
        change went unseen, the largest G may lie between the two.
        """
        if (known := self._sets.get((start, end, cut))) is not None:
            return known
        n = self.n[:, start:end]
        g = cut_g(n)
        others = [self._best(a, b) for a, b in ((start, cut), (cut, end)) if b - a >= 2]
        truths = [[cut - start], *(sorted((cut - start, other - start)) for other in others)]
        # Checkpoints between cuts that are out of the question are pooled: they would only cost time.
        near = np.flatnonzero(g >= g.max() - _FAR - _FAR_SPREADS * math.sqrt(2 * _freedom(n))) + 1
        kept = sorted({t + d for truth in truths for t in truth for d in (-1, 0, 1)} | set(near.tolist()))
        kept = [t for t in kept if 0 < t < end - start]
        pooled = np.add.reduceat(n, [0, *kept], axis=1)
        slack = 0.0
        for truth in truths:
            places = [kept.index(t) + 1 for t in truth]
            again = cut_g(self._simulated(pooled, places, start, end))
            at = again[:, [place - 1 for place in places]].max(axis=1)
            short = np.quantile(again.max(axis=1) - at, 1 - self.alpha, method="higher")
            slack = max(slack, float(short))
        among = g[[t - 1 for t in kept]] >= g.max() - slack
        result = tuple(t + start for t, inside in zip(kept, among, strict=True) if inside)
        return self._sets.setdefault((start, end, cut), result)

    def transitions(self, cuts: list[_Cut]) -> list[Transition]:
        """Name the longest runs of cuts that are one drift, then say of each other cut what it is."""
        for length in range(len(cuts), 1, -1):
            for first in range(len(cuts) - length + 1):
                last = first + length
                if drift := self._drift(cuts, first, last):
                    # The other cuts keep their neighbours.
                    before = [self._alone(cuts, i) for i in range(first)]
                    after = [self._alone(cuts, i) for i in range(last, len(cuts))]
                    return [*before, drift, *after]
        return [self._alone(cuts, i) for i in range(len(cuts))]

    def _stretch(self, cuts: list[_Cut], first: int, last: int) -> tuple[int, int]:
        """Return the stretch between the neighbours of cuts `first` up to `last`."""
        start = cuts[first - 1].position if first else 0
        return start, cuts[last].position if last < len(cuts) else self.size

    def _drift(self, cuts: list[_Cut], first: int, last: int) -> Transition | None:
        """Return several cuts as one drift, if a ramp describes them as well for its fewer parameters."""
        start, end = self._stretch(cuts, first, last)
        n, run = self.n[:, start:end], cuts[first:last]
        places = [cut.position - start for cut in run]
        ramps = ramps_through(end - start, places[0], places[-1])
        if ramps.steps.all():
            return None
        fits = np.where(ramps.steps, -np.inf, ramp_fits(n, ramps))
        best = int(fits.argmax())
        if fits[best] < step_fits(n, places) - (len(run) - 1) * _freedom(n):
            return None
        g = cut_g(n)[[place - 1 for place in places]]
        main = int(g.argmax())
        return Transition(
            position=run[main].position,
            cuts=_span(ramps, best, start),
            g=float(g[main]),
            p=min(cut.p for cut in run),
            gradual=True,
            gradual_p=None,
        )

    def _alone(self, cuts: list[_Cut], i: int) -> Transition:
        """Hold ramps against every step in the stretch between a cut's neighbours."""
        start, end = self._stretch(cuts, i, i + 1)
        n, cut = self.n[:, start:end], cuts[i]
        g = float(cut_g(n)[cut.position - start - 1])
        change = Transition(cut.position, cut.cuts, g, cut.p, gradual=False, gradual_p=None)
        ramps = ramps_through(end - start, cut.position - start, cut.position - start)
        if ramps.steps.all():
            return change

        def gain(fits: Floats) -> Floats:
            result: Floats = fits[..., ~ramps.steps].max(axis=-1) - fits[..., ramps.steps].max(axis=-1)
            return result

        fits = ramp_fits(n, ramps)
        null = gain(ramp_fits(self._simulated(n, [cut.position - start], start, end), ramps))
        p = float((np.sum(null >= gain(fits)) + 1) / (len(null) + 1))
        if p > self.alpha:
            return replace(change, gradual_p=p)
        best = int(np.where(ramps.steps, -np.inf, fits).argmax())
        return replace(change, cuts=_span(ramps, best, start), gradual=True, gradual_p=p)


def _span(ramps: Ramps, best: int, start: int) -> tuple[int, ...]:
    return tuple(range(int(ramps.first[best]) + start, int(ramps.last[best]) + start + 1))


def _freedom(counts: Counts) -> float:
    """Return what a change without effect adds to Pearson's chi-squared on average: options seen, less 1."""
    return float(np.maximum((counts.sum(axis=1) > 0).sum(axis=1) - 1, 0).sum())


def _merged(transitions: list[Transition]) -> list[Transition]:
    """Join gradual transitions that touch: a long drift was cut into pieces."""
    result: list[Transition] = []
    for one in transitions:
        last = result[-1] if result else None
        if last and last.gradual and one.gradual and one.low <= last.high + 1:
            larger = max(last, one, key=lambda change: change.g)
            spanned = tuple(range(last.low, max(last.high, one.high) + 1))
            result[-1] = replace(larger, cuts=spanned, p=min(last.p, one.p))
        else:
            result.append(one)
    return result
