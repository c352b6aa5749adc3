"""Every metric of a transition: from samples with nulls, tests and intervals, or exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from crystal.ops.resampling import permute_counts, stream_key
from crystal.phases.checkpoints import Known, sampled_estimates
from crystal.phases.permuting import SECONDARY_DRAWS, permuted
from crystal.phases.settings import Settings
from crystal.phases.sides import Side
from crystal.states.tables import Counts, Floats, TaskTable
from crystal.statistics import large_samples
from crystal.statistics.arrays import row_probabilities
from crystal.statistics.coverage import coverage
from crystal.statistics.difference import studentised_difference
from crystal.statistics.divergence import (
    chain_rule,
    hellinger,
    js_divergence,
    js_information,
    kl,
    tv,
    wasserstein1,
)
from crystal.statistics.entropy import shannon_entropy
from crystal.statistics.estimate import Estimate
from crystal.statistics.jackknife import Jackknife, entropy_jackknife, js_jackknife
from crystal.statistics.js_interval import js_interval
from crystal.statistics.proportions import mean_share_difference
from crystal.statistics.rank import kendall_tau, top_kept
from crystal.statistics.retention import retained_options, retention_change, retention_exact
from crystal.statistics.smoothing import smoothed_groups, smoothed_kl

NULL_DRAWS = 99
"""Permuted tables behind the nulls of plug-in distances."""
NULL_CELLS = 4_000_000
"""Cells of permuted tables that are held at once; with thousands of options fewer tables are drawn."""


@dataclass(frozen=True)
class Differences:
    """What two checkpoints have apart, by metric, with the two limits that only verdicts use."""

    estimates: dict[str, Estimate]
    promptability_from: Estimate
    halved: Estimate
    """promptability(to) - collapse_ratio * promptability(from)."""
    by_prompt: tuple[float, ...]
    """Plug-in (or exact) JSD of each shared prompt, bits."""


def sampled_differences(
    before: Side,
    after: Side,
    table: TaskTable,
    settings: Settings,
    key: int,
    known: tuple[Known | None, Known | None] = (None, None),
) -> Differences:
    """Estimate every difference between two sampled checkpoints over the same prompts.

    Parameters
    ----------
    before, after : Side
        Counts over the same prompts and options.
    table : TaskTable
        Where they come from: whether the list is closed, and the order of its options.
    settings : Settings
    key : int
        Stream of the random numbers.
    known : tuple of dict
        The metrics of either side, where they have been estimated already.
    """
    # Options that neither side has shown say nothing about a difference; but where only one was shown, that
    # there are others leaves room for one.
    seen = (before.counts.sum(axis=0) + after.counts.sum(axis=0)) > 0
    if seen.sum() == 1 and seen.size > 1:
        seen[np.flatnonzero(~seen)[0]] = True
    first, second = before.counts[:, seen], after.counts[:, seen]
    positions = None if table.positions is None else table.positions[seen]
    blocks = np.stack([first, second], axis=1)
    covered = float(coverage(blocks).mean())
    open_list = not table.closed and covered < settings.margins.promptability_coverage
    unseen = f"coverage {covered:.2f}: answers not seen yet are not in it" if open_list else None

    fit = smoothed_groups(blocks)
    estimates = {"jsd": _jsd(blocks, fit, unseen, settings, key)}
    p, q = row_probabilities(first), row_probabilities(second)
    values = _distances(p, q, first, positions, table.period, settings)
    nulls = _null_distances(blocks, positions, table.period, settings, key)
    estimates |= _ranks(p, q, exact=False)
    for name, value in values.items():
        if value is None:
            estimates[name] = Estimate.unknown(_NO_ORDER)
        else:
            estimates[name] = Estimate(value=_mean(value), null=_mean(nulls[name]), estimator="plugin")
    estimates["kl"] = Estimate(value=_mean(smoothed_kl(second, first)), estimator="plugin, smoothed")
    start, end = (
        estimated or sampled_estimates(rows, table, settings, stream_key(key, number))
        for number, (estimated, rows) in enumerate(zip(known, (before, after), strict=True))
    )
    entropies = (start["entropy"], end["entropy"])
    estimates["entropy_change"] = _change(
        entropy_jackknife(first), entropy_jackknife(second), entropies, settings
    )
    liquids = (start["promptability"], end["promptability"])
    spreads = js_jackknife(first[None]), js_jackknife(second[None])
    change = _change(*spreads, liquids, settings)
    halved = _change(*spreads, liquids, settings, settings.margins.collapse_ratio)
    estimates["promptability_change"] = change
    estimates["retention_change"] = _retention(blocks, fit, settings, key)
    estimates["validity_change"] = _validity_change(before, after, table, settings, key)
    return Differences(estimates, liquids[0], halved, tuple(js_divergence(p, q).tolist()))


def exact_differences(before: Side, after: Side, table: TaskTable, settings: Settings) -> Differences:
    """Compute every difference between two checkpoints whose distributions are known exactly."""
    p, q = before.probabilities, after.probabilities
    jsd = js_divergence(p, q)
    values = _distances(p, q, None, table.positions, table.period, settings)
    values["jsd"] = jsd
    values["kl"] = kl(q, p)
    values["entropy_change"] = shannon_entropy(q) - shannon_entropy(p)
    estimates = {
        name: Estimate.unknown(_NO_ORDER) if value is None else _exact(_mean(value))
        for name, value in values.items()
    }
    estimates["retention_change"] = retention_exact(p, q, settings.retention_mass)
    estimates |= _ranks(p, q, exact=True)
    if before.validity is not None and after.validity is not None:
        estimates["validity_change"] = _exact(after.validity - before.validity)
    else:
        estimates["validity_change"] = Estimate.unknown(_OPEN)
    if before.prompts < 2:
        unknown = Estimate.unknown("one prompt")
        estimates["promptability_change"] = unknown
        return Differences(estimates, unknown, unknown, tuple(jsd.tolist()))
    start, end = float(js_information(p)), float(js_information(q))
    estimates["promptability_change"] = _exact(end - start)
    halved = _exact(end - settings.margins.collapse_ratio * start)
    return Differences(estimates, _exact(start), halved, tuple(jsd.tolist()))


_NO_ORDER = "the options have no order"
_OPEN = "the list of options is open"


def _exact(value: float | None) -> Estimate:
    if value is None:
        return Estimate.unknown("infinite: the earlier checkpoint gives an option no probability")
    return Estimate.of_exact(value)


def _mean(values: Floats | None) -> float | None:
    """Return the mean over prompts, None where it is not finite."""
    if values is None:
        return None
    mean = float(np.mean(values))
    return mean if math.isfinite(mean) else None


def _distances(
    p: Floats,
    q: Floats,
    counts: Counts | None,
    positions: Floats | None,
    period: float | None,
    settings: Settings,
) -> dict[str, Floats | None]:
    """Compute each distance for every prompt: arrays [..., P], or None where it has no meaning."""
    inside = retained_options(p if counts is None else counts, settings.retention_mass)
    terms = chain_rule(p, q, inside)
    return {
        "tv": tv(p, q),
        "hellinger": hellinger(p, q),
        "wasserstein1": None if positions is None else wasserstein1(p, q, positions, period),
        "escape_term": terms.escape_term,
        "redistribution": terms.redistribution,
        "outside": terms.outside,
    }


def _ranks(p: Floats, q: Floats, *, exact: bool) -> dict[str, Estimate]:
    """Compare the order of the options, where there is one, and the top answers."""
    values = {"kendall_tau": _mean(kendall_tau(p, q)), "top_kept": _mean(top_kept(p, q))}
    return {
        name: Estimate.unknown("all options of a side are tied")
        if value is None
        else Estimate.of_exact(value)
        if exact
        else Estimate(value=value, estimator="plugin")
        for name, value in values.items()
    }


def _null_distances(
    blocks: Counts, positions: Floats | None, period: float | None, settings: Settings, key: int
) -> dict[str, Floats | None]:
    draws = int(np.clip(NULL_CELLS // blocks.size, 9, NULL_DRAWS))
    tables = permute_counts(
        blocks, draws=draws, seed=settings.seed, key=stream_key(key, "null"), threads=settings.threads
    )
    first, second = tables[:, :, 0], tables[:, :, 1]
    return _distances(row_probabilities(first), row_probabilities(second), first, positions, period, settings)


def _jsd(blocks: Counts, fit: Floats, unseen: str | None, settings: Settings, key: int) -> Estimate:
    test = permuted(
        blocks,
        "js",
        settings,
        stream_key(key, "js"),
        most=SECONDARY_DRAWS,
        short=large_samples.enough(blocks.sum(axis=2), blocks.shape[2]),
    )
    estimate = js_interval(
        blocks,
        alpha=settings.alpha,
        draws=settings.interval_draws,
        seed=settings.seed,
        key=stream_key(key, "interval"),
        threads=settings.threads,
        permutation_p=test.p,
        null=test.null_mean,
        fit=fit,
    )
    return estimate if unseen is None else replace(estimate, high=None, reason=unseen)


def _change(
    before: Jackknife,
    after: Jackknife,
    known: tuple[Estimate, Estimate],
    settings: Settings,
    ratio: float = 1.0,
) -> Estimate:
    """Return after - ratio * before of a quantity, unknown where either side is not fully known."""
    for estimate in known:
        if None in (estimate.value, estimate.low, estimate.high):
            return Estimate.unknown(estimate.reason or "a side has no limits")
    return studentised_difference(before, after, alpha=settings.alpha, ratio=ratio, limits=known)


def _retention(blocks: Counts, fit: Floats, settings: Settings, key: int) -> Estimate:
    test = permuted(blocks, "retention", settings, stream_key(key, "retention"), most=SECONDARY_DRAWS)
    estimate = retention_change(
        blocks[:, 0],
        blocks[:, 1],
        settings.retention_mass,
        alpha=settings.alpha,
        seed=settings.seed,
        key=key,
        threads=settings.threads,
        fit=fit,
    )
    return replace(estimate, p=test.p, null=-test.null_mean)


def _validity_change(before: Side, after: Side, table: TaskTable, settings: Settings, key: int) -> Estimate:
    if not table.closed:
        return Estimate.unknown(_OPEN)
    test = permuted(
        np.stack([before.trials, after.trials], axis=1),
        "g",
        settings,
        stream_key(key, "validity"),
        most=SECONDARY_DRAWS,
    )
    return replace(mean_share_difference(before.trials, after.trials, alpha=settings.alpha), p=test.p)
