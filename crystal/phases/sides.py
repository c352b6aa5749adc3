"""One checkpoint's answers to a set of prompts, sampled or exact, in the one form that statistics take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.states.tables import Counts, Floats, TaskTable

EXACT_SAMPLES = 1 << 20
"""An exact side that meets a sampled one counts as so many samples: their noise is far below any margin."""


@dataclass(frozen=True)
class Side:
    """The distributions of one checkpoint over P prompts.

    Prompts without a valid answer are left out before a side is made.
    """

    counts: Counts
    """int64 [P, K]: valid samples; an exact prompt among sampled ones stands as ``EXACT_SAMPLES`` of them."""
    probabilities: Floats
    """float64 [P, K]: the on-task distributions, exact or plug-in, each with sum 1."""
    exact: bool
    """No sampling noise: every prompt is exact."""
    samples: int | None
    """Valid samples, None if exact."""
    validity: float | None
    """On-task share, mean over prompts; None where the option list is open."""
    trials: Counts
    """int64 [P, 2]: valid and invalid samples (all 0 where exact)."""

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return len(self.counts)


def usable(table: TaskTable, checkpoint: int) -> npt.NDArray[np.bool_]:
    """Mark the prompts that have a distribution at this checkpoint: bool [P]."""
    sums = np.nansum(table.probabilities[checkpoint], axis=1)
    result: npt.NDArray[np.bool_] = (table.counts[checkpoint].sum(axis=1) > 0) | (sums > 0)
    return result


def side(table: TaskTable, checkpoint: int, prompts: npt.NDArray[np.bool_], *, sampled: bool = False) -> Side:
    """Take some prompts of one checkpoint.

    Parameters
    ----------
    table : TaskTable
    checkpoint : int
        Index along the ladder.
    prompts : ndarray of bool [P]
        Prompts that are :func:`usable`.
    sampled : bool
        Count an exact side as samples, because what it is compared with is sampled.
    """
    counts = table.counts[checkpoint][prompts]
    given = table.probabilities[checkpoint][prompts]
    exact = table.exact[checkpoint][prompts]
    mass = np.where(exact, np.nansum(given, axis=1), counts.sum(axis=1))
    probabilities = np.where(exact[:, None], np.nan_to_num(given), counts) / np.maximum(mass, 1e-300)[:, None]
    trials = np.stack([counts.sum(axis=1), table.invalid[checkpoint][prompts]], axis=1)
    shares = np.where(exact, np.minimum(mass, 1.0), trials[:, 0] / np.maximum(trials.sum(axis=1), 1))
    all_exact = bool(exact.all()) and not sampled
    if exact.any() and not all_exact:
        counts = np.where(exact[:, None], as_samples(probabilities), counts)
    return Side(
        counts=counts,
        probabilities=probabilities,
        exact=all_exact,
        samples=None if all_exact else int(trials[:, 0].sum()),
        validity=float(shares.mean()) if table.closed and len(shares) else None,
        trials=trials,
    )


def as_samples(probabilities: Floats) -> Counts:
    """Round distributions to ``EXACT_SAMPLES`` counts each, by largest remainder."""
    scaled = probabilities * EXACT_SAMPLES
    counts = np.floor(scaled).astype(np.int64)
    for row, remainder in zip(counts, scaled - counts, strict=True):
        missing = EXACT_SAMPLES - int(row.sum())
        row[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return counts
