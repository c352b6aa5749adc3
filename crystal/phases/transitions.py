"""Two checkpoints on one task: whether anything is different, how, and what that is called."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.phases.checkpoints import Known
from crystal.phases.differences import Differences, exact_differences, sampled_differences
from crystal.phases.needs import Needs, needs
from crystal.phases.permuting import omnibus_p
from crystal.phases.results import TRANSITION_METRICS, Metric, TransitionResult, Verdict
from crystal.phases.seed_between import decided_share, seed_between
from crystal.phases.seed_results import SeedResult
from crystal.phases.settings import Settings
from crystal.phases.sides import Side, side, usable
from crystal.phases.units import UNITS, EachPrompt, Statistic, add_prompt_limits, as_metric
from crystal.phases.validity import worst_case
from crystal.phases.verdict import UNKNOWN, Evidence, Limits, collapsed, decide
from crystal.states.tables import TaskTable
from crystal.statistics.difference import studentised_difference
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import entropy, shannon_entropy
from crystal.statistics.estimate import Estimate
from crystal.statistics.jackknife import entropy_jackknife, js_values
from crystal.statistics.retention import retention_change, retention_exact

PLANNING_DRAWS = 200
_NOTHING = Evidence(differs=False)


@dataclass(frozen=True)
class Comparison:
    """All that is known of one transition on one task before the other tasks are looked at."""

    table: TaskTable
    before: int
    after: int
    paired: int
    unpaired: int
    key: int
    settings: Settings
    whole: TaskTable
    """The task over all its prompts, where ``table`` is one family's: seeds are looked for here."""
    family: str | None
    metrics: dict[str, Metric]
    by_prompt: dict[str, float]
    """JSD of each shared prompt, by its id."""
    sides: tuple[Side, Side] | None = None
    p: float | None = None
    """The omnibus test; None if exact or blocked."""
    evidence: Evidence = _NOTHING
    blocked: str | None = None
    """Why the two are not compared at all."""

    @cached_property
    def seed(self) -> SeedResult:
        """The later checkpoint's seed among the earlier one's prompts, searched when first asked for."""
        return seed_between(self.whole, self.before, self.after, self.settings, self.family)

    def analyse(self, counts: npt.NDArray[np.int64]) -> Evidence:
        """Return what other counts [P, 2, K] of the options seen would show, with few draws."""
        quick = msgspec.structs.replace(
            self.settings,
            draws=min(self.settings.draws, PLANNING_DRAWS),
            interval_draws=min(self.settings.interval_draws, PLANNING_DRAWS),
        )
        before, after = (_all_valid(rows) for rows in (counts[:, 0], counts[:, 1]))
        part = replace(self.table, positions=None)
        found = sampled_differences(before, after, part, quick, stream_key(self.key, "ahead"))
        return _evidence(found, (before, after), self.table, quick)

    def seed_share(self, size: int, least: float | None = None) -> float:
        """Return the share of data sets of another size in which the seed is found or refuted."""
        return decided_share(self.whole, self.before, self.after, self.settings, self.family, size, least)


def compare(
    whole: TaskTable,
    before: int,
    after: int,
    settings: Settings,
    family: str | None = None,
    known: tuple[Known | None, Known | None] = (None, None),
) -> Comparison:
    """Measure every difference between two checkpoints on one task.

    Parameters
    ----------
    whole : TaskTable
        All prompts of the task.
    before, after : int
        Checkpoints, along the ladder.
    settings : Settings
    family : str, optional
        The family of prompts to compare; by default all.
    known : tuple of dict
        The metrics of either checkpoint over all its usable prompts, where they have been estimated: they are
        taken over where the other checkpoint has these prompts too.

    Returns
    -------
    Comparison
    """
    table = whole.family(family)
    names = (table.checkpoints[before].name, table.checkpoints[after].name)
    key = stream_key("transition", table.ladder, table.task, family or "", *names)
    first, second = usable(table, before), usable(table, after)
    shared = first & second
    outline = Comparison(
        table=table,
        before=before,
        after=after,
        paired=int(shared.sum()),
        unpaired=int((first ^ second).sum()),
        key=key,
        settings=settings,
        whole=whole,
        family=family,
        metrics={},
        by_prompt={},
        blocked=_blocked(table, before, after, shared, settings),
    )
    if not shared.any():
        unknown = {name: Metric(unit=UNITS[name], reason=outline.blocked) for name in TRANSITION_METRICS}
        return replace(outline, metrics=unknown)
    exact = bool(table.exact[[before, after]][:, shared].all())
    sides = (
        side(table, before, shared, sampled=not exact),
        side(table, after, shared, sampled=not exact),
    )
    if exact:
        differences, p = exact_differences(*sides, table, settings), None
    else:
        counts = np.stack([sides[0].counts, sides[1].counts], axis=1)
        # A gate that cannot be believed must not enter the q of the other tasks either.
        p = None if outline.blocked else omnibus_p(counts, settings, key)
        same = (
            None if (first & ~second).any() else known[0],
            None if (second & ~first).any() else known[1],
        )
        differences = sampled_differences(*sides, table, settings, key, same)
    samples = None if exact else (sides[0].samples or 0) + (sides[1].samples or 0)
    ids = [prompt.prompt for prompt, kept in zip(table.prompts, shared, strict=True) if kept]
    return replace(
        outline,
        metrics=_metrics(differences, sides, samples, settings),
        by_prompt=dict(zip(ids, differences.by_prompt, strict=True)),
        sides=sides,
        p=p,
        evidence=_evidence(differences, sides, table, settings),
    )


def conclude(
    comparison: Comparison, q: float | None, level: float, settings: Settings
) -> tuple[TransitionResult, Evidence]:
    """Name the transition once its q over the tasks is known.

    Parameters
    ----------
    comparison : Comparison
    q : float or None
        None for exact distributions, whose gate is the margin of the JSD.
    level : float
        The p at which this task's test would be rejected among the others: for ``needs_samples``.
    settings : Settings

    Returns
    -------
    TransitionResult
    Evidence
        What the verdict rests on, for deciding again under other margins.
    """
    verdict, reason, evidence = name(comparison, q, settings)
    table = comparison.table
    need = Needs()
    if verdict == "UNDETERMINED" and comparison.blocked is None and comparison.sides is not None:
        jsd = comparison.metrics["jsd"].value
        need = needs(
            comparison.sides,
            jsd,
            evidence,
            level,
            settings,
            comparison.key,
            analyse=comparison.analyse,
            seed_share=comparison.seed_share,
        )
    result = TransitionResult(
        from_=table.checkpoints[comparison.before].name,
        to=table.checkpoints[comparison.after].name,
        verdict=verdict,
        p=comparison.p,
        q=q,
        reason=reason,
        needs_samples=need.samples,
        needs_prompts=need.prompts,
        needs_reason=need.reason,
        paired=comparison.paired,
        unpaired=comparison.unpaired,
        by_prompt=comparison.by_prompt,
        metrics=comparison.metrics,
    )
    return result, evidence


def name(comparison: Comparison, q: float | None, settings: Settings) -> tuple[Verdict, str | None, Evidence]:
    """Return the verdict, why it is open where it is, and what it rests on."""
    margins = settings.margins
    evidence = comparison.evidence
    if comparison.sides is not None and comparison.sides[0].exact and comparison.sides[1].exact:
        differs = evidence.jsd.above(margins.jsd) is True
    else:
        differs = q is not None and q < settings.alpha
    evidence = replace(evidence, differs=differs)
    if differs and collapsed(evidence, margins) and comparison.blocked is None:
        evidence = replace(evidence, seed=comparison.seed.found)
    verdict, reason = decide(evidence, margins)
    if comparison.blocked is not None:
        verdict, reason = "UNDETERMINED", comparison.blocked
    elif verdict != "UNDETERMINED" and comparison.sides is not None:
        widened = worst_case(evidence, *comparison.sides, margins)
        if widened is not None and decide(widened, margins)[0] != verdict:
            verdict, reason = "UNDETERMINED", "validity: off-task answers could change the verdict"
    return verdict, reason, evidence


def _blocked(
    table: TaskTable, before: int, after: int, shared: npt.NDArray[np.bool_], settings: Settings
) -> str | None:
    if not shared.any():
        return "no shared prompts"
    first, second = table.decodings[before], table.decodings[after]
    if first and second and first != second and not settings.allow_decoding:
        return "decoding differs"
    return None


_STATISTICS: dict[str, Statistic] = {
    "promptability_change": lambda sets: js_values(sets[:, :, 1]) - js_values(sets[:, :, 0]),
}
_MEANS: dict[str, EachPrompt] = {
    "jsd": js_values,
    "entropy_change": lambda pairs: np.diff(entropy(pairs, "jackknife"), axis=1)[:, 0],
}
_EXACT_STATISTICS: dict[str, Statistic] = {
    "promptability_change": lambda sets: js_information(sets[:, :, 1]) - js_information(sets[:, :, 0]),
}
_EXACT_MEANS: dict[str, EachPrompt] = {
    "jsd": js_information,
    "entropy_change": lambda pairs: np.diff(shannon_entropy(pairs), axis=1)[:, 0],
}


def _metrics(
    differences: Differences, sides: tuple[Side, Side], samples: int | None, settings: Settings
) -> dict[str, Metric]:
    metrics = {
        name: as_metric(differences.estimates[name], name, samples, sides[0].prompts)
        for name in TRANSITION_METRICS
    }
    exact = sides[0].exact
    pairs = np.stack([side.probabilities if exact else side.counts for side in sides], axis=1)
    statistics, means = (_EXACT_STATISTICS, _EXACT_MEANS) if exact else (_STATISTICS, _MEANS)
    add_prompt_limits(metrics, statistics, means, pairs, settings.alpha)
    margins = settings.margins
    metrics["jsd"].margin = margins.jsd
    metrics["promptability_change"].margin = margins.promptability_change
    metrics["retention_change"].margin = margins.retention
    metrics["validity_change"].margin = margins.validity_change
    return metrics


def _evidence(
    differences: Differences, sides: tuple[Side, Side], table: TaskTable, settings: Settings
) -> Evidence:
    def limits(name: str) -> Limits:
        return _limits(differences.estimates[name])

    return Evidence(
        differs=False,
        jsd=limits("jsd"),
        entropy_change=limits("entropy_change"),
        entropy_margin=entropy_margin(table, settings),
        promptability_change=limits("promptability_change"),
        promptability_from=_limits(differences.promptability_from),
        halved=_limits(differences.halved),
        retention_change=limits("retention_change"),
        prompts=sides[0].prompts,
    )


def _all_valid(counts: npt.NDArray[np.int64]) -> Side:
    """Return counts [P, K] as a side without an invalid answer."""
    sizes = counts.sum(axis=1)
    return Side(
        counts=counts,
        probabilities=counts / sizes[:, None],
        exact=False,
        samples=int(sizes.sum()),
        validity=None,
        trials=np.stack([sizes, np.zeros_like(sizes)], axis=1),
    )


def _limits(estimate: Estimate) -> Limits:
    return Limits(estimate.low, estimate.high, estimate.value)


def retention_limits(comparison: Comparison, settings: Settings, mass: float) -> Limits:
    """Return the limits of the retention change under another share of the earlier checkpoint's mass."""
    if comparison.sides is None:
        return Limits()
    before, after = comparison.sides
    if before.exact and after.exact:
        return _limits(retention_exact(before.probabilities, after.probabilities, mass))
    return _limits(
        retention_change(
            before.counts,
            after.counts,
            mass,
            alpha=settings.alpha,
            seed=settings.seed,
            key=stream_key(comparison.key, "retention", f"{mass:g}"),
            threads=settings.threads,
        )
    )


def entropy_limits(comparison: Comparison, settings: Settings) -> Limits:
    """Return the limits of the entropy change by the plain jackknife, where there are limits at all."""
    limits = comparison.evidence.entropy_change
    if comparison.sides is None or comparison.sides[0].exact or limits == UNKNOWN:
        return limits
    before, after = (entropy_jackknife(side.counts) for side in comparison.sides)
    return _limits(studentised_difference(before, after, alpha=settings.alpha))


def entropy_margin(table: TaskTable, settings: Settings) -> float:
    """Return the smallest change of entropy that counts on this task, in bits."""
    if table.closed and len(table.options) > 1:
        return settings.margins.entropy_change * math.log2(len(table.options))
    return settings.margins.entropy_change_open
