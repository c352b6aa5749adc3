"""Groups of prompts in words."""

from __future__ import annotations

from collections.abc import Sequence

from crystal.phases.prompt_groups import Group, PromptGroups
from crystal.report import words

OPTIONS, PROMPTS, LETTERS = 4, 3, 60
"""Options, prompts and letters of a prompt that are shown."""


def to_text(found: Sequence[PromptGroups]) -> str:
    """Return groups as plain text: a block a task, a paragraph a checkpoint."""
    lines: list[str] = []
    task = None
    for one in found:
        if one.task != task:
            task = one.task
            lines += [""] if lines else []
            lines.append(words.clean(f"{one.ladder}, {task}"))
        lines.append("  " + words.clean(f"{one.checkpoint}: {_found(one)}"))
        lines += ["    " + words.clean(_group(group)) for group in one.groups]
    return "\n".join(lines) + "\n"


def _found(one: PromptGroups) -> str:
    left = f"; {words.many(one.left_out, 'prompt')} without samples enough" if one.left_out else ""
    if not one.groups:
        return f"no prompt has samples enough{left}"
    prompts = sum(len(group.prompts) for group in one.groups)
    text = f"{words.many(prompts, 'prompt')} in {words.many(len(one.groups), 'group')}"
    if one.tests:
        text += " (" + ", ".join(
            f"{words.many(test.k, 'group')}: p {words.p_value(test.p)}" for test in one.tests
        )
        text += ")"
    if one.stability is not None:
        text += f", stability {one.stability:.2f}"
    return text + left


def _group(group: Group) -> str:
    shown = ", ".join(f"{option} {share:.2f}" for option, share in group.distribution[:OPTIONS])
    more = len(group.distribution) - OPTIONS
    options = f"{shown}{f' and {more:,} more' if more > 0 else ''}"
    names = [name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…" for name in group.prompts[:PROMPTS]]
    rest = len(group.prompts) - PROMPTS
    prompts = " | ".join(name.replace("\n", " ") for name in names) + (
        f" | {rest:,} more" if rest > 0 else ""
    )
    return f"{words.many(len(group.prompts), 'prompt')}: {options}: {prompts}"
