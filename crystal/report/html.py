"""The report as one web page: no network, no fonts or scripts from elsewhere, whole without JavaScript.

Every text goes through :mod:`crystal.report.markup`, which escapes it. A content security policy allows this
page's own style and script by their hashes and nothing else, so that even a slip there could run nothing.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any, get_args

from crystal.phases.results import ClauseResult, LadderResult, PhaseReport, Verdict
from crystal.report import words
from crystal.report.figures import counts_figure
from crystal.report.html_sequences import sequences_section
from crystal.report.html_table import chip, table
from crystal.report.html_task import task_details
from crystal.report.html_tokens import tokens_section
from crystal.report.markup import Child, Markup, join, tag

_VERDICTS: tuple[str, ...] = get_args(Verdict)
_NAMED = 6


def to_html(report: PhaseReport) -> str:
    """Return the report as one self-contained HTML file.

    Parameters
    ----------
    report : PhaseReport
        What ``classify`` returned.

    Returns
    -------
    str
        The page. The same report gives the same text.
    """
    style, script = _resource("page.css"), _resource("page.js")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    names = list(report.ladders)
    alpha = float(report.settings.get("alpha", 0.05))
    title = f"crystal report: {words.listed(names)}" if names else "crystal report"
    head = [
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        Markup(f"<style>{style}</style>"),
    ]
    body = [
        tag("a", "Skip to the report", href="#report", class_="skip"),
        tag("header", tag("h1", "crystal report"), _contents(names)),
        tag(
            "main",
            [_ladder(i, name, ladder, alpha) for i, (name, ladder) in enumerate(report.ladders.items())],
            _about(report),
            id="report",
        ),
        tag(
            "footer",
            tag("p", words.CAVEAT),
            tag("p", f"Made by crystal {report.crystal_version}.", class_="note"),
        ),
        Markup(f"<script>{script}</script>"),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", body), lang="en") + "\n"


def _resource(name: str) -> str:
    return resources.files("crystal.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _contents(names: list[str]) -> Child:
    if len(names) < 2:
        return None
    links = [tag("li", tag("a", name, href=f"#ladder-{i}")) for i, name in enumerate(names)]
    return tag("nav", tag("ul", links), aria_label="Ladders")


def _ladder(index: int, name: str, ladder: LadderResult, alpha: float) -> Markup:
    label = ladder.labels()
    return tag(
        "section",
        tag("h2", name, id=f"ladder-{index}"),
        tag("p", words.headline(ladder), class_=f"headline {words.answer(ladder.picture_holds)}"),
        _strip(ladder, label),
        tag("h3", "The three clauses"),
        tag("ul", [_clause(key, clause) for key, clause in ladder.clauses.items()], class_="clauses"),
        tag("h3", "Transitions"),
        _transitions(ladder, label),
        _sentences("Evidence", ladder.evidence),
        _missing(ladder),
        _change_points(ladder, label),
        _tasks(index, ladder, label, alpha),
        tokens_section(ladder.tokens, label),
        sequences_section(ladder.sequences, label),
        _mapping("Sensitivity of the verdict", ladder.sensitivity),
        _mapping("Controls", ladder.controls),
        aria_labelledby=f"ladder-{index}",
    )


def _strip(ladder: LadderResult, label: dict[str, str]) -> Markup:
    verdicts = {t.from_: t for t in ladder.transitions}
    items: list[Child] = []
    folds = words.folded(ladder)
    ends = {run[-1]: run for run in folds}
    within = {i for run in folds for i in run}
    for i, rung in enumerate(ladder.checkpoints):
        if run := ends.get(i):
            note = tag("span", words.folded_words(ladder, run), class_="note")
            items.append(tag("li", tag("strong", "…"), note, class_="rung"))
        if i in within:
            continue
        items.append(
            tag(
                "li",
                tag("strong", label[rung.checkpoint]),
                tag("span", rung.checkpoint, class_="note")
                if label[rung.checkpoint] != rung.checkpoint
                else None,
                tag("span", f"{rung.stage}, step {rung.step}", class_="note"),
                chip(rung.phase),
                class_="rung",
            )
        )
        step = verdicts.get(rung.checkpoint)
        if step:
            changed = f"{step.changed} of {sum(step.counts.values())} differ"
            items.append(
                tag(
                    "li",
                    tag("span", "→", aria_hidden="true"),
                    chip(step.verdict),
                    tag("span", changed, class_="note"),
                    class_="step",
                    aria_label=f"{words.step_words(step.from_, step.to, label)}: {step.verdict}, {changed}",
                )
            )
    return tag("ol", items, class_="strip", aria_label="Checkpoints in training order")


def _clause(key: str, clause: ClauseResult) -> Markup:
    title, meaning = words.CLAUSES.get(key, (key, ""))
    limits = words.interval(clause.low, clause.high)
    families = ", ".join(
        f"{name or '(unnamed)'}: {words.answer(c.holds)}" for name, c in clause.families.items()
    )
    return tag(
        "li",
        tag("h4", title, chip(words.answer(clause.holds))),
        tag("p", meaning),
        tag("p", words.clause_words(clause.tasks_hold, clause.tasks_refuted, clause.tasks), class_="note"),
        tag("p", f"Share of the decided tasks, one-sided 95 % limits: {limits}", class_="note")
        if limits
        else None,
        tag("p", f"By family: {families}", class_="note") if families else None,
        tag("p", clause.reason, class_="note") if clause.reason else None,
    )


def _transitions(ladder: LadderResult, label: dict[str, str]) -> Markup:
    rows: list[tuple[Child, list[Child]]] = []
    for step in ladder.transitions:
        counts = [_count(step.counts.get(verdict, 0)) for verdict in _VERDICTS]
        verdict = [chip(step.verdict), tag("span", step.reason, class_="note") if step.reason else None]
        changed = f"{step.changed} of {sum(step.counts.values())}"
        bar = counts_figure(step.counts, _VERDICTS)
        rows.append((words.step_words(step.from_, step.to, label), [verdict, bar, changed, *counts]))
    headings = ["transition", "verdict", "tasks by verdict", "tasks changed", *(v.lower() for v in _VERDICTS)]
    return table(
        "Verdicts of the tasks for each step of the ladder", headings, rows, numbers=1 + len(_VERDICTS)
    )


def _count(count: int) -> Child:
    return tag("span", count, class_="soft") if count == 0 else tag("strong", count)


def _sentences(heading: str, sentences: list[str]) -> Child:
    if not sentences:
        return None
    return [tag("h3", heading), tag("ul", [tag("li", s) for s in sentences], class_="sentences")]


def _missing(ladder: LadderResult) -> Child:
    needs = words.missing(ladder)
    if not needs:
        return None
    rows: list[tuple[Child, list[Child]]] = [
        (need.step, [need.need, need.reason, _which(need.tasks, len(ladder.tasks))]) for need in needs
    ]
    headings = ["transition", "would settle it", "why it is undetermined", "tasks"]
    return [tag("h3", "What is missing"), table("Undetermined tasks by what they lack", headings, rows)]


def _which(tasks: tuple[str, ...], total: int) -> Child:
    names = ", ".join(tasks)
    if len(tasks) <= _NAMED:
        return names
    how_many = f"all {total} tasks" if len(tasks) == total else f"{len(tasks)} of {total} tasks"
    return tag("details", tag("summary", how_many), names, class_="plain")


def _change_points(ladder: LadderResult, label: dict[str, str]) -> Child:
    sought = words.scan_words(ladder)
    if not ladder.change_points and sought is None:
        return None
    rows: list[tuple[Child, list[Child]]] = []
    for point in ladder.change_points:
        ends = f"{label.get(point.low, point.low)} to {label.get(point.high, point.high)}"
        cells: list[Child] = [ends, words.p_value(point.p), words.shape_words(point.gradual)]
        rows.append((label.get(point.at, point.at), cells))
    return [
        tag("h3", "Change points"),
        tag("p", sought) if sought else None,
        table("Where the ladder changes", ["at", "interval", "p", "shape"], rows) if rows else None,
    ]


def _tasks(index: int, ladder: LadderResult, label: dict[str, str], alpha: float) -> Child:
    if not ladder.tasks:
        return None
    options = [tag("option", "any verdict", value=""), *(tag("option", v, value=v) for v in _VERDICTS)]
    controls = tag(
        "form",
        tag("label", "Task ", tag("input", type="search", name="text")),
        tag("label", "Verdict ", tag("select", options, name="verdict")),
        tag("output", "", aria_live="polite"),
        class_="filter",
        data_list=f"tasks-{index}",
    )
    details = [task_details(name, result, label, alpha) for name, result in ladder.tasks.items()]
    how = (
        "Dot: the value; thick line: its interval for more samples of these prompts; thin line: for prompts "
        "that nobody asked; dashed tick: the null; faint tick: 0. All cells of a row share one scale. A step "
        "“differs” where its omnibus test rejects (q below alpha), whatever its verdict."
    )
    return [
        tag("h3", f"Tasks ({len(ladder.tasks)})"),
        tag("p", how, class_="note"),
        controls,
        tag("div", details, id=f"tasks-{index}"),
    ]


def _about(report: PhaseReport) -> Markup:
    inputs = report.inputs
    rejected = (
        "They are listed in rejected.jsonl, each with its file, row and reason." if inputs.rejected else None
    )
    terms = [[tag("dt", term), tag("dd", meaning)] for term, meaning in words.GLOSSARY.items()]
    return join(
        [
            tag(
                "section",
                tag("h2", "Inputs"),
                tag("p", f"{words.inputs_words(report)}.", " " if rejected else None, rejected),
                tag("ul", [tag("li", file) for file in inputs.files], class_="sentences"),
            ),
            tag("section", tag("h2", "Settings"), _settings(report.settings)),
            tag("section", tag("h2", "Terms"), tag("dl", terms)),
        ]
    )


def _settings(settings: dict[str, Any]) -> Markup:
    """Return the settings under the names by which ``--set`` takes them."""

    def flat(values: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
        return [
            item
            for name, value in values.items()
            for item in (
                flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
            )
        ]

    rows = [[tag("dt", tag("code", name)), tag("dd", _inline(value))] for name, value in flat(settings, "")]
    return tag("dl", rows)


def _mapping(heading: str, values: dict[str, Any] | None) -> Child:
    if not values:
        return None
    rows = [
        [tag("dt", words.spelled(str(name))), tag("dd", _inline(value))] for name, value in values.items()
    ]
    return [tag("h3", heading), tag("dl", rows)]


def _inline(value: Any) -> str:
    if value is None:
        return words.NONE
    if isinstance(value, bool):
        return words.answer(value)
    if isinstance(value, int | float):
        return words.number(value)
    if isinstance(value, dict):
        return ", ".join(f"{words.spelled(str(k))} {_nested(v)}" for k, v in value.items()) or words.NONE
    if isinstance(value, list | tuple):
        return ", ".join(_nested(v) for v in value) or words.NONE
    return str(value)


def _nested(value: Any) -> str:
    return f"({_inline(value)})" if isinstance(value, dict | list | tuple) else _inline(value)
