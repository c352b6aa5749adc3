"""Where a cut may lie: every place between its neighbours that the data do not exclude."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystal.ops.cuts import simulate_cut_g
from crystal.ops.resampling import simulate_counts, stream_key
from crystal.statistics.arrays import Counts, Floats
from crystal.statistics.change_points import cut_g
from crystal.statistics.smoothing import smoothed

SIMULATED_CELLS = 12_000_000
"""Cells of simulated tables that are held at once; fewer data sets are simulated for larger ladders."""
FEWEST = 60
"""Simulated data sets of the largest ladders, and those that are looked at before others."""
_FAR, _FAR_SPREADS = 40.0, 6.0
"""G so far below the largest (and so many standard deviations of its noise) is out of the question."""
_SURE = 6.0
"""Standard deviations of the first draws by which another one would have to stray to say anything else."""


@dataclass(frozen=True)
class _Places:
    cuts: tuple[int, ...]
    short: Floats
    """What G of each cut lacks to the largest."""
    null: tuple[Floats, ...]
    """Of each truth, [draws]: what G of the true cut lacks in simulated data."""


class CutLadder:
    """The counts of a ladder, int64 [B, S, K], and data sets drawn from cuts fitted to them."""

    def __init__(self, counts: Counts, simulations: int, seed: int, key: int, threads: int) -> None:
        self.n = counts[:, :, counts.sum(axis=(0, 1)) > 0]
        self.size = counts.shape[1]
        self.simulations = simulations
        self.seed, self.key, self.threads = seed, key, threads
        self._known: dict[tuple[int, int, int], _Places] = {}

    def best(self, start: int, end: int) -> int:
        """Return the cut with the largest G between two others."""
        return start + 1 + int(cut_g(self.n[:, start:end]).argmax())

    def draws(self, n: Counts) -> int:
        """Return how many data sets of the size of `n` are to be looked at."""
        return int(np.clip(SIMULATED_CELLS // n.size, FEWEST, max(self.simulations, FEWEST)))

    def simulated(self, n: Counts, cuts: Sequence[int], *words: int, most: int | None = None) -> Counts:
        """Draw data sets [draws, B, S', K] of the size of `n`, int64 [B, S', K], from fitted cuts.

        Fewer draws, where fewer are asked for, are the first of them all.
        """
        drawn = simulate_counts(
            fitted(n, cuts).reshape(-1, n.shape[2]),
            n.sum(axis=2).ravel(),
            draws=min(self.draws(n), most or self.draws(n)),
            seed=self.seed,
            key=self._stream(cuts, words),
            threads=self.threads,
        )
        return drawn.reshape(-1, *n.shape)

    def _stream(self, cuts: Sequence[int], words: Sequence[int]) -> int:
        return stream_key("cuts", self.key, *words, *cuts)

    def places(self, start: int, end: int, cut: int, level: float) -> tuple[int, ...]:
        """Return where `cut` may lie between two others, all but a share `level` of the time.

        Data are simulated from the cut, and from it with the next best one on either side: where a second
        change went unseen, the largest G may lie between the two. The set holds every cut whose G lacks no
        more to the largest than the 1 - `level` quantile of what that of the true one lacks there.
        """
        if (start, end, cut) not in self._known:
            self._known[start, end, cut] = self._places(start, end, cut)
        known = self._known[start, end, cut]
        slack = max(float(np.quantile(null, 1 - level, method="higher")) for null in known.null)
        return tuple(t for t, short in zip(known.cuts, known.short, strict=True) if short <= slack)

    def _places(self, start: int, end: int, cut: int) -> _Places:
        n = self.n[:, start:end]
        g = cut_g(n)
        others = [self.best(a, b) for a, b in ((start, cut), (cut, end)) if b - a >= 2]
        truths = [[cut - start], *(sorted((cut - start, other - start)) for other in others)]
        # Checkpoints between cuts that are out of the question are pooled: they would only cost time.
        near = np.flatnonzero(g >= g.max() - _FAR - _FAR_SPREADS * math.sqrt(2 * freedom(n))) + 1
        kept = sorted({t + d for truth in truths for t in truth for d in (-1, 0, 1)} | set(near.tolist()))
        kept = [t for t in kept if 0 < t < end - start]
        pooled = np.add.reduceat(n, [0, *kept], axis=1)
        short = g.max() - g[[t - 1 for t in kept]]
        nearest = float(short[short > 0].min(initial=math.inf))
        null = (
            self._lacks(pooled, [kept.index(t) + 1 for t in truth], nearest, start, end) for truth in truths
        )
        return _Places(
            cuts=tuple(t + start for t in kept),
            short=short,
            null=tuple(null),
        )

    def _lacks(self, n: Counts, cuts: Sequence[int], nearest: float, *words: int) -> Floats:
        """Return what the best of the true cuts lacks to the largest G in data drawn from them, [draws].

        A lack of less than `nearest` admits no further place. Where the first draws lie so far from any that
        does that the others would stay there too, it is 0.
        """
        true = [cut - 1 for cut in cuts]
        if len(cuts) == n.shape[1] - 1 or _never_lacks(n, cuts):
            return np.zeros(1)
        rows, sizes = fitted(n, cuts), n.sum(axis=2)
        for draws in sorted({min(FEWEST, self.draws(n)), self.draws(n)}):
            g = simulate_cut_g(
                rows,
                sizes,
                draws=draws,
                seed=self.seed,
                key=self._stream(cuts, words),
                threads=self.threads,
            )
            ahead = g[:, true].max(axis=1) - np.delete(g, true, axis=1).max(axis=1)
            if float(ahead.mean()) + nearest > max(_FAR, _SURE * float(ahead.std())):
                return np.zeros(1)
        lacks: Floats = np.maximum(-ahead, 0.0)
        return lacks


def fitted(n: Counts, cuts: Sequence[int]) -> Floats:
    """Return smoothed distributions [B, S, K] that are the same between cuts."""
    sides = smoothed(np.add.reduceat(n, [0, *cuts], axis=1))
    result: Floats = np.repeat(sides, np.diff([0, *cuts, n.shape[1]]), axis=1)
    return result


def _never_lacks(n: Counts, cuts: Sequence[int]) -> bool:
    """Whether, in data like `n` drawn from fitted cuts, the largest G is that of one of them for sure.

    G of one less G of another is twice a log-likelihood ratio: of mean d, it has variance 4 d and what
    Pearson's chi-squared adds to both.
    """
    expected = np.rint(fitted(n, cuts) * n.sum(axis=2, keepdims=True)).astype(np.int64)
    g = cut_g(expected)
    others = np.delete(g, [cut - 1 for cut in cuts])
    ahead = float(g[[cut - 1 for cut in cuts]].max()) - float(others.max(initial=-math.inf))
    return ahead > _FAR + _FAR_SPREADS * math.sqrt(4 * max(ahead, 0.0) + 4 * freedom(n))


def freedom(counts: Counts) -> float:
    """Return what a change without effect adds to Pearson's chi-squared on average: options seen, less 1."""
    return float(np.maximum((counts.sum(axis=1) > 0).sum(axis=1) - 1, 0).sum())
