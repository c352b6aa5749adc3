"""Texts of a ladder's prompts at a fixed budget: as many draws of each prompt at every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.states.sequence_cells import CellTexts
from crystal.states.sequence_sample import words_of
from crystal.statistics.compression import compression_ratio
from crystal.statistics.grams import Grams, count_kinds, grams
from crystal.statistics.rarefaction import entropy_parts, missed, sum_by

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STEPS = (10, 20, 50, 100, 200, 500, 1000)
"""Budgets of draws; the largest is chosen that half of the prompts reach at every checkpoint."""
BYTE_STEPS = (200, 500, 1000, 2000, 5000, 10_000)
TEXTS = 0
"""Stands for whole texts where others stand for the n of n-grams."""


@dataclass(frozen=True)
class Draws:
    """Expectations over draws of ``budget`` things of each prompt; C checkpoints, P prompts that reach it."""

    budget: int
    chosen: Integers
    """int64 [P]: which of the prompts."""
    distinct: Floats
    """float64 [C, P]: different things over things drawn."""
    entropy: Floats
    """float64 [C, P], bits."""
    across: Floats
    """float64 [C]: different things over things drawn, all prompts' draws together."""
    overlap: Floats
    """float64 [C - 1, P]: shared over all different things of two neighbouring checkpoints' draws."""
    null: Floats
    """float64 [C - 1, P]: the same for two sets of draws from both checkpoints together."""


class Panel:
    """All cells of a ladder, their things numbered and counted once.

    Parameters
    ----------
    cells : sequence of CellTexts
    lengths : sequence of int
        The n of the n-grams.
    """

    def __init__(self, cells: Sequence[CellTexts], lengths: Sequence[int]) -> None:
        self.cells = cells
        group = np.repeat(np.arange(len(cells)), [len(cell.texts) for cell in cells])
        weight = np.array([count for cell in cells for count in cell.counts], np.int64)
        texts = pa.array([text for cell in cells for text in cell.texts], pa.large_string())
        kinds = texts.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
        words, offsets = words_of(texts)
        codes = words.dictionary_encode().indices.to_numpy(zero_copy_only=False)
        self.things: dict[int, Grams] = {TEXTS: count_kinds(kinds, group, weight, len(cells))}
        for n in lengths:
            self.things[n] = grams(codes, offsets, group, weight, len(cells), n)

    def draws(self, grid: Integers, n: int) -> Draws | None:
        """Return the expectations for cells ``grid`` [checkpoints, prompts]; None below every budget."""
        things = self.things[n]
        found = choose(things.totals[grid], STEPS)
        if found is None:
            return None
        budget, chosen = found
        cells = grid[:, chosen]
        rungs, prompts = cells.shape
        place = np.full(len(things.totals), -1, np.int64)
        place[cells.reshape(-1)] = np.arange(cells.size)
        rows = place[things.group] >= 0
        at, gram, count = place[things.group[rows]], things.gram[rows], things.count[rows]
        total = things.totals[things.group[rows]]
        miss = missed(count, total, budget)
        shape = (rungs, prompts)
        seen = sum_by(at, 1.0 - miss, cells.size).reshape(shape)
        entropy = sum_by(at, entropy_parts(count, total, budget), cells.size).reshape(shape)
        overlap, null = np.zeros((2, max(rungs - 1, 0), prompts))
        for step in range(rungs - 1):
            sides = [at // prompts == rung for rung in (step, step + 1)]
            keys = [at[side] % prompts * max(things.distinct, 1) + gram[side] for side in sides]
            sizes = [things.totals[cells[rung]] for rung in (step, step + 1)]
            overlap[step], null[step] = _overlap(
                keys, [count[side] for side in sides], sizes, max(things.distinct, 1), budget
            )
        return Draws(
            budget=budget,
            chosen=chosen,
            distinct=seen / budget,
            entropy=entropy,
            across=_across(at // prompts, gram, miss, rungs) / (budget * prompts),
            overlap=overlap,
            null=null,
        )

    def compression(self, grid: Integers) -> tuple[int, Integers, Floats] | None:
        """Return the budget of bytes, the prompts that reach it, and bytes over compressed bytes [C, P]."""
        sizes = np.array([_joined_size(cell) for cell in self.cells], np.int64)
        found = choose(sizes[grid], BYTE_STEPS)
        if found is None:
            return None
        budget, chosen = found
        ratio = np.array(
            [
                [
                    compression_ratio(self.cells[cell].texts, counts=self.cells[cell].counts, budget=budget)
                    for cell in row
                ]
                for row in grid[:, chosen].tolist()
            ]
        )
        return budget, chosen, ratio.reshape(len(grid), len(chosen))


def choose(totals: Integers, steps: Sequence[int]) -> tuple[int, Integers] | None:
    """Return the largest budget that half of the prompts reach at every checkpoint, and those prompts.

    Parameters
    ----------
    totals : int64 [checkpoints, prompts]
    steps : sequence of int, ascending

    Examples
    --------
    >>> choose(np.array([[12, 55, 70], [60, 51, 8]]), (10, 50))
    (10, array([0, 1]))
    """
    least = totals.min(axis=0) if totals.size else np.zeros(0, np.int64)
    for budget in reversed(steps):
        chosen = np.flatnonzero(least >= budget)
        if len(chosen) and 2 * len(chosen) >= len(least):
            return budget, chosen
    return None


def _overlap(
    keys: list[Integers], counts: list[Integers], sizes: list[Integers], distinct: int, budget: int
) -> tuple[Floats, Floats]:
    """Return the expected overlap of each prompt's draws on two sides, and of draws from both."""
    both = np.union1d(*keys)
    prompt = both // distinct
    prompts = len(sizes[0])
    held = []
    for key, count in zip(keys, counts, strict=True):
        column = np.zeros(len(both), np.int64)
        column[np.searchsorted(both, key)] = count
        held.append(column)

    def sums(values: Floats) -> Floats:
        return sum_by(prompt, values, prompts)

    first, second = (missed(c, s[prompt], budget) for c, s in zip(held, sizes, strict=True))
    pooled, whole = held[0] + held[1], (sizes[0] + sizes[1])[prompt]
    once, twice = missed(pooled, whole, budget), missed(pooled, whole, 2 * budget)
    overlap = sums((1 - first) * (1 - second)) / sums(1 - first * second)
    return overlap, sums(np.maximum(1 - 2 * once + twice, 0.0)) / sums(1 - twice)


def _across(rung: Integers, gram: Integers, miss: Floats, rungs: int) -> Floats:
    """Return how many different things all prompts' draws have together, at each checkpoint."""
    keys = rung * (int(gram.max(initial=0)) + 1) + gram
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    nowhere = np.multiply.reduceat(miss[order], starts) if len(starts) else np.zeros(0)
    return sum_by(rung[order][starts], 1.0 - nowhere, rungs)


def _joined_size(cell: CellTexts) -> int:
    return sum(count * (len(text.encode()) + 1) for text, count in zip(cell.texts, cell.counts, strict=True))
