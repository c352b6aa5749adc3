"""Is ``needs_samples`` honest: enough where it is followed, and no more than about what is needed?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from crystal.phases.settings import Settings
from crystal.phases.transitions import compare, conclude, name
from crystal.testing import planted

TITLE = "needs_samples: honest in both directions"
ALPHA, INTERVAL_DRAWS = 0.05, 250
ENOUGH, TOO_FEW, FINITE = 0.8, 0.6, 0.6
MOST = 5_000
"""Larger answers are counted as finite, and not tried."""
CASES = 24


class Case(NamedTuple):
    """A step of a story, looked at with too few samples."""

    kind: str
    step: int
    samples: int
    options: int = 10
    prompts: int = 6


WORLDS = (
    Case("frozen", 0, 20),
    Case("frozen", 0, 60),
    Case("format", 1, 40),
    Case("picture", 0, 12),
    Case("picture", 1, 20),
    Case("foreign", 0, 12),
    Case("foreign", 1, 20),
    Case("blend", 0, 20),
    Case("escape", 2, 12),
    Case("per_context", 2, 12),
    Case("frozen", 0, 30, options=4, prompts=4),
    Case("picture", 1, 30, options=30),
)


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Ask for a number of samples, then draw so many, and a third of them."""
    cases = max(2, round(CASES * scale))
    rows = [_row(world) for world in WORLDS]
    for number in range(cases):
        for row, world in zip(rows, WORLDS, strict=True):
            add(row, world, number)
        progress(number + 1, cases)
    return {"rows": rows}


def _row(world: Case) -> dict[str, Any]:
    keys = ("asked", "already", "finite", "large", "followed", "decided", "wrong", "third_decided")
    return {**world._asdict(), **dict.fromkeys(keys, 0), "answers": [], "reasons": {}}


def add(row: dict[str, Any], world: Case, number: int) -> None:
    """Try one task of one world."""
    truth = planted.ladder(
        world.kind,
        tasks=1,
        prompts=world.prompts,
        options=world.options,
        families=("context",),
        seed=4_000 + number,
    )
    settings = Settings(seed=number, threads=1, interval_draws=INTERVAL_DRAWS)
    (table,) = truth.tables(world.samples)
    known = compare(table, world.step, world.step + 1, settings)
    result, _ = conclude(known, known.p, ALPHA, settings)
    if result.verdict != "UNDETERMINED":
        row["already"] += 1
        return
    row["asked"] += 1
    if result.needs_samples is None:
        row["reasons"] = dict(Counter(row["reasons"]) + Counter([str(result.needs_reason)]))
        return
    row["finite"] += 1
    row["answers"].append(result.needs_samples)
    if result.needs_samples > MOST:
        row["large"] += 1
        return
    for size, word in (
        (result.needs_samples, "decided"),
        (math.ceil(result.needs_samples / 3), "third_decided"),
    ):
        (fresh,) = truth.tables(size, draw=number + 1)
        again = compare(fresh, world.step, world.step + 1, settings)
        verdict, _, _ = name(again, again.p, settings)
        row[word] += verdict != "UNDETERMINED"
        row["wrong"] += verdict not in {"UNDETERMINED", truth.verdicts[world.step]}
    row["followed"] += 1


def page(results: dict[str, Any]) -> str:
    """Write one row a world."""
    lines = [
        "One task, too few samples, the transition UNDETERMINED: `needs_samples` is asked for, that many "
        "samples a prompt are drawn anew from the truth, and judged; then a third as many. *Already*: "
        f"decided at once, so nothing was asked. Answers above {MOST:,} are counted as finite and not tried. "
        "All stories have an effect of 0 or one beyond two margins.",
        "| story, step | size | samples | asked (already) | finite | median answer | decided at it | "
        "at a third | wrong |\n|---|---|---|---|---|---|---|---|---|",
    ]
    rows = [_line(row) for row in results["rows"]]
    total = _total(results)
    rows.append(
        f"| **all** | | | {total['asked']} ({total['already']}) | {total['finite']} | | "
        f"{total['decided']} of {total['followed']} | {total['third_decided']} of {total['followed']} | "
        f"{total['wrong']} |"
    )
    note = f"\n\n{results['note']}" if "note" in results else ""
    return lines[0] + "\n\n" + lines[1] + "\n" + "\n".join(rows) + note


def _line(row: dict[str, Any]) -> str:
    answers = sorted(row["answers"])
    median = f"{answers[len(answers) // 2]:,}" if answers else ""
    return (
        f"| {row['kind']}, {row['step'] + 1} | {row['options']} options, {row['prompts']} prompts | "
        f"{row['samples']} | {row['asked']} ({row['already']}) | {row['finite']} | {median} | "
        f"{row['decided']} of {row['followed']} | {row['third_decided']} of {row['followed']} | "
        f"{row['wrong']} |"
    )


def _total(results: dict[str, Any]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in results["rows"]:
        total.update({key: value for key, value in row.items() if isinstance(value, int)})
    return total


def failures(results: dict[str, Any]) -> list[str]:
    """Hold all answers together against the three criteria."""
    total, unmet = _total(results), []
    if total["decided"] < ENOUGH * total["followed"]:
        unmet.append(
            f"{total['decided']} of {total['followed']} are decided at the size named; 80 % are asked for"
        )
    if total["third_decided"] > TOO_FEW * total["followed"]:
        unmet.append(
            f"{total['third_decided']} of {total['followed']} are decided at a third of it; at most "
            "60 % should be"
        )
    if total["finite"] < FINITE * total["asked"]:
        unmet.append(f"{total['finite']} of {total['asked']} answers are finite; 60 % are asked for")
    return unmet
