"""The tokens of a ladder: entropy, surprisal, perplexity and branching factor, by checkpoint and transition.

Per input: a mean for each prompt, then averaged over prompts with equal weights. Across inputs: how far the
prompts' means lie apart. The two are never mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crystal.phases.results import Metric, TokenCheckpoint, TokenGroup, TokenResult, TokenTransition
from crystal.phases.settings import Settings
from crystal.states.exact_sums import TokenMoments
from crystal.states.token_cells import TokenCells
from crystal.statistics import token_means
from crystal.statistics.estimate import Estimate
from crystal.statistics.multiple import benjamini_hochberg
from crystal.statistics.token_means import Mean

FEWEST_PROMPTS = 8
"""From so many prompts on, limits for prompts that nobody asked are given."""

Cells = dict[tuple[str, str, str], dict[str, TokenMoments]]
"""(task, family, prompt) to series: the cells of one checkpoint that are averaged together."""
MEASURES: dict[str, tuple[str, str, Callable[[Mean], Mean | None]]] = {
    "token_entropy": ("entropy", "nats", lambda mean: mean),
    "branching_factor": ("entropy", "1", token_means.exponential),
    "surprisal": ("surprisal", "nats", lambda mean: mean),
    "perplexity": ("surprisal", "1", token_means.exponential),
}
"""Each of TOKEN_METRICS: its series, its unit, and what is done to a prompt's mean before it is averaged."""
TOO_LARGE = f"a prompt's mean is above {token_means.LARGEST:g} nats"


def token_result(cells: TokenCells, checkpoints: Sequence[str], settings: Settings) -> TokenResult | None:
    """Return the section of one ladder; None where it has no token data.

    Parameters
    ----------
    cells : TokenCells
        Of the ladder: :func:`crystal.states.token_cells.token_cells`.
    checkpoints : sequence of str
        Names in ladder order.
    settings : Settings

    Returns
    -------
    TokenResult or None
        All tasks together, each prompt of each task with the same weight, and each task alone.
    """
    if not cells:
        return None
    groups = {
        task: _group(_flat({task: rungs}, checkpoints), checkpoints, settings)
        for task, rungs in cells.items()
    }
    for step in range(len(checkpoints) - 1):
        _add_q([group.transitions[step] for group in groups.values()])
    whole = _group(_flat(cells, checkpoints), checkpoints, settings)
    return TokenResult(checkpoints=whole.checkpoints, transitions=whole.transitions, tasks=groups)


def _flat(cells: TokenCells, checkpoints: Sequence[str]) -> list[Cells]:
    """Return the cells of each checkpoint."""
    return [
        {
            (task, *prompt): series
            for task, rungs in cells.items()
            for prompt, series in rungs.get(name, {}).items()
        }
        for name in checkpoints
    ]


def _group(rungs: Sequence[Cells], names: Sequence[str], settings: Settings) -> TokenGroup:
    return TokenGroup(
        checkpoints={name: _checkpoint(cells, settings) for name, cells in zip(names, rungs, strict=True)},
        transitions=[
            _transition((names[i], names[i + 1]), rungs[i], rungs[i + 1], settings)
            for i in range(len(names) - 1)
        ],
    )


def _means(cells: Cells, series: str) -> dict[tuple[str, str, str], Mean]:
    return {
        key: token_means.token_mean(given[series])
        for key, given in cells.items()
        if series in given and given[series].tokens
    }


def _checkpoint(cells: Cells, settings: Settings) -> TokenCheckpoint:
    counted = [max(given.values(), key=lambda moments: moments.tokens) for given in cells.values()]
    result = TokenCheckpoint(
        sequences=sum(moments.sequences for moments in counted),
        tokens=sum(moments.tokens for moments in counted),
        missing=sum(moments.missing for given in cells.values() for moments in given.values()),
        prompts=len(cells),
    )
    for name, (series, unit, change) in MEASURES.items():
        by_prompt = _means(cells, series)
        n = sum(cells[key][series].sequences for key in by_prompt)
        changed = [change(mean) for mean in by_prompt.values()]
        means = [mean for mean in changed if mean is not None]
        if not means or len(means) < len(changed):
            reason = TOO_LARGE if changed else f"no sample has {_COLUMNS[series]}"
            result.per_input[name] = Metric(unit=unit, n=n, prompts=len(changed), reason=reason)
        else:
            estimate = token_means.interval(token_means.average(means), settings.alpha, positive=unit == "1")
            metric = _metric(estimate, unit, n, len(means))
            limits = token_means.over_prompts(means, settings.alpha, FEWEST_PROMPTS)
            if limits is not None:
                metric.prompt_low, metric.prompt_high = max(0.0, limits[0]), limits[1]
            result.per_input[name] = metric
        if unit == "nats":
            between = token_means.spread(list(by_prompt.values()))
            result.across_input[f"{name}_spread"] = _metric(between, unit, n, len(by_prompt))
    return result


_COLUMNS = {"entropy": "entropies", "surprisal": "logprobs"}


def _transition(names: tuple[str, str], before: Cells, after: Cells, settings: Settings) -> TokenTransition:
    shared = before.keys() & after.keys()
    result = TokenTransition(
        from_=names[0], to=names[1], paired=len(shared), unpaired=len(before.keys() ^ after.keys())
    )
    for name, (series, unit, change) in MEASURES.items():
        sides = [_means(cells, series) for cells in (before, after)]
        both = sorted(sides[0].keys() & sides[1].keys())
        pairs = [(change(sides[0][key]), change(sides[1][key])) for key in both]
        changes = [
            token_means.difference(first, second)
            for first, second in pairs
            if first is not None and second is not None
        ]
        n = sum(cells[key][series].sequences for cells in (before, after) for key in both)
        if not changes or len(changes) < len(pairs):
            reason = TOO_LARGE if pairs else f"no prompt has {_COLUMNS[series]} on both sides"
            result.metrics[f"{name}_change"] = Metric(unit=unit, n=n, prompts=len(pairs), reason=reason)
            continue
        estimate = token_means.interval(token_means.average(changes), settings.alpha, test=True)
        metric = _metric(estimate, unit, n, len(changes))
        limits = token_means.over_prompts(changes, settings.alpha, FEWEST_PROMPTS)
        if limits is not None:
            metric.prompt_low, metric.prompt_high = limits
        result.metrics[f"{name}_change"] = metric
    return result


def _metric(estimate: Estimate, unit: str, n: int, prompts: int) -> Metric:
    return Metric(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        interval_kind="samples" if estimate.low is not None else None,
        estimator=estimate.estimator,
        unit=unit,
        n=n,
        prompts=prompts,
        p=estimate.p,
        reason=estimate.reason,
    )


def _add_q(transitions: Sequence[TokenTransition]) -> None:
    """Give each task's change its q over the tasks of the transition."""
    for name in MEASURES:
        metrics = [transition.metrics[f"{name}_change"] for transition in transitions]
        for metric, q in zip(metrics, benjamini_hochberg([m.p for m in metrics]).tolist(), strict=True):
            metric.q = None if metric.p is None else q
