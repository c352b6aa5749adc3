"""Accuracy of verdicts by story and size, with the share that is decided; false alarms; false discoveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence.cells import markdown
from crystal.errors import SettingsError
from crystal.ops.resampling import stream_key
from crystal.phases.checkpoints import checkpoint_result
from crystal.phases.permuting import permuted
from crystal.phases.settings import Settings
from crystal.phases.transitions import compare, name
from crystal.states.tables import TaskTable
from crystal.statistics.multiple import benjamini_hochberg, clopper_pearson
from crystal.testing import planted

TITLE = "Verdicts: accuracy, and the share that is decided"
ALPHA = 0.05
INTERVAL_DRAWS = 250
TASKS, LADDERS = 8, 10
MIXED_LADDERS = 200
STILL = {"FROZEN", "UNDETERMINED"}
NOISY = "picture, format noise"
"""The picture, with the validity of `format`: what is on task moves as without."""


class Size(NamedTuple):
    """Options, prompts and samples a prompt."""

    options: int
    prompts: int
    samples: int

    def __str__(self) -> str:
        """Say the size in words."""
        return f"{self.options} options, {self.prompts} prompts, {self.samples:,} samples"


SIZES = (Size(10, 8, 20), Size(10, 8, 100), Size(10, 8, 1_000), Size(4, 8, 200), Size(30, 8, 200))
ENDS = {
    Size(2, 8, 200): 5,
    Size(100, 8, 200): 3,
    Size(10, 2, 100): 5,
    Size(10, 30, 100): 3,
    Size(10, 8, 5): 5,
    Size(10, 8, 5_000): 5,
    Size(2, 2, 5): 5,
    Size(2, 2, 5_000): 5,
    Size(100, 30, 5): 1,
    Size(100, 30, 5_000): 1,
}
"""The ends of what can be planted, each beside middling choices, and corners; with the ladders of a kind."""
ENDS_WORDS = (
    "Sizes are *options x prompts x samples*. Where fewer than 10 samples of a prompt are valid hardly "
    "anything may be decided: 5 samples show whether something is made of nothing. With 2 options (`escape`) "
    "or fewer than 4 (`foreign`) what SFT landed on has no two options to settle among: the steps that would "
    "settle do nothing there, and are FROZEN."
)
MANY_SAMPLES = 1_000
KINDS = (*planted.KINDS, NOISY)


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Name every transition of planted ladders, family by family."""
    rounds = {
        size: max(1, round(most * scale)) for size, most in {**dict.fromkeys(SIZES, LADDERS), **ENDS}.items()
    }
    cells = {(size, kind): _cell(size, kind) for size in rounds for kind in KINDS}
    done, total = 0, sum(rounds.values()) * len(KINDS)
    for number in range(max(rounds.values())):
        for (size, kind), cell in cells.items():
            if number < rounds[size]:
                add(cell, size, kind, number)
                done += 1
                progress(done, total)
    mixed = [_mixed(number) for number in range(max(10, round(MIXED_LADDERS * scale)))]
    return {"cells": list(cells.values()), "mixed": np.sum(mixed, axis=0).tolist(), "ladders": len(mixed)}


def _cell(size: Size, kind: str) -> dict[str, Any]:
    return {"size": size._asdict(), "kind": kind, "given": {}, "reasons": {}}


def add(cell: dict[str, Any], size: Size, kind: str, number: int) -> None:
    """Plant one ladder and count the verdicts of its transitions under what is true of them.

    A story that cannot exist at this size leaves the planter's words in ``cell["refused"]``.
    """
    story = "picture" if kind == NOISY else kind
    families = ("context", "persona") if kind == "one_family" else ("context",)
    try:
        truth = planted.ladder(
            story,
            tasks=TASKS,
            prompts=size.prompts,
            options=size.options,
            families=families,
            seed=2_000 + number,
        )
    except SettingsError as error:
        cell["refused"] = error.message
        return
    if kind == NOISY:
        truth = replace(truth, validity=np.array([0.98, 0.9, 0.8, 0.7]))
    tables = truth.tables(size.samples)
    settings = Settings(interval_draws=INTERVAL_DRAWS, seed=number, threads=1)
    given, reasons = Counter(cell["given"]), Counter(cell["reasons"])
    for family in families:
        moves = kind != "one_family" or family == "context"
        for step, found in enumerate(verdicts(tables, family, settings)):
            planted_verdict = truth.verdicts[step] if moves else "FROZEN"
            given.update(f"{planted_verdict} > {verdict}" for verdict, _ in found)
            reasons.update(str(reason).split(":")[0] for _, reason in found if reason)
    cell["given"], cell["reasons"] = dict(given), dict(reasons)


def verdicts(
    tables: Sequence[TaskTable], family: str, settings: Settings
) -> list[list[tuple[str, str | None]]]:
    """Return, for every step of the ladder, the verdict and reason of every task in one family."""
    rungs = len(tables[0].checkpoints)
    comparisons = []
    for table in tables:
        part = table.family(family)
        known = [
            checkpoint_result(part, i, settings, stream_key("checkpoint", table.task, i))[1]
            for i in range(rungs)
        ]
        comparisons.append(
            [compare(table, i, i + 1, settings, family, (known[i], known[i + 1])) for i in range(rungs - 1)]
        )
    named = []
    for step in range(rungs - 1):
        of_step = [task[step] for task in comparisons]
        q = benjamini_hochberg([comparison.p for comparison in of_step])
        named.append(
            [
                name(comparison, float(value), settings)[:2]
                for comparison, value in zip(of_step, q, strict=True)
            ]
        )
    return named


def _mixed(number: int) -> tuple[float, int, int]:
    """Test ten tasks that changed a little among ten that did not: false share, found, of how many."""
    blocks = []
    for kind in ("picture", "frozen"):
        truth = planted.ladder(kind, tasks=10, prompts=4, families=("context",), seed=3_000 + number)
        p = truth.probabilities
        # A third of the way to what SFT did: large enough to be found in some tasks, not in all.
        pair = np.stack([p[:, 0], (2 * p[:, 0] + p[:, 1]) / 3], axis=1)
        halfway = replace(truth, probabilities=pair, validity=np.ones(2))
        blocks += [np.stack([table.counts[0], table.counts[1]], axis=1) for table in halfway.tables(40)]
    settings = Settings(seed=number, threads=1)
    tests = [permuted(block, "g", settings, stream_key("mixed", i)) for i, block in enumerate(blocks)]
    rejected = benjamini_hochberg([test.p for test in tests]) < ALPHA
    false, found = int(rejected[10:].sum()), int(rejected[:10].sum())
    return false / max(false + found, 1), found, 10


def _sums(cell: dict[str, Any]) -> tuple[int, int, int]:
    """Right, wrong and open verdicts of a cell."""
    right = wrong = undetermined = 0
    for word, count in cell["given"].items():
        true, given = word.split(" > ")
        if given == "UNDETERMINED":
            undetermined += count
        elif given == true:
            right += count
        else:
            wrong += count
    return right, wrong, undetermined


def page(results: dict[str, Any]) -> str:
    """Write accuracy by story and size, and the confusions."""
    mixed, ladders = results["mixed"], results["ladders"]
    parts = [
        f"Ladders of {TASKS} tasks and four checkpoints, judged family by family, q over the tasks. "
        f"Intervals have {INTERVAL_DRAWS} draws a grid point here (400 by default). A cell says how "
        "many transitions were given the planted verdict, how many another one, and how many stayed "
        "UNDETERMINED: *right / wrong / open*. Where only one family moves, both families count, each "
        "by its own truth.",
        _stories(results, [size for size in _sizes(results) if size not in ENDS]),
    ]
    parts += [
        f"### Planted against given: {size}\n\n" + _confusion(results, size)
        for size in _sizes(results)
        if size not in ENDS
    ]
    ends = [size for size in _sizes(results) if size in ENDS]
    if ends:
        parts += [
            "### The ends: 2 and 100 options, 2 and 30 prompts, 5 and 5,000 samples",
            f"{ENDS_WORDS} A dash is a story that cannot exist at that size, and that the planter refuses, "
            "in its own words: " + "; ".join(_refusals(results)) + ".",
            _stories(results, ends, short=True),
            "Planted against given, the story aside:",
            _confusion(results, *ends),
        ]
    parts.append(
        "### Nothing changes\n\nIn stories where nothing changes (`frozen`, `format`) another verdict than "
        "FROZEN or UNDETERMINED was given to " + _alarms(results) + ".\n\n"
        f"### False discoveries\n\nTen tasks that changed and ten that did not, {ladders} ladders, q < "
        f"{ALPHA:g}: on average {mixed[0] / ladders:.3f} of the discoveries are false (at most "
        f"{ALPHA / 2:g} are promised, half of the tasks being null), and {mixed[1] / mixed[2]:.2f} of the "
        "changed tasks are found."
    )
    return "\n\n".join([*parts, *([results["note"]] if "note" in results else [])])


def _sizes(results: dict[str, Any]) -> list[Size]:
    return list(dict.fromkeys(Size(**cell["size"]) for cell in results["cells"]))


def _refusals(results: dict[str, Any]) -> list[str]:
    said = {cell["refused"]: cell["kind"] for cell in results["cells"] if "refused" in cell}
    return [f"`{kind}`, {words}" for words, kind in said.items()] or ["none"]


def _stories(results: dict[str, Any], sizes: Sequence[Size], *, short: bool = False) -> str:
    """Write right / wrong / open, a row a story and a column a size."""
    heads = [f"{size.options} x {size.prompts} x {size.samples:,}" if short else str(size) for size in sizes]
    cells = {(Size(**cell["size"]), cell["kind"]): cell for cell in results["cells"]}
    rows = [
        [kind, *(_shown(cells[size, kind]) if (size, kind) in cells else "" for size in sizes)]
        for kind in KINDS
    ]
    return markdown(["story", *heads], rows)


def _shown(cell: dict[str, Any]) -> str:
    return "-" if "refused" in cell else "{} / {} / {}".format(*_sums(cell))


GIVEN = ("FROZEN", "NUCLEATION", "SETTLING", "RENUCLEATION", "REMELTING", "UNDETERMINED")


def _confusion(results: dict[str, Any], *sizes: Size) -> str:
    """Write one size's counts of planted against given; of several, the size before each row."""
    rows = []
    for size in sizes:
        total: Counter[str] = Counter()
        for cell in results["cells"]:
            if Size(**cell["size"]) == size:
                total.update(cell["given"])
        name = [f"{size.options} x {size.prompts} x {size.samples:,}"] if len(sizes) > 1 else []
        rows += [
            [*name, true, *(str(total[f"{true} > {given}"]) for given in GIVEN)]
            for true in GIVEN
            if any(word.startswith(f"{true} > ") for word in total)
        ]
    return markdown([*(["size"] if len(sizes) > 1 else []), "planted", *GIVEN], rows)


def _false_alarms(results: dict[str, Any]) -> tuple[int, int]:
    alarms = total = 0
    for cell in results["cells"]:
        if cell["kind"] in {"frozen", "format"}:
            total += sum(cell["given"].values())
            alarms += sum(n for word, n in cell["given"].items() if word.split(" > ")[1] not in STILL)
    return alarms, total


def _alarms(results: dict[str, Any]) -> str:
    alarms, total = _false_alarms(results)
    low, high = clopper_pearson(alarms, total, 0.025)
    return f"{alarms} of {total} transitions ({100 * low:.1f} to {100 * high:.1f} %, exact 95 % limits)"


def failures(results: dict[str, Any]) -> list[str]:
    """Hold false alarms to alpha, wrong verdicts to alpha of the decided, and the decided to nine tenths."""
    unmet = []
    alarms, total = _false_alarms(results)
    if alarms > ALPHA * total:
        unmet.append(f"nothing changes: {alarms} of {total} transitions get another verdict, above 5 %")
    if results["mixed"][0] / results["ladders"] > ALPHA / 2:
        unmet.append(
            f"false discoveries: {results['mixed'][0] / results['ladders']:.3f} on average over "
            f"{results['ladders']} ladders, above {ALPHA / 2:g}"
        )
    measured = {Size(**cell["size"]) for cell in results["cells"]}
    unmet += [f"{size}: not measured" for size in (*SIZES, *ENDS) if size not in measured]
    for cell in results["cells"]:
        right, wrong, undetermined = _sums(cell)
        size = Size(**cell["size"])
        if wrong > ALPHA * (right + wrong) and wrong > 1:
            pairs = sorted(
                w for w in cell["given"] if not w.endswith("UNDETERMINED") and len(set(w.split(" > "))) > 1
            )
            unmet.append(
                f"{cell['kind']}, {size}: {wrong} of {right + wrong} decided verdicts are wrong "
                f"({', '.join(pairs)})"
            )
        if size.samples >= MANY_SAMPLES and undetermined > 0.1 * (right + wrong + undetermined):
            unmet.append(
                f"{cell['kind']}, {size}: {undetermined} of {right + wrong + undetermined} stay open, "
                "where 10 % may"
            )
    return unmet
