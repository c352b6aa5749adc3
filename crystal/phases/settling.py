"""Clause S on one task: after SFT, probability stays among the options that SFT chose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.liquid import MOST_DRAWS, TaskTest, exact_test
from crystal.phases.permuting import permuted
from crystal.phases.rows import Counts, Floats, Mask, Rows, rows_of
from crystal.phases.settings import Settings
from crystal.states.tables import TaskTable
from crystal.statistics.divergence import js_divergence
from crystal.statistics.multiple import t_test

NOT_SHARED = "no prompt with enough valid samples on both rungs"


@dataclass(frozen=True)
class SettlingTest:
    """Whether mass stayed, and whether anything moved at all."""

    stayed: TaskTest
    moved: float | None
    """p-value of the omnibus permutation test between the two rungs (0 or 1 where exact)."""


def settling_test(table: TaskTable, before: int, after: int, family: str, settings: Settings) -> SettlingTest:
    """Test whether the options that hold 0.9 of one rung keep their mass at a later one.

    d_x = mean over the samples i of prompt x at ``before`` of P_after(S_-i) - 1(x_i in S_-i), where S_-i is
    the smallest set of options that holds 0.9 of the other samples, ties at its edge all in. Yes: the mean
    of d_x over the prompts exceeds -delta_R by a one-sided t test; no: it is below.

    Parameters
    ----------
    table : TaskTable
        The task, with all prompts.
    before, after : int
        Indices of the end of SFT and of the last rung.
    family : str
        The prompts to use, those that both rungs have.
    settings : Settings
        ``retention_mass``, ``margins.retention``, ``margins.jsd``, ``margins.min_valid`` and the draws.

    Returns
    -------
    SettlingTest
        ``stayed.value`` is the mean of d_x.
    """
    part = table.family(family)
    first, second = shared_rows(part, before, after, settings.margins.min_valid)
    if len(first.p) == 0:
        return SettlingTest(
            TaskTest(table.task, family, reason="no prompt with enough valid samples on both rungs"), None
        )
    kept = retention_by_prompt(first, second.p, settings.retention_mass)
    value, margin = float(kept.mean()), settings.margins.retention
    if first.exact and second.exact:
        distance = float(np.mean(js_divergence(first.p, second.p)))
        moved = 0.0 if distance > settings.margins.jsd else 1.0
        return SettlingTest(exact_test(table.task, family, value > -margin, value), moved)
    if len(kept) < 2:
        return SettlingTest(
            TaskTest(table.task, family, value=value, reason="one prompt; 2 are needed"), None
        )
    above, below = t_test(kept, -margin).p, t_test(-kept, margin).p
    stayed = TaskTest(table.task, family, yes=above, no=below, value=value)
    return SettlingTest(stayed, _moved(first, second, settings, stream_key("settling", table.task, family)))


def shared_rows(table: TaskTable, first: int, second: int, min_valid: int) -> tuple[Rows, Rows]:
    """Return the rows of two rungs on the prompts that both have."""
    one, has_one = rows_of(table, first, min_valid)
    two, has_two = rows_of(table, second, min_valid)
    both: Mask = has_one & has_two
    return one.take(both[has_one]), two.take(both[has_two])


def _moved(first: Rows, second: Rows, settings: Settings, key: int) -> float | None:
    if first.counts is None or second.counts is None:
        return None
    result = permuted(np.stack([first.counts, second.counts], axis=1), "g", settings, key, most=MOST_DRAWS)
    return float(result.p)


def retention_by_prompt(before: Rows, after: Floats, mass: float) -> Floats:
    """Return d_x of every prompt [m]: what the leave-one-out sets of ``before`` hold after, less before.

    Exact rows need no leaving out: d_x = P_after(S) - P_before(S).
    """
    if before.counts is None:
        inside = smallest_set(before.p, mass)
        result: Floats = ((after - before.p) * inside).sum(axis=1)
        return result
    return np.array([_leave_one_out(n, q, mass) for n, q in zip(before.counts, after, strict=True)])


def _leave_one_out(counts: Counts, after: Floats, mass: float) -> float:
    # Samples of one option leave the same set behind, so one set an option is enough.
    seen = np.flatnonzero(counts)
    without = np.repeat(counts[None].astype(np.float64), len(seen), axis=0)
    without[np.arange(len(seen)), seen] -= 1.0
    inside = smallest_set(without, mass)
    change = inside @ after - inside[np.arange(len(seen)), seen]
    return float(change @ counts[seen] / counts.sum())


def smallest_set(rows: Floats, mass: float) -> Mask:
    """Mark the fewest options [m, K] that hold ``mass`` of each row, and all ties with the least of them."""
    order = np.sort(rows, axis=1)[:, ::-1]
    # Sums of equal shares may fall short of the mass by rounding alone.
    needed = mass * rows.sum(axis=1, keepdims=True) * (1 - 1e-12)
    last = (np.cumsum(order, axis=1) < needed).sum(axis=1)
    edge = np.take_along_axis(order, np.minimum(last, rows.shape[1] - 1)[:, None], axis=1)
    inside: Mask = (rows >= edge * (1 - 1e-12)) & (rows > 0)
    return inside
