"""The clusters of a task on the web page: which prompt is in which at each checkpoint, and what they are."""

from __future__ import annotations

from crystal.phases.cluster_results import Cluster, ClusterResult
from crystal.report import words
from crystal.report.cluster_words import found_words, where_words
from crystal.report.html_table import table
from crystal.report.markup import Child, Markup, tag

COLOURS = 10
_SHOWN, _OPTIONS, _LETTERS = 20, 4, 60


def clusters_part(found: ClusterResult | None, label: dict[str, str]) -> Markup:
    """Return the part of a task's page that shows its clusters; empty where none were looked for."""
    if found is None:
        return Markup("")
    heading = tag("h4", "Clusters of distributions")
    if not found.k:
        return Markup(heading + tag("p", found_words(found), class_="note"))
    families = sorted(set(found.families))
    where = [tag("p", where_words(found, label))]
    if len(families) > 1:
        where = [
            tag("p", tag("strong", f"{name or '(unnamed)'}: "), where_words(found, label, name))
            for name in families
        ]
    return Markup(
        heading
        + "".join(where)
        + tag("p", found_words(found), class_="note")
        + _grid(found, label, named=len(families) > 1)
        + _members(found, label)
    )


def _grid(found: ClusterResult, label: dict[str, str], *, named: bool) -> Markup:
    rows: list[tuple[Child, list[Child]]] = []
    for i, (prompt, family) in enumerate(zip(found.prompts, found.families, strict=True)):
        numbers = [row[i] for row in found.cells.values()]
        if any(number is not None for number in numbers):
            cells: list[Child] = [_number(number) for number in numbers]
            rows.append((_short(prompt), [family, *cells] if named else cells))
    headings: list[Child] = [
        "prompt",
        *(["family"] if named else []),
        *(label.get(name, name) for name in found.cells),
    ]
    return table("The cluster of each prompt, by checkpoint", headings, rows)


def _members(found: ClusterResult, label: dict[str, str]) -> Markup:
    def row(number: int, cluster: Cluster) -> tuple[Child, list[Child]]:
        likely = list(cluster.distribution.items())
        options = ", ".join(f"{_short(option)} {words.number(p)}" for option, p in likely[:_OPTIONS])
        rest = 1 - sum(p for _, p in likely[:_OPTIONS])
        more = f", others {words.number(rest)}" if rest > 0.0005 else ""
        places = ", ".join(f"{label.get(name, name)} {count}" for name, count in cluster.cells.items())
        return [_number(number), " the seed's" if number == found.seed else None], [
            options + more,
            places,
            words.number(cluster.samples),
        ]

    rows = [row(number, cluster) for number, cluster in enumerate(found.clusters[:_SHOWN], 1)]
    caption = "The clusters: mean distribution, and how many prompts of each checkpoint"
    if found.k > _SHOWN:
        caption += f"; the first {_SHOWN} of {found.k}"
    return table(caption, ["cluster", "answers", "prompts", "valid samples"], rows, numbers=1)


def _number(number: int | None) -> Child:
    if number is None:
        return words.NONE
    return tag("span", number, class_=f"chip cluster cluster-{(number - 1) % COLOURS + 1}")


def _short(text: str) -> Child:
    text = words.clean(text)
    if len(text) <= _LETTERS:
        return text
    return tag("span", f"{text[: _LETTERS - 1]}…", title=text)
