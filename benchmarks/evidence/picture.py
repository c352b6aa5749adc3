"""Power of the picture: how often ladders of known truth are called true, false, or not known."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from crystal.phases.clauses import CLAUSES, Clauses, decide_clauses
from crystal.phases.settings import Settings
from crystal.statistics.multiple import clopper_pearson
from crystal.testing import planted

TITLE = "The picture: power and error"
TRUE_SHARE, WRONG_SHARE = 0.9, 0.01
TASKS, PROMPTS = 20, 12

TRUTHS: dict[str, tuple[bool | None, bool | None, bool | None]] = {
    "picture": (True, True, True),
    "sharpened": (True, True, True),
    "foreign": (True, False, True),
    "blend": (True, False, True),
    "per_context": (True, False, False),
    "no_sft": (True, None, True),
    "escape": (True, True, False),
    "pretraining": (True, None, None),
    "frozen": (True, False, None),
    "small": (True, False, None),
    "format": (True, False, None),
    "one_family": (True, None, True),
}
"""What is true of liquid, nucleation and settling; None where the story leaves a clause without an answer, or
where two families have different ones."""


class World(NamedTuple):
    """One size of ladders, and how many of each kind are planted at scale 1."""

    name: str
    samples: int
    options: int
    ladders: int
    families: tuple[str, ...] = ("context",)
    prompts: int = PROMPTS


WORLDS = (
    World("100 samples", 100, 10, 300),
    World("20 samples", 20, 10, 300),
    World("5 options", 100, 5, 60),
    World("30 options", 100, 30, 60),
    World("two families", 60, 10, 60, ("context", "persona"), 8),
)


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Judge ladders of every kind and world by the clauses alone."""
    rounds = {world: max(1, round(world.ladders * scale)) for world in WORLDS}
    cells = {(world.name, kind): _cell(world, kind) for world in WORLDS for kind in planted.KINDS}
    done, total = 0, sum(rounds.values()) * len(planted.KINDS)
    # Hours: interrupted, what was judged still counts, for every cell says how many ladders it saw.
    with contextlib.suppress(KeyboardInterrupt):
        for number in range(max(rounds.values())):
            for world in WORLDS:
                for kind in planted.KINDS if number < rounds[world] else ():
                    _count(cells[world.name, kind], judge(world, kind, number), kind)
                    done += 1
                    progress(done, total)
    return {"cells": list(cells.values()), "done": done / total}


def judge(world: World, kind: str, number: int) -> Clauses:
    """Plant one ladder, draw its samples, and decide the clauses."""
    families = world.families if kind != "one_family" else ("context", "persona")
    truth = planted.ladder(
        kind,
        tasks=TASKS,
        prompts=world.prompts,
        options=world.options,
        families=families,
        seed=1_000 + number,
    )
    return decide_clauses(truth.tables(world.samples), Settings(seed=number, threads=1))


def _cell(world: World, kind: str) -> dict[str, Any]:
    return {
        "world": world.name,
        "samples": world.samples,
        "options": world.options,
        "prompts": world.prompts,
        "families": len(world.families),
        "kind": kind,
        "ladders": 0,
        "answers": {"true": 0, "false": 0, "null": 0},
        "clauses": {clause: {"true": 0, "false": 0, "null": 0} for clause in CLAUSES},
        "wrong_clauses": dict.fromkeys(CLAUSES, 0),
        "missing": {},
    }


def _count(cell: dict[str, Any], clauses: Clauses, kind: str) -> None:
    cell["ladders"] += 1
    cell["answers"][_word(clauses.picture_holds)] += 1
    for clause, truth in zip(CLAUSES, TRUTHS[kind], strict=True):
        found = clauses.results[clause].holds
        cell["clauses"][clause][_word(found)] += 1
        cell["wrong_clauses"][clause] += found is not None and truth is not None and found != truth
    reasons = Counter(cell["missing"])
    reasons.update(line.split(":")[0] for line in clauses.missing)
    cell["missing"] = dict(reasons)


def _word(answer: bool | None) -> str:
    return "null" if answer is None else "true" if answer else "false"


def _holds(kind: str) -> bool:
    return kind in {"picture", "sharpened"}


def _limits(count: int, of: int) -> str:
    low, high = clopper_pearson(count, of, 0.025)
    return f"{count} of {of} ({100 * low:.0f} to {100 * high:.0f} %)"


def page(results: dict[str, Any]) -> str:
    """Write one table a world."""
    parts = [
        f"Ladders of {TASKS} tasks, judged by the three clauses alone "
        "(`crystal.phases.clauses.decide_clauses`) with default settings; every ladder is a new world with a "
        "new seed. Limits are exact 95 % limits (Clopper and Pearson). *Wrong* is true for a control and "
        "false for a true ladder. `sharpened` counts as true: a cooled seed is a seed. For `one_family` "
        "(always two families) the picture is true in one family and false in the other, so false and null "
        "are both right. *Open* lists the clauses that were null, with how often."
    ]
    for world in dict.fromkeys(cell["world"] for cell in results["cells"]):
        cells = [cell for cell in results["cells"] if cell["world"] == world and cell["ladders"]]
        if not cells:
            continue
        first = cells[0]
        families = "one family" if first["families"] == 1 else f"{first['families']} families"
        parts.append(
            f"### {world}: {families} of {first['prompts']} prompts, {first['options']} options, "
            f"{first['samples']} samples a prompt\n\n"
            "| story | truth | true | false | null | wrong | open |\n|---|---|---|---|---|---|---|\n"
            + "\n".join(_row(cell) for cell in cells)
        )
    return "\n\n".join([*parts, *([results["note"]] if "note" in results else [])])


def _row(cell: dict[str, Any]) -> str:
    answers, n = cell["answers"], cell["ladders"]
    missing = ", ".join(f"{clause} {count}" for clause, count in sorted(cell["missing"].items()))
    return (
        f"| {cell['kind']} | {_word(_holds(cell['kind']))} | {answers['true']} | {answers['false']} | "
        f"{answers['null']} | {_limits(_wrong(cell), n)} | {missing} |"
    )


def _wrong(cell: dict[str, Any]) -> int:
    return int(cell["answers"]["false" if _holds(cell["kind"]) else "true"])


def failures(results: dict[str, Any]) -> list[str]:
    """Name what is not met: power at 100 samples, few errors everywhere, few errors of controls *shown*."""
    unmet = []
    shown: dict[str, list[str]] = {}
    for cell in results["cells"]:
        n, kind, world = cell["ladders"], cell["kind"], cell["world"]
        if not n:
            continue
        true, wrong = cell["answers"]["true"], _wrong(cell)
        if world == WORLDS[0].name and _holds(kind) and true < TRUE_SHARE * n:
            unmet.append(f"{kind}, {world}: true for {true} of {n} ladders, where 90 % are asked for")
        if wrong > WRONG_SHARE * n:
            word = "false" if _holds(kind) else "true"
            unmet.append(f"{kind}, {world}: {word} for {wrong} of {n} ladders, where 1 % is allowed")
        elif (
            not _holds(kind)
            and world in {WORLDS[0].name, WORLDS[1].name}
            and clopper_pearson(wrong, n, 0.05)[1] > WRONG_SHARE
        ):
            shown.setdefault(f"{world}: {wrong} wrong of {n}", []).append(kind)
    measured = {cell["world"] for cell in results["cells"] if cell["ladders"]}
    unmet += [f"{world.name}: not measured" for world in WORLDS if world.name not in measured]
    for words, kinds in shown.items():
        wrong, n = int(words.split(": ")[1].split()[0]), int(words.split()[-1])
        upper = 100 * clopper_pearson(wrong, n, 0.05)[1]
        unmet.append(
            f"{words} for each of {', '.join(kinds)}: only shown to be below {upper:.1f} % (95 %), "
            "not below 1 %"
        )
    return unmet
