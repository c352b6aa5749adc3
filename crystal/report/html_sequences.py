"""The page's section about texts: how diverse each checkpoint's are, and what each step changed."""

from __future__ import annotations

from crystal.phases.results import Metric, SequenceGroup, SequenceResult
from crystal.report import words
from crystal.report.html_table import table
from crystal.report.html_task import metric_rows
from crystal.report.markup import Child, Markup, tag


def sequences_section(sequences: SequenceResult | None, label: dict[str, str]) -> Child:
    """Return the section of one ladder; nothing where its texts were not looked at."""
    if sequences is None:
        return None
    tasks = [
        tag("details", tag("summary", tag("h4", name)), _group(group, label), data_name=name)
        for name, group in sequences.tasks.items()
    ]
    return [
        tag("h3", "Texts"),
        tag("p", words.ABOUT_SEQUENCES[sequences.unit], class_="note"),
        _group(sequences, label),
        tasks if len(sequences.tasks) > 1 else None,
    ]


def _group(group: SequenceGroup, label: dict[str, str]) -> Markup:
    rungs = group.checkpoints
    counts: list[tuple[Child, list[Child]]] = [
        ("samples", [words.number(rung.samples) for rung in rungs.values()]),
        ("words", [words.number(rung.words) for rung in rungs.values()]),
        ("share of samples whose text was kept", [words.number(rung.kept) for rung in rungs.values()]),
    ]
    headings: list[Child] = ["", *(label.get(name, name) for name in rungs)]
    inside = metric_rows([_known(rung.per_input) for rung in rungs.values()])
    across = metric_rows([_known(rung.across_input) for rung in rungs.values()])
    parts: list[Child] = [
        tag("p", words.prompts_words(group.prompts, group.left_out), class_="note"),
        table("Per input: each prompt's samples, then the mean over prompts", headings, [*counts, *inside]),
        table("Across inputs: all prompts' samples together", headings, across) if across else None,
    ]
    if group.transitions:
        rows = metric_rows([_known(step.metrics) for step in group.transitions])
        headings = ["", *(words.step_words(step.from_, step.to, label) for step in group.transitions)]
        parts.append(table("From each checkpoint to the next", headings, rows) if rows else None)
    return Markup("".join(part for part in parts if isinstance(part, str)))


def _known(metrics: dict[str, Metric]) -> dict[str, Metric]:
    """Leave out what has no value: most ladders of short answers have no 4-grams at all."""
    return {name: metric for name, metric in metrics.items() if metric.value is not None}
