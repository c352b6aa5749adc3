"""The page's section about tokens: what each checkpoint's tokens show, and what each step changed."""

from __future__ import annotations

from collections.abc import Sequence

from crystal.phases.results import TokenGroup, TokenResult
from crystal.report import words
from crystal.report.html_table import table
from crystal.report.html_task import metric_rows
from crystal.report.markup import Child, Markup, tag


def tokens_section(tokens: TokenResult | None, label: dict[str, str]) -> Child:
    """Return the section of one ladder; nothing where it has no token data."""
    if tokens is None:
        return None
    tasks = [
        tag("details", tag("summary", tag("h4", name)), _group(group, label), data_name=name)
        for name, group in tokens.tasks.items()
    ]
    return [
        tag("h3", "Tokens"),
        tag("p", words.ABOUT_TOKENS, class_="note"),
        _group(tokens, label),
        tasks if len(tokens.tasks) > 1 else None,
    ]


def _group(group: TokenGroup, label: dict[str, str]) -> Markup:
    rungs = {name: rung for name, rung in group.checkpoints.items() if rung.sequences or rung.missing}
    counts: list[tuple[Child, Sequence[Child]]] = [
        (title, [words.number(getattr(rung, field)) for rung in rungs.values()])
        for title, field in (
            ("samples", "sequences"),
            ("tokens", "tokens"),
            ("missing values", "missing"),
            ("prompts", "prompts"),
        )
    ]
    inside = metric_rows([rung.per_input for rung in rungs.values()])
    across = metric_rows([rung.across_input for rung in rungs.values()])
    headings: list[Child] = ["", *(label.get(name, name) for name in rungs)]
    parts = [
        table("Per input: each prompt's tokens, then the mean over prompts", headings, [*counts, *inside]),
        table("Across inputs: how far the prompts lie apart", headings, across),
    ]
    steps = [step for step in group.transitions if step.paired]
    if steps:
        rows: list[tuple[Child, Sequence[Child]]] = [
            (
                "prompts compared",
                [f"{s.paired}" + (f" ({s.unpaired} left out)" if s.unpaired else "") for s in steps],
            ),
            *metric_rows([step.metrics for step in steps]),
        ]
        headings = ["", *(words.step_words(step.from_, step.to, label) for step in steps)]
        parts.append(table("From each checkpoint to the next, over the prompts of both", headings, rows))
    return Markup("".join(parts))
