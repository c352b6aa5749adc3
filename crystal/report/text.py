"""The summary that a terminal shows; plain text where there is no colour, and as narrow as need be."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from crystal.phases.results import LadderResult, Metric, PhaseReport, SequenceResult, TokenResult
from crystal.report import words
from crystal.report.cluster_words import ladder_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# A colour never stands alone: the word is always there too.
STYLES = {
    "LIQUID": "cyan",
    "NUCLEATED": "yellow",
    "SETTLED": "green",
    "FROZEN": "blue",
    "NUCLEATION": "yellow",
    "SETTLING": "green",
    "RENUCLEATION": "red",
    "REMELTING": "magenta",
    "UNDETERMINED": "dim",
    "yes": "green",
    "no": "red",
    "undecided": "dim",
}
_NARROW = 60
_NEEDS_SHOWN = 8
_TASKS_NAMED = 4


def to_text(report: PhaseReport, *, width: int = 100, color: bool = False) -> str:
    """Return the summary of a report as text.

    Parameters
    ----------
    report : PhaseReport
        What ``classify`` returned.
    width : int
        Columns of the terminal; fewer than 20 count as 20.
    color : bool
        Write ANSI colours; without them the text is plain.

    Returns
    -------
    str
        Lines no wider than ``width``; names from logs have their control bytes taken out.
    """
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(20, width),
        color_system="standard" if color else None,
        force_terminal=color,
        legacy_windows=False,
        _environ={},
    )
    print_report(report, console)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def print_report(report: PhaseReport, console: Console) -> None:
    """Write the summary of a report to a rich console."""
    for name, ladder in report.ladders.items():
        console.print(_plain(name, "bold"))
        style = {True: "bold green", False: "bold red", None: "bold yellow"}[ladder.picture_holds]
        console.print(_plain(words.headline(ladder), style))
        console.print()
        _print_ladder(ladder, console)
    console.print(_plain(f"Read {words.inputs_words(report)}."))
    console.print(_plain(words.CAVEAT, "dim"))


def _print_ladder(ladder: LadderResult, console: Console) -> None:
    label = ladder.labels()
    folds = words.folded(ladder)
    within = {i for run in folds for i in run}
    _print_rows(
        console,
        ("checkpoint", "stage", "step", "phase"),
        [
            (c.checkpoint, c.stage, str(c.step), c.phase)
            for i, c in enumerate(ladder.checkpoints)
            if i not in within
        ],
    )
    _print_rows(
        console,
        ("transition", "verdict", "tasks changed", "verdicts by task"),
        [
            (
                words.step_words(t.from_, t.to, label),
                t.verdict,
                f"{t.changed} of {sum(t.counts.values())}",
                words.counts_words(t.counts),
            )
            for i, t in enumerate(ladder.transitions)
            if i not in within
        ],
    )
    folded = [words.folded_words(ladder, run) for run in folds]
    _print_list(console, "Not listed, because they are like their neighbours", folded)
    _print_rows(
        console,
        ("clause", "holds", "tasks", "share of decided tasks"),
        [
            (
                words.CLAUSES.get(key, (key, ""))[0],
                words.answer(clause.holds),
                words.clause_words(clause.tasks_hold, clause.tasks_refuted, clause.tasks),
                words.interval(clause.low, clause.high) or clause.reason or words.NONE,
            )
            for key, clause in ladder.clauses.items()
        ],
    )
    if clusters := ladder_words(ladder):
        console.print(_plain(clusters))
        console.print()
    if ladder.tokens is not None:
        print_tokens(ladder.tokens, label, console)
    if ladder.sequences is not None:
        print_sequences(ladder.sequences, label, console)
    if sought := words.scan_words(ladder):
        console.print(_plain(sought))
        console.print()
    _print_rows(
        console,
        ("change at", "from", "to", "p", "shape"),
        [
            (
                label.get(point.at, point.at),
                label.get(point.low, point.low),
                label.get(point.high, point.high),
                words.p_value(point.p),
                words.shape_words(point.gradual),
            )
            for point in ladder.change_points
        ],
    )
    _print_list(console, "Evidence", ladder.evidence)
    needs = [
        f"{need.step}: {need.need} ({_some(need.tasks)})" + (f": {need.reason}" if need.reason else "")
        for need in words.missing(ladder)
    ]
    if len(needs) > _NEEDS_SHOWN:
        more = len(needs) - _NEEDS_SHOWN
        needs = [*needs[:_NEEDS_SHOWN], f"and {more} more kinds of need, all of them in the report"]
    _print_list(console, "What would settle the undetermined transitions", needs)


def print_tokens(tokens: TokenResult, label: dict[str, str], console: Console) -> None:
    """Print the means over prompts at each checkpoint, and the changes."""

    def cell(metrics: dict[str, Metric], name: str) -> str:
        metric = metrics.get(name)
        if metric is None or metric.value is None:
            return words.NONE
        p = f" p {words.p_value(metric.p)}" if metric.p is not None else ""
        return f"{words.number(metric.value)} {words.interval(metric.low, metric.high)}{p}".replace("  ", " ")

    names = ("token_entropy", "surprisal", "branching_factor")
    _print_rows(
        console,
        ("tokens", "samples", "entropy (nats)", "surprisal (nats)", "branching factor"),
        [
            (label.get(name, name), f"{rung.sequences:,}", *(cell(rung.per_input, key) for key in names))
            for name, rung in tokens.checkpoints.items()
            if rung.sequences
        ],
    )
    _print_rows(
        console,
        ("change of tokens", "prompts", "entropy (nats)", "surprisal (nats)", "branching factor"),
        [
            (
                words.step_words(step.from_, step.to, label),
                str(step.paired),
                *(cell(step.metrics, f"{key}_change") for key in names),
            )
            for step in tokens.transitions
            if step.paired
        ],
    )


def print_sequences(sequences: SequenceResult, label: dict[str, str], console: Console) -> None:
    """Print the diversity of the texts at each checkpoint, and what neighbours share."""

    def cell(metric: Metric | None) -> str:
        if metric is None or metric.value is None:
            return words.NONE
        null = f" (null {words.number(metric.null)})" if metric.null is not None else ""
        return words.number(metric.value) + null

    names = ("distinct_texts", "distinct_1", "distinct_3", "repetition_3", "compression_ratio")
    _print_rows(
        console,
        ("texts", "samples", *(words.spelled(name) for name in names)),
        [
            (label.get(name, name), f"{rung.samples:,}", *(cell(rung.per_input.get(key)) for key in names))
            for name, rung in sequences.checkpoints.items()
        ],
    )
    shared = ("overlap_texts", "overlap_1", "overlap_3")
    _print_rows(
        console,
        ("change of texts", *(words.spelled(name) for name in shared)),
        [
            (words.step_words(step.from_, step.to, label), *(cell(step.metrics.get(key)) for key in shared))
            for step in sequences.transitions
        ],
    )


def _some(tasks: Sequence[str]) -> str:
    if len(tasks) > _TASKS_NAMED:
        return f"{len(tasks)} tasks"
    return ", ".join(tasks)


def _plain(text: str, style: str = "") -> Text:
    """Return text that is never read as markup."""
    from rich.text import Text

    return Text(words.clean(text), style=style, overflow="fold")


def _print_list(console: Console, heading: str, sentences: Iterable[str]) -> None:
    sentences = list(sentences)
    if not sentences:
        return
    from rich.padding import Padding

    console.print(_plain(heading, "bold"))
    for sentence in sentences:
        line = _plain(sentence)
        console.print(Padding(line, (0, 0, 0, 2)))
    console.print()


def _print_rows(console: Console, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table, or one indented block a row where the terminal is too narrow for columns."""
    if not rows:
        return
    if console.width < _NARROW:
        for row in rows:
            console.print(_plain(row[0], "bold"))
            for heading, cell in zip(headings[1:], row[1:], strict=True):
                console.print(_plain(f"{heading}: {cell or words.NONE}", STYLES.get(cell, "")))
        console.print()
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(
            heading, justify="right" if heading in ("step", "tasks changed") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(_plain(cell or words.NONE, STYLES.get(cell, "")) for cell in row))
    console.print(table)
    console.print()
