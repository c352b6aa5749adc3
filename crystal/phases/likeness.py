"""Whether two distributions over named options are one, for one task and over all."""

from __future__ import annotations

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.compare_results import Alike, Likeness, Overall
from crystal.phases.likeness_needs import CHANCE, needs
from crystal.phases.permuting import permuted
from crystal.phases.renaming import Pair, Renamed, rename
from crystal.phases.settings import Settings
from crystal.statistics.divergence import js_divergence
from crystal.statistics.js_interval import js_interval

OVERALL_DRAWS = 9_999
_FEWEST_TASKS = 4
"""Below so many tasks with the same options their matchings cannot reach p < .05."""


def likeness(pair: Pair, settings: Settings, key: int) -> tuple[Likeness, Renamed | None]:
    """Measure how far apart the two sides are, and say whether they are one (``q`` is filled in later)."""
    if len(pair.options) < 2:
        return Likeness(verdict="UNDETERMINED", reason="only one option was ever given"), None
    renamed = rename(pair, settings, stream_key("renamed", key))
    observed, others = np.asarray(renamed.observed), renamed.renamed
    control = float(renamed.names.control(others, observed))
    control_p = float(renamed.names.share(others, observed))
    margin = settings.margins.seed_residual * control
    if pair.exact:
        value = renamed.observed
        result = Likeness(verdict="UNDETERMINED", jsd=value, low=value, high=value, exact=True)
    else:
        counts = np.asarray(pair.values, dtype=np.int64)
        test = permuted(counts, "js", settings, stream_key("same", key))
        estimate = js_interval(
            counts,
            alpha=settings.alpha,
            draws=settings.interval_draws,
            seed=settings.seed,
            key=stream_key("interval", key),
            threads=settings.threads,
            permutation_p=test.p,
            null=test.null_mean,
        )
        result = Likeness(
            verdict="UNDETERMINED",
            reason=estimate.reason,
            jsd=estimate.value,
            low=estimate.low,
            high=estimate.high,
            null=estimate.null,
            p=test.p,
            n=int(counts.sum(axis=(0, 2)).min()),
        )
    result.control, result.control_p, result.margin = control, control_p, margin
    result.verdict, reason = _verdict(result, settings)
    result.reason = result.reason or reason
    if result.verdict == "UNDETERMINED":
        result.needs_samples, result.needs_reason = _needs(pair, result, settings, key)
    return result, renamed


def _verdict(found: Likeness, settings: Settings) -> tuple[Alike, str | None]:
    """Hold the interval against the margin, and nearness against chance."""
    if found.control is None or found.margin is None or found.control < settings.margins.jsd:
        return "UNDETERMINED", "the options are given too evenly for their names to tell two models apart"
    if found.low is None or found.high is None:
        return "UNDETERMINED", "no interval can be given"
    if found.high <= found.margin:
        # Two or three options have so few renamings that one task alone never beats chance.
        if (found.control_p or 0.0) > settings.alpha:
            return "UNDETERMINED", CHANCE
        return "SHARED", None
    if found.low > found.margin:
        return "DIFFERENT", None
    return "UNDETERMINED", "too few samples to say on which side of the margin the divergence lies"


def _needs(pair: Pair, found: Likeness, settings: Settings, key: int) -> tuple[int | None, str | None]:
    if pair.exact:
        return None, "exact distributions: more samples change nothing"
    if found.control is None or found.control < settings.margins.jsd:
        return None, "more samples of so even distributions would not help"
    if found.jsd is None:
        return None, "the divergence is not known well enough to plan by"
    return needs(pair, settings, stream_key("needs", key))


def overall(
    found: list[tuple[Pair, Likeness, Renamed | None]], tasks: int, settings: Settings, key: int
) -> Overall:
    """Test all tasks together.

    If option names meant nothing, every renaming in every task would be as likely as the true names; the
    statistic is the mean divergence. Tasks with the same options are matched at random as well.
    """
    verdicts = [one.verdict for _, one, _ in found]
    result = Overall(
        tasks=len(found),
        shared=verdicts.count("SHARED"),
        different=verdicts.count("DIFFERENT"),
        undetermined=tasks - verdicts.count("SHARED") - verdicts.count("DIFFERENT"),
    )
    known = [(pair, renamed) for pair, _, renamed in found if renamed is not None]
    if not known:
        return result
    observed = [renamed.observed for _, renamed in known]
    result.jsd = float(np.mean(observed))
    controls = [one.control for _, one, _ in found if one.control is not None]
    result.control = float(np.mean(controls))
    words = np.random.Philox(key=[settings.seed, stream_key("overall", key)])
    drawn = np.zeros(OVERALL_DRAWS)
    for _, renamed in known:
        drawn += renamed.renamed[words.random_raw(OVERALL_DRAWS) % np.uint64(len(renamed.renamed))]
    at_least = int((drawn <= sum(observed) + 1e-9).sum())
    result.p = (at_least + 1) / (OVERALL_DRAWS + 1)
    result.other_tasks, result.other_tasks_p = _other_tasks([pair for pair, _ in known], words)
    return result


def _other_tasks(pairs: list[Pair], words: np.random.Philox) -> tuple[float | None, float | None]:
    """Match the tasks of the two models anew, among those with the same options."""
    groups: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.options, []).append(pair)
    tables = []
    for members in groups.values():
        if len(members) > 1:
            sides = np.array([pair.p.mean(axis=0) for pair in members])
            tables.append(np.asarray(js_divergence(sides[:, None, 0], sides[None, :, 1])))
    if not tables:
        return None, None
    off = np.concatenate([table[~np.eye(len(table), dtype=bool)] for table in tables])
    if sum(len(table) for table in tables) < _FEWEST_TASKS:
        return float(off.mean()), None
    drawn = np.zeros(OVERALL_DRAWS)
    for table in tables:
        size = len(table)
        order = np.argsort(words.random_raw(OVERALL_DRAWS * size).reshape(-1, size), axis=1, kind="stable")
        drawn += table[np.arange(size), order].sum(axis=1)
    at_least = int((drawn <= sum(float(np.trace(table)) for table in tables) + 1e-9).sum())
    return float(off.mean()), (at_least + 1) / (OVERALL_DRAWS + 1)
