"""A comparison of two ladders in words."""

from __future__ import annotations

from crystal.phases.compare_results import Comparison, Likeness, Overall, TaskLikeness
from crystal.report import words

HEADINGS = ("task", "behaviour", "JSD, bits", "of control", "seed", "JSD, bits", "seeds", "needs")


def overall_words(what: str, found: Overall) -> str:
    """Say what all tasks together show."""
    if not found.tasks:
        return f"{what}: on no task can they be compared."
    text = (
        f"{what}: {found.shared} shared, {found.different} different, {found.undetermined} undetermined. "
        f"Mean JSD {words.number(found.jsd)} bits; {words.number(found.control)} with the options of one "
        f"renamed (that names mean nothing: p {words.p_value(found.p)})"
    )
    if found.other_tasks is not None:
        text += (
            f"; {words.number(found.other_tasks)} between different tasks with the same options "
            f"(p {words.p_value(found.other_tasks_p)})"
        )
    return f"{text}."


def summary(comparison: Comparison) -> list[str]:
    """Return the sentences that head a comparison."""
    sides = " and ".join(
        f"{side.ladder} ({side.base or 'no base'} → {side.tuned})" for side in (comparison.a, comparison.b)
    )
    left = [
        f"Only {side.ladder} has {words.listed(tasks[:5])}{' and more' if len(tasks) > 5 else ''}."
        for side, tasks in ((comparison.a, comparison.only_a), (comparison.b, comparison.only_b))
        if tasks
    ]
    return [
        f"{sides}, {words.many(len(comparison.tasks), 'common task')}",
        overall_words("Tuned behaviours", comparison.tuned),
        overall_words("Seeds", comparison.seeds),
        *left,
    ]


def row(name: str, task: TaskLikeness) -> tuple[str, ...]:
    """Return the cells of one task, under :data:`HEADINGS`."""
    kinds = " and ".join(
        kind if prompt is None else prompt for kind, prompt in zip(task.kinds, task.seeds, strict=True)
    )
    return (
        name,
        task.tuned.verdict,
        _size(task.tuned),
        _share(task.tuned),
        task.seed.verdict,
        _size(task.seed),
        kinds,
        _needs(task.tuned),
    )


def _size(one: Likeness) -> str:
    if one.jsd is None:
        return words.NONE
    limits = "" if one.exact else f" {words.interval(one.low, one.high)}"
    return f"{words.number(one.jsd)}{limits}"


def _share(one: Likeness) -> str:
    if one.jsd is None or not one.control:
        return words.NONE
    return f"{one.jsd / one.control:.2f}"


def _needs(one: Likeness) -> str:
    if one.verdict != "UNDETERMINED":
        return ""
    if one.needs_samples is not None:
        return f"{one.needs_samples:,} samples a side"
    return one.needs_reason or one.reason or ""


def to_text(comparison: Comparison) -> str:
    """Return a comparison as plain text: sentences, then a block a task."""
    lines = [words.clean(line) for line in summary(comparison)]
    for name, task in comparison.tasks.items():
        cells = row(name, task)
        lines += ["", words.clean(name)]
        for what, one, more in (
            ("tuned", task.tuned, f"families {', '.join(task.families) or 'none'}"),
            ("seeds", task.seed, cells[6]),
        ):
            said = f"  {what}: {one.verdict}"
            if one.jsd is not None:
                said += f", JSD {_size(one)} bits, {_share(one)} of the control {words.number(one.control)}"
                said += f" (renamed as near: {words.p_value(one.control_p)}"
                said += "" if one.q is None else f"; same distribution: q {words.p_value(one.q)}"
                said += ")"
            if one.reason:
                said += f"; {one.reason}"
            if one.verdict == "UNDETERMINED" and one.jsd is not None:
                said += f"; needs {_needs(one)}"
            lines.append(words.clean(f"{said}; {more}"))
    return "\n".join(lines) + "\n"
