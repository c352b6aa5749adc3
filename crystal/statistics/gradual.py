"""Whether each cut of a ladder is a step, or part of a drift over several checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crystal.statistics.arrays import Floats
from crystal.statistics.change_points import cut_g
from crystal.statistics.cut_places import FEWEST, CutLadder, freedom
from crystal.statistics.ramps import Ramps, ramp_fits, ramps_through, step_fits

_SURE = 8.0
"""Standard deviations above the mean of the first draws that no other draw reaches."""


@dataclass(frozen=True)
class Cut:
    """A cut that was claimed, and where it may lie."""

    position: int
    p: float
    cuts: tuple[int, ...]


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


def transitions(ladder: CutLadder, cuts: list[Cut], alpha: float) -> list[Transition]:
    """Name the longest runs of cuts that are one drift, then say of each other cut what it is.

    Parameters
    ----------
    ladder : CutLadder
    cuts : list of Cut
        In ladder order.
    alpha : float
        Level at which a step is rejected.
    """
    return _merged(_named(ladder, cuts, alpha))


def _named(ladder: CutLadder, cuts: list[Cut], alpha: float) -> list[Transition]:
    for length in range(len(cuts), 1, -1):
        for first in range(len(cuts) - length + 1):
            last = first + length
            if drift := _drift(ladder, cuts, first, last):
                # The other cuts keep their neighbours.
                before = [_alone(ladder, cuts, i, alpha) for i in range(first)]
                after = [_alone(ladder, cuts, i, alpha) for i in range(last, len(cuts))]
                return [*before, drift, *after]
    return [_alone(ladder, cuts, i, alpha) for i in range(len(cuts))]


def _stretch(ladder: CutLadder, cuts: list[Cut], first: int, last: int) -> tuple[int, int]:
    """Return the stretch between the neighbours of cuts `first` up to `last`."""
    start = cuts[first - 1].position if first else 0
    return start, cuts[last].position if last < len(cuts) else ladder.size


def _drift(ladder: CutLadder, cuts: list[Cut], first: int, last: int) -> Transition | None:
    """Return several cuts as one drift, if a ramp describes them as well for its fewer parameters."""
    start, end = _stretch(ladder, cuts, first, last)
    n, run = ladder.n[:, start:end], cuts[first:last]
    places = [cut.position - start for cut in run]
    ramps = ramps_through(end - start, places[0], places[-1])
    if ramps.steps.all():
        return None
    fits = np.where(ramps.steps, -np.inf, ramp_fits(n, ramps))
    best = int(fits.argmax())
    if fits[best] < step_fits(n, places) - (len(run) - 1) * freedom(n):
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


def _alone(ladder: CutLadder, cuts: list[Cut], i: int, alpha: float) -> Transition:
    """Hold ramps against every step in the stretch between a cut's neighbours."""
    start, end = _stretch(ladder, cuts, i, i + 1)
    n, cut = ladder.n[:, start:end], cuts[i]
    g = float(cut_g(n)[cut.position - start - 1])
    change = Transition(cut.position, cut.cuts, g, cut.p, gradual=False, gradual_p=None)
    ramps = ramps_through(end - start, cut.position - start, cut.position - start)
    if ramps.steps.all():
        return change

    def gain(fits: Floats) -> Floats:
        result: Floats = fits[..., ~ramps.steps].max(axis=-1) - fits[..., ramps.steps].max(axis=-1)
        return result

    fits = ramp_fits(n, ramps)
    observed = gain(fits)
    # Most steps are told by the first draws: so many as large leave no way for all of them to reject, and
    # where all are far smaller the rest would be too.
    for most in sorted({FEWEST, draws := ladder.draws(n)}):
        drawn = gain(ramp_fits(ladder.simulated(n, [cut.position - start], start, end, most=most), ramps))
        as_large = int(np.sum(drawn >= observed))
        p = (as_large + 1) / (len(drawn) + 1)
        if as_large + 1 > alpha * (draws + 1):
            break
        if observed > float(drawn.mean()) + _SURE * float(drawn.std()):
            p = 1 / (draws + 1)
            break
    if p > alpha:
        return replace(change, gradual_p=p)
    best = int(np.where(ramps.steps, -np.inf, fits).argmax())
    return replace(change, cuts=_span(ramps, best, start), gradual=True, gradual_p=p)


def _span(ramps: Ramps, best: int, start: int) -> tuple[int, ...]:
    return tuple(range(int(ramps.first[best]) + start, int(ramps.last[best]) + start + 1))


def _merged(found: list[Transition]) -> list[Transition]:
    """Join gradual transitions that touch: a long drift was cut into pieces."""
    result: list[Transition] = []
    for one in found:
        last = result[-1] if result else None
        if last and last.gradual and one.gradual and one.low <= last.high + 1:
            larger = max(last, one, key=lambda change: change.g)
            spanned = tuple(range(last.low, max(last.high, one.high) + 1))
            result[-1] = replace(larger, cuts=spanned, p=min(last.p, one.p))
        else:
            result.append(one)
    return result
