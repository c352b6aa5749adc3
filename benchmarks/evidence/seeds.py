"""Seeds of single tasks: what is said of them where the truth is planted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence.cells import markdown
from benchmarks.evidence.worlds import Floats
from crystal import Settings, find_seed
from crystal.ops.blend import fit_blend
from crystal.statistics.divergence import js_divergence
from crystal.testing.planted import ladder

TITLE = "Seeds: found, blended, sharpened or absent"

OPTIONS = (4, 10, 30)
SAMPLES = (10, 20, 50, 100, 300, 1_000)
TASKS, PROMPTS = 80, 8
SOURCES = PROMPTS // 2
"""Distinct distributions of a base; its prompts are paraphrases of them, two each."""
RIGHT: dict[str, tuple[str, ...]] = {
    "picture": ("one",),
    "sharpened": ("sharpened", "one"),
    "foreign": ("none",),
    "blend": ("blend",),
    "frozen": ("blend",),
    "alike": (),
}
"""The answers that are right of each story; ``alike`` has none but that nothing can be singled out."""
WHAT = {
    "picture": "seed is a base distribution",
    "sharpened": "seed is a cooled one",
    "foreign": "not among the base's",
    "blend": "average of the base's",
    "frozen": "nothing changed",
    "alike": "nothing changed, prompts all alike",
}
KINDS = ("one", "sharpened", "blend", "none", "undetermined")
ALIKE, MARGIN = 0.01, 0.01
"""JSD in bits under which two prompts say the same; crystal's margin of the JSD."""
WRONG, FOUND, ENOUGH, FEWEST = 0.05, 0.8, 300, 20
"""The criteria: share wrong; share right at so many samples, in cells with so many far tasks."""
SPARE = 10
"""Unchanged tasks that are planted for one that is kept."""
_POWERS = np.geomspace(1.0, 64.0, 25)


class Task(NamedTuple):
    """The truth of one task."""

    base: Floats
    """float64 [P, K]."""
    tuned: Floats
    """float64 [P, K]."""
    names: frozenset[int]
    """Prompts whose base distribution is the seed, paraphrases included."""
    far: bool
    """Whether the planted distance is over two margins."""


def tasks(story: str, options: int, number: int) -> list[Task]:
    """Plant the tasks of a story; of unchanged ones, those of which a prompt has over half are left out."""
    kind = "frozen" if story == "alike" else story
    seed = 100 * options + list(RIGHT).index(story)
    planted = ladder(
        kind,
        tasks=SPARE * number if story == "frozen" else number,
        prompts=PROMPTS,
        options=options,
        families=("all",),
        sources=SOURCES,
        seed=seed,
    )
    found = []
    for rungs, chosen in zip(planted.probabilities, planted.seeds, strict=True):
        base, tuned = rungs[0], rungs[1]
        if story == "alike":
            base = tuned = np.repeat(base[chosen][None], PROMPTS, axis=0)
        apart = np.asarray(js_divergence(base, base[chosen]))
        same = (apart <= ALIKE) | (np.arange(PROMPTS) % SOURCES == chosen % SOURCES)
        if story == "frozen" and (tuned.mean(axis=0) / base).min(axis=1).max() > 0.5:
            continue
        names = frozenset(np.flatnonzero(same).tolist())
        found.append(Task(base, tuned, names, _is_far(story, base, tuned.mean(axis=0), same)))
    return found[:number]


def _is_far(story: str, base: Floats, q: Floats, same: Any) -> bool:
    """Whether the tuned behaviour q is over two margins from what a false answer would say of it."""
    if story in {"picture", "sharpened"}:
        return _left(base[~same], q) > 2 * MARGIN
    if story == "foreign":
        pairs = np.asarray(js_divergence(base[:, None], base[None]))
        powers = base[:, None] ** _POWERS[:, None]
        powers /= powers.sum(axis=-1, keepdims=True)
        nearest = min(_left(base, q), float(np.asarray(js_divergence(powers, q)).min()))
        return nearest > 2 * float(pairs[pairs > ALIKE].mean()) / 3
    if story in {"blend", "frozen"}:
        return float(np.asarray(js_divergence(base, q)).min()) > 2 * MARGIN
    return False


def _left(rows: Floats, q: Floats) -> float:
    """JSD in bits that the best blend of exact rows leaves."""
    return float(js_divergence(fit_blend(q, rows, tolerance=1e-6, threads=1).weights[0] @ rows, q))


class Answer(NamedTuple):
    """What is said of a task."""

    kind: str
    prompts: tuple[int, ...] = ()
    """The prompt that is named, and those that are not told apart from it; empty where there is no seed."""


def ask(task: Task, samples: int, *key: int) -> Answer:
    """Draw samples of a task, and look for its seed."""
    random = np.random.default_rng([*key, samples])
    base, tuned = (random.multinomial(samples, rows).astype(np.int64) for rows in (task.base, task.tuned))
    result = find_seed(base, tuned, seed=samples, settings=Settings(threads=1), words=key)
    named = [result.prompt, *result.alike] if result.found and result.prompt is not None else []
    return Answer(result.kind, tuple(int(name) for name in named))


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Ask for the seeds of all tasks at all sizes."""
    cells, done, total = [], 0, len(RIGHT) * len(OPTIONS) * len(SAMPLES)
    for place, (story, right) in enumerate(RIGHT.items()):
        for options in OPTIONS:
            planted = tasks(story, options, max(4, round(TASKS * scale)))
            for samples in SAMPLES:
                progress(done := done + 1, total)
                cell: dict[str, Any] = {"story": story, "options": options, "samples": samples}
                cell["tasks"] = len(planted)
                cell |= dict.fromkeys(
                    (*KINDS, "elsewhere", "by_twin", "named", "right", "far", "far_right"), 0
                )
                for number, task in enumerate(planted):
                    kind, prompts = ask(task, samples, place, options, number)
                    elsewhere = bool(prompts) and task.names.isdisjoint(prompts)
                    good = kind in right and not elsewhere
                    cell[kind] += 1
                    cell["elsewhere"] += elsewhere
                    cell["by_twin"] += good and bool(prompts) and prompts[0] not in task.names
                    cell["named"] += len(prompts)
                    cell["right"] += good
                    cell["far"] += task.far
                    cell["far_right"] += good and task.far
                cell["wrong"] = cell["tasks"] - cell["right"] - cell["undetermined"]
                cells.append(cell)
    return {"cells": cells}


def _qualifies(cell: dict[str, Any]) -> bool:
    return bool(cell["samples"] >= ENOUGH and cell["far"] >= FEWEST)


def failures(results: dict[str, Any]) -> list[str]:
    """Name the cells with too many false answers, or too few true ones."""
    found = []
    for cell in results["cells"]:
        number = cell["tasks"]
        name = f"{WHAT[cell['story']]}, {cell['options']} options, {cell['samples']:,} samples"
        if number and cell["wrong"] / number > WRONG + 2.5 * math.sqrt(WRONG * (1 - WRONG) / number):
            found.append(f"{name}: wrong in {cell['wrong']} of {number}.")
        if _qualifies(cell) and cell["far_right"] < FOUND * cell["far"]:
            found.append(f"{name}: right in {cell['far_right']} of {cell['far']} far tasks.")
    return found


def page(results: dict[str, Any]) -> str:
    """Write the section."""
    rows = [
        [
            WHAT[cell["story"]],
            str(cell["options"]),
            f"{cell['samples']:,}",
            " / ".join(str(cell[kind]) for kind in KINDS[:-1]),
            str(cell["elsewhere"]),
            str(cell["by_twin"]),
            f"{cell['named'] / found:.1f}" if (found := cell["one"] + cell["sharpened"]) else "-",
            f"{cell['right']} / {cell['wrong']} / {cell['undetermined']}",
            f"{cell['far_right']} of {cell['far']}" + (" *" if _qualifies(cell) else "")
            if cell["far"]
            else "-",
        ]
        for cell in results["cells"]
    ]
    table = markdown(
        [
            "truth",
            "K",
            "n",
            "one / sharpened / blend / none",
            "wrong prompt",
            "by a twin",
            "prompts",
            "right / wrong / undecided",
            "right of far",
        ],
        rows,
    )
    return f"""\
What `find_seed` says of planted tasks of {PROMPTS} prompts, two paraphrases of each of {SOURCES}
distributions, with n samples a prompt on both sides. Each story is the others' control. The null is a
ladder on which nothing changed: its tuned behaviour is the base's average and no prompt's own (tasks of
which one prompt has over half by the truth are left out); where the prompts are all alike too, none can
be singled out, so every decided answer is wrong. Of a cooled distribution `one` is as right as
`sharpened`: by crystal's definitions it is `one` where a blend that leans on its prompt leaves no more
than a third of the spread. A right kind is wrong where the seed is neither the prompt that is named nor
among those of which is said that the samples do not tell them from it (paraphrases, and what lies within
{ALIKE} bit, are the same prompt). *By a twin*: right answers in which the prompt named, the nearest, is
not the seed but one that is not told apart from it. *Prompts*: how many are named so, the nearest
included, on average; {PROMPTS // SOURCES} are right.

Criteria: wrong (a decided answer that is false) in at most 5 % of the tasks of a cell, plus 2.5 binomial
standard errors; from {ENOUGH} samples on, right in at least 80 % of the tasks that are *far*, where a
cell has {FEWEST} of them (marked *). Far is told from the exact distributions alone: over two margins
from what a false answer says. For a seed, cooled or not, the best blend of the base's other distributions
leaves over {2 * MARGIN} bit; for none, every blend and every power leave over 2/3 of the spread; for a
blend, the nearest prompt lies over {2 * MARGIN} bit away.

{table}"""
