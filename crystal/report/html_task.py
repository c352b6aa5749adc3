"""One task of the web page: what each checkpoint shows, what each step changed, the seed, the families."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crystal.phases.results import (
    CheckpointResult,
    FamilyResult,
    Metric,
    TaskResult,
    TransitionResult,
)
from crystal.phases.seed_results import SeedResult
from crystal.report import words
from crystal.report.figures import interval_figure, scale
from crystal.report.html_clusters import clusters_part
from crystal.report.html_table import chip, table
from crystal.report.markup import Child, Markup, tag


def task_details(name: str, result: TaskResult, label: dict[str, str], alpha: float) -> Markup:
    """Return one task as an element that opens on demand; ``alpha`` says which transitions differ."""
    verdicts = " ".join(dict.fromkeys(t.verdict for t in result.transitions))
    steps = [
        tag(
            "span",
            tag("span", f"{words.step_words(t.from_, t.to, label)} ", class_="note"),
            chip(t.verdict),
            tag("span", " differs", class_="note") if t.q is not None and t.q < alpha else None,
        )
        for t in result.transitions
    ]
    return tag(
        "details",
        tag("summary", tag("h4", name), steps),
        family_body(result, label),
        clusters_part(result.clusters, label),
        _families(result, label),
        data_name=name,
        data_verdicts=verdicts,
    )


def _families(result: TaskResult, label: dict[str, str]) -> Child:
    if not result.families:
        return None
    if len(result.families) == 1:
        only = next(iter(result.families)) or "(unnamed)"
        return tag("p", f"All prompts of this task are of one family: {only}.", class_="note")
    parts = [
        tag("details", tag("summary", tag("h5", name or "(unnamed)")), family_body(family, label))
        for name, family in result.families.items()
    ]
    return [tag("h4", "By prompt family"), parts]


def family_body(result: FamilyResult, label: dict[str, str]) -> Markup:
    """Return the tables of one task, over all prompts or one family's."""
    return Markup(_checkpoints(result, label) + _transitions(result, label) + _seed(result.seed, label))


def _checkpoints(result: FamilyResult, label: dict[str, str]) -> Markup:
    places = list(result.checkpoints.items())
    if not places:
        return Markup("")

    def row(title: str, cell: Callable[[CheckpointResult], Child]) -> tuple[Child, list[Child]]:
        return title, [cell(place) for _, place in places]

    rows = [
        row("phase", lambda c: [chip(c.phase), _note(c.reason)]),
        row("valid samples", lambda c: words.number(c.n)),
        *metric_rows([place.metrics for _, place in places]),
    ]
    headings: list[Child] = ["", *(_name(name, label) for name, _ in places)]
    return table("At each checkpoint", headings, rows)


def _transitions(result: FamilyResult, label: dict[str, str]) -> Markup:
    steps = result.transitions
    if not steps:
        return Markup("")

    def row(title: str, cell: Callable[[TransitionResult], Child]) -> tuple[Child, list[Child]]:
        return title, [cell(step) for step in steps]

    rows = [
        row("verdict", lambda t: [chip(t.verdict), _note(t.reason)]),
        row("anything different?", lambda t: f"p {words.p_value(t.p)}, q {words.p_value(t.q)}"),
        row("prompts compared", lambda t: paired_words(t.paired, t.unpaired)),
    ]
    if any(step.verdict == "UNDETERMINED" for step in steps):
        rows.append(
            row(
                "would settle it",
                lambda t: words.need_words([t]) if t.verdict == "UNDETERMINED" else words.NONE,
            )
        )
    rows += metric_rows([step.metrics for step in steps])
    headings: list[Child] = ["", *(words.step_words(t.from_, t.to, label) for t in steps)]
    return table("From each checkpoint to the next", headings, rows)


def paired_words(paired: int, unpaired: int) -> str:
    """Say how many prompts were compared, and how many had no partner."""
    return f"{paired}" + (f" ({unpaired} left out: on one side only)" if unpaired else "")


def metric_rows(places: Sequence[dict[str, Metric]]) -> list[tuple[Child, list[Child]]]:
    """Return a row for each metric that any place has: its name, and what each place says."""
    names = list(dict.fromkeys(name for metrics in places for name in metrics))
    rows: list[tuple[Child, list[Child]]] = []
    for name in names:
        known = [metrics[name] for metrics in places if name in metrics]
        limits = scale(known)
        title = [words.spelled(name), _note(_about(known))]
        rows.append((title, [_metric(metrics.get(name), limits) for metrics in places]))
    return rows


def _about(metrics: Sequence[Metric]) -> str | None:
    """Return unit and estimator, where all cells of a row share them."""
    units = {m.unit for m in metrics} - {"1"}
    estimators = {m.estimator for m in metrics if m.estimator}
    parts = [*(units if len(units) == 1 else ()), *(estimators if len(estimators) == 1 else ())]
    return ", ".join(parts) or None


def _metric(metric: Metric | None, limits: tuple[float, float] | None) -> Child:
    if metric is None:
        return words.NONE
    interval = "exact" if metric.exact else words.interval(metric.low, metric.high)
    more = [
        f"null {words.number(metric.null)}" if metric.null is not None else "",
        f"p {words.p_value(metric.p)}" if metric.p is not None else "",
        f"q {words.p_value(metric.q)}" if metric.q is not None else "",
        f"margin {words.number(metric.margin)}" if metric.margin is not None else "",
    ]
    if metric.prompt_low is not None or metric.prompt_high is not None:
        more.append(f"new prompts {words.interval(metric.prompt_low, metric.prompt_high)}")
    return [
        tag("span", f"{words.number(metric.value)} {interval}", class_="value"),
        interval_figure(metric, limits),
        _note(", ".join(filter(None, more)) or None),
        _note(metric.reason),
    ]


def _seed(seed: SeedResult | None, label: dict[str, str]) -> Markup:
    if seed is None:
        return Markup("")
    kinds = {
        "one": "one distribution of the base",
        "blend": "a blend of several distributions of the base",
        "sharpened": "one distribution of the base, sharpened",
        "none": "none among the base's prompts",
        "undetermined": "undetermined",
    }
    weights = ", ".join(f"{name} {words.number(weight)}" for name, weight in _heaviest(seed.weights))
    sharpening = f"{words.number(seed.alpha)} {words.interval(seed.alpha_low, seed.alpha_high)}".strip()
    fields = [
        ("found", words.answer(seed.found)),
        ("searched", words.step_words(seed.base, seed.tuned, label) if seed.base and seed.tuned else None),
        ("prompt", seed.prompt),
        ("not told apart from it", ", ".join(seed.alike) or None),
        ("weight with its twins", words.number(seed.max_weight) if seed.max_weight is not None else None),
        ("left unexplained", f"{words.number(seed.residual)} bits" if seed.residual is not None else None),
        ("as a share of the base's spread", _given(seed.residual_share)),
        (
            "what a blend adds",
            f"{words.number(seed.one_vs_blend)} bits" if seed.one_vs_blend is not None else None,
        ),
        ("sharpening exponent", sharpening if seed.alpha is not None else None),
        ("match", _given(seed.match)),
        ("p", words.p_value(seed.p) if seed.p is not None else None),
        ("blend", weights or None),
        ("reason", seed.reason),
    ]
    rows = [[tag("dt", name), tag("dd", value)] for name, value in fields if value is not None]
    return Markup(tag("h4", f"Seed: {kinds[seed.kind]}") + tag("dl", rows))


def _heaviest(weights: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:6]


def _given(value: float | None) -> str | None:
    return None if value is None else words.number(value)


def _name(name: str, label: dict[str, str]) -> Markup:
    return tag("span", label.get(name, name), title=name if label.get(name, name) != name else None)


def _note(text: str | None) -> Markup | None:
    return tag("span", text, class_="note") if text else None
