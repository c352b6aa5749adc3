"""Clause L on one task: more than one distribution can be prompted out of the base."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.permuting import permuted
from crystal.phases.rows import Floats, Rows, promptedness, rows_of
from crystal.phases.settings import Settings
from crystal.states.tables import TaskTable
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import shannon_entropy
from crystal.statistics.jackknife import js_jackknife
from crystal.statistics.multiple import t_test
from crystal.statistics.reach import unreached
from crystal.statistics.special import LN2, t_survival

FEWEST_TO_REFUTE = 6
"""Prompts below which a sampled base is never called not liquid: others might move it."""
MOST_DRAWS = 1_999
"""Enough for a p-value that survives Benjamini-Hochberg over 100 tasks at .05."""


@dataclass(frozen=True)
class TaskTest:
    """One clause on one task and family: how strongly the data speak for it and against it."""

    task: str
    family: str
    yes: float | None = None
    """p-value of the claim (small: it holds). None where it could not be tested."""
    no: float | None = None
    """p-value of its opposite."""
    value: float | None = None
    """The effect that was tested."""
    reason: str | None = None
    """Why there is no test."""

    @property
    def tested(self) -> bool:
        """Whether there were data to test."""
        return self.yes is not None


def exact_test(task: str, family: str, holds: bool, value: float | None) -> TaskTest:
    """Return the test of a clause on exact distributions: no noise, so the margin alone decides."""
    return TaskTest(task, family, yes=0.0 if holds else 1.0, no=1.0 if holds else 0.0, value=value)


def liquid_test(table: TaskTable, checkpoint: int, family: str, settings: Settings) -> TaskTest:
    """Test whether the promptability of the base exceeds the liquid margin.

    k_x = KL(P_x || mean P) less its mean under permuted prompt labels, in bits. Yes: the mean over the
    prompts exceeds the margin by a one-sided t test over prompts, and the permutation test rejects that all
    prompts give one distribution. No: it is below the margin by the same t test and by the jackknife over the
    samples, with the jackknife's mean where that is larger; never with fewer than 6 sampled prompts, nor
    below the coverage at which promptability is given as a number. Exact distributions are held against the
    margin itself.

    Parameters
    ----------
    table : TaskTable
        The task, with all prompts.
    checkpoint : int
        Index of the base rung.
    family : str
        The prompts to use.
    settings : Settings
        ``margins.liquid``, ``margins.min_valid``, ``draws``, ``exceedances``, ``seed``, ``threads``.

    Returns
    -------
    TaskTest
        ``value`` is the mean of k_x.
    """
    rows, _ = rows_of(table.family(family), checkpoint, settings.margins.min_valid)
    if len(rows.p) < 2:
        reason = (
            f"prompts with at least {settings.margins.min_valid} valid samples: {len(rows.p)}; 2 are needed"
        )
        return TaskTest(table.task, family, reason=reason)
    key = stream_key("liquid", table.task, family)
    moved = promptedness(rows, settings.seed, key, settings.threads)
    value, margin = float(moved.mean()), settings.margins.liquid
    if rows.exact:
        return exact_test(table.task, family, value > margin, value)
    above, below = t_test(moved, margin).p, _below(rows, moved, margin)
    same = _permuted(rows, settings, key)
    yes = max(1.0 if above is None else above, same)
    # Where much is unseen, what permuted labels give is subtracted in excess, and no base would seem liquid.
    blind = rows.coverage < settings.margins.promptability_coverage
    no = 1.0 if below is None or blind or len(moved) < FEWEST_TO_REFUTE else below
    return TaskTest(table.task, family, yes=yes, no=no, value=value)


def _below(rows: Rows, moved: Floats, margin: float) -> float | None:
    """Test that promptability is below the margin: by the prompts, and by their samples.

    What permuted labels give is more than the bias where prompts do differ, and prompts of few samples err
    together through their common mean. So the jackknife's mean counts where it is larger, and its error too.
    """
    if rows.counts is None or not moved.size:
        return t_test(-moved, -margin).p
    samples = js_jackknife(rows.counts[None])
    over_prompts = t_test(-moved - max(0.0, samples.value - float(moved.mean())), -margin).p
    if over_prompts is None:
        return None
    if not samples.variance > 0:
        return max(over_prompts, _hidden(len(rows.p), int(rows.sizes.min()), margin))
    distance = (margin - max(samples.value, float(moved.mean()))) / math.sqrt(samples.variance)
    return max(over_prompts, t_survival(distance, samples.freedom))


def _hidden(prompts: int, samples: int, margin: float) -> float:
    """Chance that a promptability at the margin shows nothing: no prompt shows a second option.

    It hides best in one prompt alone, as its share q of another option, where h(q / m) - h(q) / m bits (h the
    binary entropy) are the margin.
    """
    q = np.linspace(0.0, 1.0, 4_097)
    least = q[_binary_entropy(q / prompts) - _binary_entropy(q) / prompts >= margin]
    return float((1.0 - least[0]) ** samples) if least.size else 0.0


def _binary_entropy(q: Floats) -> Floats:
    return np.asarray(shannon_entropy(np.stack([q, 1.0 - q], axis=-1)))


def _permuted(rows: Rows, settings: Settings, key: int) -> float:
    draws = min(settings.draws, MOST_DRAWS)
    if unreached(draws, log_reach_js(rows)):
        return 1.0 / (draws + 1)
    counts = np.asarray(rows.counts)[None]
    return float(permuted(counts, "js", settings, key, most=MOST_DRAWS).p)


def log_reach_js(rows: Rows) -> float:
    """Bound the logarithm of the probability that permuted labels make the rows as different as they are.

    The mean of KL(P_x || mean P) is at most that of KL(P_x || pool), and so at most G over the prompts and
    twice the fewest samples of one: the bound is that of :func:`crystal.statistics.reach.log_reach` at this
    G.
    """
    reached = float(js_information(rows.p)) * LN2 * float(rows.sizes.min())
    freedom = float((rows.p > 0).any(axis=0).sum() - 1)
    if freedom <= 0 or reached <= freedom:
        return 0.0
    return freedom - reached + freedom * math.log(reached / freedom)
