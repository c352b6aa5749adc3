"""Clusters of a task's cells in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from crystal.phases.cluster_results import ClusterResult
from crystal.phases.results import LadderResult
from crystal.report import words

_NAMED = 6


def found_words(found: ClusterResult) -> str:
    """Say how many clusters there are, and how that is known."""
    if not found.k:
        return f"No clusters: {found.reason}."
    cells = sum(sum(cluster.cells.values()) for cluster in found.clusters)
    text = f"{words.many(cells, 'cell')} (a prompt at a checkpoint) in {words.many(found.k, 'cluster')}"
    if found.exact:
        text += ": those of exact distributions of which no two are as far apart as the margin of the JSD"
    elif found.tests:
        kept = found.tests[-1].k == found.k
        tests = ", ".join(f"{test.k}: p {words.p_value(test.p)}" for test in found.tests)
        text += f"{'' if kept else ' or more'}, each one distribution as far as samples can tell ({tests})"
    if found.stability is not None:
        text += f"; stability {found.stability:.2f}"
    notes = [text]
    if found.reason:
        notes.append(f"Of the ladder's {found.reason.removeprefix('of ')}")
    if found.left_out:
        notes.append(f"{words.many(found.left_out, 'cell').capitalize()} left out")
    return ". ".join(notes) + "."


def where_words(found: ClusterResult, label: dict[str, str], family: str | None = None) -> str:
    """Say in which clusters the prompts of each checkpoint lie, of all families or of one."""
    parts: list[tuple[list[str], str]] = []
    for name, numbers in _numbers(found, family):
        several = len(set(numbers)) > 1
        seed = ", the seed's" if not several and numbers[0] == found.seed else ""
        place = (
            f"{words.many(len(numbers), 'prompt')} in {words.many(len(set(numbers)), 'cluster')}"
            if several
            else f"{'all' if len(numbers) > 1 else 'one'} in cluster {numbers[0]}{seed}"
        )
        if parts and not several and parts[-1][1] == place:
            parts[-1][0].append(label.get(name, name))
        else:
            parts.append(([label.get(name, name)], place))
    text = "; ".join(f"{words.listed(names)}: {place}" for names, place in parts)
    if text and found.seed and ", the seed's" not in text:
        text += f"; the seed's prompt: cluster {found.seed}"
    return f"{text}." if text else ""


def ladder_words(ladder: LadderResult) -> str | None:
    """Say for a whole ladder in how many clusters the prompts of each checkpoint lie."""
    label = ladder.labels()
    found = [task.clusters for task in ladder.tasks.values() if task.clusters and task.clusters.k]
    if not found:
        return None
    numbers: dict[str, list[int]] = {rung.checkpoint: [] for rung in ladder.checkpoints}
    for one in found:
        for name, places in _numbers(one):
            numbers[name].append(len(set(places)))
    known = [(label[name], median(counts)) for name, counts in numbers.items() if counts]
    shown = known if len(known) <= _NAMED else [*known[: _NAMED - 1], known[-1]]
    parts = [f"{name} {count:g}" for name, count in shown]
    if shown is not known:
        parts.insert(-1, "…")
    of = "" if len(found) == 1 else f" (median of {len(found)} tasks)"
    return f"Clusters that the prompts of a checkpoint lie in{of}: {', '.join(parts)}."


def _numbers(found: ClusterResult, family: str | None = None) -> Iterable[tuple[str, list[int]]]:
    """Return the numbers of the clusters of each checkpoint that has cells in any."""
    for name, row in found.cells.items():
        numbers = [
            number
            for number, own in zip(row, found.families, strict=True)
            if number is not None and family in (None, own)
        ]
        if numbers:
            yield name, numbers
