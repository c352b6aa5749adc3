"""The transitions of a long ladder: how many, where, how sure, and whether each is a cut or a drift.

Why the error rate holds
------------------------
An interval of checkpoints is *homogeneous* if no block's distribution changes in it. Its test permutes the
samples' checkpoint labels within each block, so its p-value is valid whatever the distributions are. In a
ladder that never changes, transitions are claimed only if the test of the whole rejects, at level alpha.

In a ladder that does, half of alpha goes to further claims and half to the position sets: each of m sets is
made at level alpha/(2m), so all of them hold their true positions but for a share alpha/2. An interval of L
of S checkpoints is tested at alpha/2 (L - 1)/(S - 2), and a further transition is claimed between two that
were found only if every interval is rejected whose ends lie anywhere in their position sets. If those sets
hold the true positions, a false claim between two true neighbours rejects, among others, exactly the
interval between them. These intervals are fixed by the truth, not by the data, and disjoint, so their levels
add up to at most alpha/2 (Meinshausen 2008 argues so for trees). So in all but a share alpha of ladders
every reported interval holds a true change, as far as the simulated sets are right.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.statistics.arrays import as_counts
from crystal.statistics.change_points import order_test
from crystal.statistics.cut_places import CutLadder
from crystal.statistics.gradual import Cut, Transition, transitions
from crystal.statistics.reach import log_reach, short_permutation_test, unreached

_ORDER_DRAWS = 199
_ROUNDS = 10
"""Rounds of moving cuts between their neighbours; each raises the likelihood, so they end by themselves."""


@dataclass(frozen=True)
class Segmentation:
    """What :func:`find_transitions` found."""

    p: float
    """Permuting the samples' checkpoint labels within each block: does anything change anywhere?"""
    order_p: float | None
    """:func:`crystal.statistics.change_points.order_test`; None below 10 checkpoints."""
    transitions: tuple[Transition, ...]
    """In ladder order; empty where p is above alpha."""


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
    each claim all cuts are moved to the best place between their neighbours. The position set of each of m
    cuts holds all t with max G - G_t at most the 1 - alpha/(2m) quantile of max G - G_true in data simulated
    from the fitted cut. Simulations say, too, whether a ramp (:mod:`crystal.statistics.ramps`)
    beats every step by more than it does where the truth is a step; neighbouring gradual transitions that
    touch are one.

    Parameters
    ----------
    counts : array_like, int64 [B, S, K]
        Counts of B blocks (prompts) at S checkpoints in order.
    alpha : float
        Probability that any reported interval holds no true change.
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
    ladder = CutLadder(n, simulations, seed, key, threads)
    search = _Search(ladder, alpha, permutations, exceedances)
    return Segmentation(
        p=search.p(0, n.shape[1]),
        order_p=order_test(n, draws=_ORDER_DRAWS, seed=seed, key=key, threads=threads),
        transitions=tuple(transitions(ladder, search.cuts(), alpha)),
    )


class _Search:
    def __init__(self, ladder: CutLadder, alpha: float, permutations: int, exceedances: int) -> None:
        self.ladder, self.alpha = ladder, alpha
        self.permutations, self.exceedances = permutations, exceedances
        self._known: dict[tuple[int, int, int], float] = {}

    def p(self, start: int, end: int, fineness: int = 10) -> float:
        """Return the p-value of one interval, divided by its share of alpha.

        Enough draws are made to go `fineness` times below the level, so that short intervals, of which there
        are many, are cheap.
        """
        if (start, end, fineness) not in self._known:
            size = self.ladder.size
            share = 1.0 if end - start == size else 0.5 * min(1.0, (end - start - 1) / (size - 2))
            draws = min(self.permutations, max(99 * fineness, math.ceil(fineness / (self.alpha * share))))
            self._known[start, end, fineness] = min(1.0, self._permuted(start, end, draws) / share)
        return self._known[start, end, fineness]

    def _permuted(self, start: int, end: int, draws: int) -> float:
        n = self.ladder.n[:, start:end]
        sides = np.add.reduceat(n, [0, self.ladder.best(start, end) - start], axis=1)
        # Any of the cuts may be the one that reaches the best one's G.
        if unreached(draws, log_reach(sides) + math.log(end - start - 1)):
            return 1.0 / (draws + 1)
        test = short_permutation_test(
            n,
            "max_cut_g",
            draws=draws,
            exceedances=self.exceedances,
            seed=self.ladder.seed,
            key=stream_key("interval", self.ladder.key, start, end),
            threads=self.ladder.threads,
        )
        return test.p

    def cuts(self) -> list[Cut]:
        """Return all transitions that can be claimed, as cuts."""
        found: list[Cut] = []
        while True:
            ends = [(0,), *(cut.cuts for cut in found), (self.ladder.size,)]
            parents = [0.0, *(cut.p for cut in found), 0.0]
            added = []
            for i, (left, right) in enumerate(itertools.pairwise(ends)):
                p = max(self._further(left, right), *parents[i : i + 2])
                if p <= self.alpha:
                    start = found[i - 1].position if i else 0
                    end = found[i].position if i < len(found) else self.ladder.size
                    added.append(Cut(self.ladder.best(start, end), p, ()))
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

    def _moved(self, cuts: list[Cut]) -> list[Cut]:
        """Put every cut where it is best between its neighbours, and find its position set there."""
        places = [cut.position for cut in cuts]
        for _ in range(_ROUNDS):
            before = list(places)
            for i in range(len(places)):
                places[i] = self.ladder.best(*self._window(places, i))
            if places == before:
                break
        level = self.alpha / (2 * len(cuts))
        return [
            replace(cut, position=place, cuts=self.ladder.places(*self._window(places, i), place, level))
            for i, (cut, place) in enumerate(zip(cuts, places, strict=True))
        ]

    def _window(self, places: list[int], i: int) -> tuple[int, int]:
        return (places[i - 1] if i else 0), (places[i + 1] if i + 1 < len(places) else self.ladder.size)
