"""Long ladders: no transition where nothing changes, and planted ones found, placed and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crystal.statistics.arnold import arnold_scan
from crystal.statistics.segmentation import Segmentation, find_transitions
from crystal.testing.planted_long import LongLadder, long_ladder

TITLE = "Long ladders: where they change"

METHODS = ("cuts", "arnold-linear", "arnold-tv", "arnold-js")
LEVELS = (0.01, 0.05, 0.1)
AGAIN = 1_000_000
"""Seed of the first ladder of a second look."""
SMALL = {"tasks": 2, "prompts": 2, "options": 5}
LARGE = {"tasks": 2, "prompts": 4, "options": 6}
# name: (kind, sizes, samples a prompt, repetitions)
FLAT: dict[str, tuple[dict[str, Any], int, int]] = {
    "4 rungs, 2 x 2 prompts, n 20": ({"rungs": 4, **SMALL}, 20, 500),
    "12 rungs, 2 x 2 prompts, n 5": ({"rungs": 12, **SMALL}, 5, 500),
    "30 rungs, 2 x 4 prompts, n 20": ({"rungs": 30, **LARGE}, 20, 400),
    "100 rungs, 2 x 2 prompts, n 10": ({"rungs": 100, **SMALL}, 10, 400),
}
PLANTED: dict[str, tuple[str, dict[str, Any], int, int]] = {
    "one cut, 12 rungs": ("cuts", {"rungs": 12, "size": 0.5, **SMALL}, 20, 150),
    "one weak cut, 12 rungs": ("cuts", {"rungs": 12, "size": 0.3, **SMALL}, 20, 150),
    "first of 4 rungs": ("cuts", {"rungs": 4, "changes": (1,), "size": 0.5, **SMALL}, 50, 150),
    "two cuts, 30 rungs": ("cuts", {"rungs": 30, "changes": (10, 20), "size": 0.5, **SMALL}, 20, 120),
    "two cuts, 30 rungs, n 10": ("cuts", {"rungs": 30, "changes": (10, 20), "size": 0.5, **SMALL}, 10, 120),
    "two weak cuts, 30 rungs": ("cuts", {"rungs": 30, "changes": (10, 20), "size": 0.3, **LARGE}, 20, 60),
    "four cuts, 100 rungs": (
        "cuts",
        {"rungs": 100, "changes": (15, 40, 60, 90), "size": 0.5, **SMALL},
        20,
        50,
    ),
    "drift, 12 rungs": ("drift", {"rungs": 12, **SMALL}, 20, 100),
    "drift, 30 rungs": ("drift", {"rungs": 30, **LARGE}, 20, 60),
    "drift, 30 rungs, even steps": ("drift", {"rungs": 30, "spacing": "even", **LARGE}, 20, 60),
}


def sought(truth: LongLadder, method: str, samples: int, key: int) -> dict[str, Any]:
    """Look for the transitions of a ladder: p, and of each its place, its ends, whether it is gradual."""
    counts = truth.counts(samples)
    if method == "cuts":
        found = find_transitions(counts, key=key, simulations=200, threads=1)
        assert isinstance(found, Segmentation)
        changes = [(c.position, c.low, c.high, c.gradual) for c in found.transitions]
        return {"p": found.p, "changes": changes}
    scan = arnold_scan(counts, method.removeprefix("arnold-"), permutations=99, key=key, threads=1)  # type: ignore[arg-type]
    return {"p": scan.p, "changes": [(peak.position, peak.low, peak.high, None) for peak in scan.peaks]}


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Measure all methods on all ladders."""
    total = len(METHODS) * (len(FLAT) + len(PLANTED))
    done = 0
    flat: dict[str, Any] = {}
    planted: dict[str, Any] = {}
    for method in METHODS:
        flat[method], planted[method] = {}, {}
        for name, (_, _, repetitions) in FLAT.items():
            flat[method][name] = cell = still(method, name, max(10, round(repetitions * scale)))
            # Of so many cells one or two miss by chance: new ladders, twice as many, tell.
            if _too_often(cell):
                cell["again"] = still(method, name, 2 * cell["repetitions"], AGAIN)
            progress(done := done + 1, total)
        for name, (kind, sizes, samples, repetitions) in PLANTED.items():
            found = []
            for r in range(_number(repetitions, method, scale)):
                truth = long_ladder(kind, seed=r, **sizes)  # type: ignore[arg-type]
                found.append((truth.changes, sought(truth, method, samples, r)["changes"]))
            planted[method][name] = {"repetitions": len(found), **_judged(found)}
            progress(done := done + 1, total)
    return {"flat": flat, "planted": planted}


def still(method: str, name: str, repetitions: int, start: int = 0) -> dict[str, Any]:
    """Return how often p is at most each level on ladders that never change."""
    sizes, samples, _ = FLAT[name]
    p = [
        sought(long_ladder("flat", seed=r, **sizes), method, samples, r)["p"]
        for r in range(start, start + repetitions)
    ]
    shares = {str(level): float(np.mean(np.array(p) <= level)) for level in LEVELS}
    return {"repetitions": len(p), "rejected": shares}


def _above(share: float | None, level: float, count: float) -> bool:
    return share is not None and share > level + 2.5 * (level * (1 - level) / max(count, 1)) ** 0.5


def _too_often(cell: dict[str, Any]) -> list[float]:
    """Return the levels at which a cell rejects too often."""
    return [level for level in LEVELS if _above(cell["rejected"][str(level)], level, cell["repetitions"])]


def _number(repetitions: int, method: str, scale: float) -> int:
    """Return how many planted ladders are looked at; half as many by the scans, which are not the default."""
    return max(10, round(repetitions * scale * (1.0 if method == "cuts" else 0.5)))


def _judged(found: list[tuple[tuple[int, ...], list[tuple[int, int, int, bool | None]]]]) -> dict[str, Any]:
    changes = [(one, truth) for truth, many in found for one in many]
    result: dict[str, Any] = {
        "any": _mean([bool(many) for _, many in found]),
        "any_gradual": _mean([any(one[3] for one in many) for _, many in found]),
        "gradual": _mean([bool(one[3]) for one, _ in changes]),
        "width": _mean([one[2] - one[1] + 1 for one, _ in changes]),
        "transitions": _mean([len(many) for _, many in found]),
    }
    if found[0][0]:
        result |= {
            "right_number": _mean([len(many) == len(truth) for truth, many in found]),
            "false": _mean(
                [any(not any(c[1] <= t <= c[2] for t in truth) for c in many) for truth, many in found]
            ),
            "found": _mean([any(c[1] <= t <= c[2] for c in many) for truth, many in found for t in truth]),
            "error": _mean([min(abs(one[0] - t) for t in truth) for one, truth in changes]),
            "covered": _mean([any(one[1] <= t <= one[2] for t in truth) for one, truth in changes]),
        }
    return result


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None


def page(results: dict[str, Any]) -> str:
    """Write what was measured."""
    lines = [
        "Criteria: p is at most its level on flat ladders (within 2.5 binomial standard errors), and so is "
        "the share of ladders with a false transition, one whose interval holds no true one, where all cuts "
        "are strong enough to be seen; intervals hold a true cut in 95 % (same tolerance; for the scans this "
        "is reported only); a drift of the larger size is called gradual in 80 %, a single cut in at most "
        "5 % (same tolerance). Position error is in checkpoints.",
        "",
        "Nothing changes: share of ladders with p at most the level. A cell that misses is looked at "
        "once more, on new ladders, twice as many; missed is what misses twice.",
        "",
        "| ladder | method | " + " | ".join(str(level) for level in LEVELS) + " | ladders |",
        "|---|---|" + "---|" * (len(LEVELS) + 1),
    ]
    for name in FLAT:
        for method in METHODS:
            cell = results["flat"][method][name]
            for word, look in ((method, cell), (f"{method}, second look", cell.get("again"))):
                if look is not None:
                    shares = " | ".join(f"{look['rejected'][str(level)]:.3f}" for level in LEVELS)
                    lines.append(f"| {name} | {word} | {shares} | {look['repetitions']} |")
    lines += [
        "",
        "Something changes. *Found*: share of true cuts inside a reported interval; *covered*: share of "
        "intervals with a true cut; *false*: share of ladders with an interval without one.",
        "",
        "| ladder | method | found | right number | error | covered | width | false | gradual |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in PLANTED:
        for method in METHODS:
            cell = results["planted"][method][name]
            shown = [
                _shown(cell.get(key))
                for key in ("found", "right_number", "error", "covered", "width", "false")
            ]
            gradual = _shown(cell["any_gradual"]) if method == "cuts" else "-"
            lines.append(f"| {name} | {method} | {' | '.join(shown)} | {gradual} |")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def failures(results: dict[str, Any]) -> list[str]:
    """Return the criteria that are not met."""
    found = []
    for method, cells in results["flat"].items():
        for name, cell in cells.items():
            last = cell.get("again", cell)
            found += [
                f"{method}, {name}: p <= {level} in {last['rejected'][str(level)]:.3f} of flat ladders"
                for level in (_too_often(last) if _too_often(cell) else ())
            ]
    for name, cell in results["planted"]["cuts"].items():
        repetitions = cell["repetitions"]
        if name.startswith("drift"):
            if "30" in name and cell["any_gradual"] < 0.8:
                found.append(f"{name}: called gradual in {cell['any_gradual']:.2f}")
            continue
        if "weak" not in name and _above(cell["false"], 0.05, repetitions):
            found.append(f"{name}: a false transition in {cell['false']:.2f} of ladders")
        missed = None if cell["covered"] is None else 1 - cell["covered"]
        if _above(missed, 0.05, repetitions * (cell["transitions"] or 0)):
            found.append(f"{name}: intervals hold a true cut in {cell['covered']:.2f}")
        if ("one" in name or "first" in name) and _above(cell["any_gradual"], 0.05, repetitions):
            found.append(f"{name}: a cut is called gradual in {cell['any_gradual']:.2f}")
    return found
