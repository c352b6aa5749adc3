"""Limits over many prompts: for those that were asked, and for prompts of the kind that nobody asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from benchmarks.evidence.cells import Cell, markdown, parse, percent
from benchmarks.evidence.worlds import Floats, published_pairs, same, table, truth, worlds
from crystal.phases.checkpoints import checkpoint_result
from crystal.phases.results import Metric
from crystal.phases.settings import Settings
from crystal.phases.transitions import compare, conclude
from crystal.phases.units import EachPrompt, Statistic
from crystal.statistics.difference import PROMPTS_FOR_JACKKNIFE, mean_jackknife, prompt_jackknife
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import entropy, shannon_entropy
from crystal.statistics.jackknife import js_values
from crystal.testing.planted import ladder

TITLE = "Many prompts, and prompts that nobody asked"

OPTIONS, PROMPTS, SAMPLES = (2, 5, 10, 30, 100), (8, 30), (20, 200)
FEW = (2, 4, 7)
"""Families in which nothing may be said of other prompts."""
POPULATION, PLANTED = 1_000, 200
DRAWS, NULL_DRAWS = 40, 20
INTERVAL_DRAWS = 100
NAMES = {
    "entropy": "H",
    "promptability": "I (promptability)",
    "jsd": "JSD",
    "entropy_change": "change of H",
    "promptability_change": "change of I",
}
MEAN_COVERAGE = 0.93


def population(world: str, options: int, null: bool, random: np.random.Generator) -> Floats:
    """Draw all prompts that could be asked, at two checkpoints: float64 [2, prompts, K]."""
    if world == "published":
        pairs = list(published_pairs(options).values())
        p = np.stack(pairs[random.integers(len(pairs))])
    elif world == "planted":
        seed = int(random.integers(1 << 30))
        kind = ("picture", "escape", "pretraining")[seed % 3]
        rungs = ladder(kind, tasks=1, prompts=PLANTED, options=options, families=("all",), seed=seed)
        p = rungs.probabilities[0, :2]
    else:
        p = truth(world, options, POPULATION, random)
    return same(p, alike=bool(random.integers(2))) if null else p


def truths(p: Floats) -> dict[str, float]:
    """Return what is true of a population: the means over all of its prompts."""
    mean, liquid = shannon_entropy(p).mean(axis=1), js_information(p)
    return {
        "entropy": float(mean[0]),
        "promptability": float(liquid[0]),
        "jsd": float(js_information(np.stack(list(p), axis=1)).mean()),
        "entropy_change": float(mean[1] - mean[0]),
        "promptability_change": float(liquid[1] - liquid[0]),
    }


def asked(counts: np.ndarray[Any, np.dtype[np.int64]], seed: int) -> dict[str, Metric]:
    """Return the report's metrics of counts [2, P, K]."""
    whole = table(counts)
    chosen = Settings(seed=seed, draws=99, interval_draws=INTERVAL_DRAWS, threads=1)
    (first, before), (_, after) = (checkpoint_result(whole, c, chosen, 2 * seed + c) for c in (0, 1))
    known = compare(whole, 0, 1, chosen, None, (before, after))
    step = conclude(known, known.p, chosen.alpha, chosen)[0].metrics
    own = {"entropy", "promptability"}
    return {name: first.metrics[name] if name in own else step[name] for name in NAMES}


_SETS: dict[str, Statistic] = {
    "promptability": lambda sets: js_values(sets[:, :, 0]),
    "promptability_change": lambda sets: js_values(sets[:, :, 1]) - js_values(sets[:, :, 0]),
}
_EACH: dict[str, EachPrompt] = {
    "entropy": lambda pairs: np.asarray(entropy(pairs[:, 0], "jackknife")),
    "jsd": js_values,
    "entropy_change": lambda pairs: np.diff(entropy(pairs, "jackknife"), axis=1)[:, 0],
}


def plain(counts: np.ndarray[Any, np.dtype[np.int64]], name: str) -> tuple[float, float] | None:
    """Return the usual limits: delete one prompt, Student's t, nothing more."""
    pairs = counts.transpose(1, 0, 2)
    if name in _SETS:
        return prompt_jackknife(_SETS[name], pairs)
    return mean_jackknife(_EACH[name](pairs))


Three: TypeAlias = "tuple[Cell, Cell, Cell]"


def cell(options: int, prompts: int, samples: int, draws: int, *, null: bool) -> list[Three]:
    """Ask some prompts of a fresh population each time.

    Per metric: the limits for other prompts, the plain ones, and the limits for the prompts that were asked.
    """
    kind = "null" if null else "effect"
    cells: dict[str, Three] = {
        name: (
            Cell(name, kind, options, samples),
            Cell(name, kind, options, samples),
            Cell(name, kind, options, samples),
        )
        for name in NAMES
    }
    names = worlds(options)
    for number in range(draws):
        random = np.random.default_rng([13, options, prompts, samples, int(null), number])
        whole = population(names[number % len(names)], options, null, random)
        p = whole[:, random.integers(whole.shape[1], size=prompts)]
        counts = random.multinomial(samples, p).astype(np.int64)
        found, known, of_these = asked(counts, number), truths(whole), truths(p)
        for name, (ours, usual, own) in cells.items():
            metric = found[name]
            if (abs(of_these[name]) > 1e-9) != null:
                own.add(metric.low, metric.high, of_these[name], 1.0)
            if (abs(known[name]) > 1e-9) == null:
                continue
            ours.add(metric.prompt_low, metric.prompt_high, known[name], 1.0)
            if metric.prompt_low is None or metric.prompt_high is None:
                continue
            limits = plain(counts, name)
            if limits is not None:
                usual.add(*limits, known[name], 1.0)
                ours.width += metric.prompt_high - metric.prompt_low
                usual.width += limits[1] - limits[0]
    return [three for three in cells.values() if three[0].draws]


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Run all cells, and ask families that are too small."""
    rows = []
    places = [(k, m, n) for k in OPTIONS for m in PROMPTS for n in SAMPLES]
    for done, (options, prompts, samples) in enumerate(places):
        progress(done, len(places))
        for null, most in ((False, DRAWS), (True, NULL_DRAWS)):
            found = cell(options, prompts, samples, max(4, round(most * scale)), null=null)
            rows += [[prompts, *(one.line() for one in three)] for three in found]
    said = [
        [options, prompts, sum(ours.reported for ours, *_ in cell(options, prompts, 20, 4, null=False))]
        for options in (2, 100)
        for prompts in FEW
    ]
    return {"rows": rows, "few": said}


def _pooled(results: dict[str, Any], at: Callable[[int, Cell], bool]) -> Three:
    """Add up the cells that are chosen."""
    total = (Cell("", "", 0, 0), Cell("", "", 0, 0), Cell("", "", 0, 0))
    for prompts, *lines in results["rows"]:
        cells = [parse(line) for line in lines]
        if at(prompts, cells[0]):
            for into, it in zip(total, cells, strict=True):
                for field in ("draws", "given", "one_sided", "covered", "below", "above", "width"):
                    setattr(into, field, getattr(into, field) + getattr(it, field))
    return total


def page(results: dict[str, Any]) -> str:
    """Write coverage by metric, options and prompts, at an effect and where there is none."""
    head = ["metric", "K", *(f"{m} prompts, n = {n}" for m in PROMPTS for n in SAMPLES)]
    parts = [
        "`low` and `high` are limits for the mean over the prompts that were asked (the section above has 1 "
        "to 4 of them); "
        "`prompt_low` and `prompt_high` are limits for *other prompts of the same kind*: what the mean over "
        "all prompts that could have been asked would be. Each has the level 95 % by itself, not all "
        f"together; they are given from {PROMPTS_FOR_JACKKNIFE} prompts in a family. Here a population has "
        f"{POPULATION:,} prompts (Dirichlet), {PLANTED} (planted ladders), or is all published conditions of "
        "a model (K = 2 and 10); a few are drawn from it, and n samples of each at two checkpoints. "
        f"{DRAWS} draws a cell at an effect, {NULL_DRAWS} where nothing changes (every second time with all "
        "prompts alike, which is the null of I); "
        f"{INTERVAL_DRAWS} draws a grid point (400 by default).",
        "Criteria: every cell covers 95 % less 2.5 binomial standard errors; every metric, over all of its "
        f"cells, {100 * MEAN_COVERAGE:.0f} % at an effect and 95 % at none; with fewer prompts no "
        "limits for others. Given are: the prompts asked; other prompts (in brackets the plain jackknife "
        "over prompts with Student's t, on the draws that have both limits).",
    ]
    for kind, words in (("effect", "Coverage at a true effect"), ("null", "Coverage where there is none")):
        rows = []
        for name, label in NAMES.items():
            for options in OPTIONS:
                shown = [_shown(results, kind, name, options, m, n) for m in PROMPTS for n in SAMPLES]
                if any(shown):
                    rows.append([label, str(options), *shown])
        parts += [f"**{words}**, %:", markdown(head, rows)]
    few = sum(reported for *_, reported in results["few"])
    parts += [
        "**Over all cells:**",
        markdown(
            [
                "metric",
                "truth",
                "limits, asked",
                "hold, %",
                "limits, other prompts",
                "hold, %",
                "truth below",
                "truth above",
                "width over the plain one's",
            ],
            [_row(results, name, kind) for name in NAMES for kind in ("effect", "null")],
        ),
        f"Families of {', '.join(map(str, FEW))} prompts (2 and 100 options) were given {few} limits.",
    ]
    return "\n\n".join(parts)


def _shown(results: dict[str, Any], kind: str, name: str, options: int, prompts: int, samples: int) -> str:
    place = (kind, name, options, samples)
    ours, usual, own = _pooled(
        results, lambda m, it: m == prompts and (it.truth, it.metric, it.options, it.samples) == place
    )
    if not ours.draws:
        return ""
    return f"{percent(own.coverage)}; {percent(ours.coverage)} ({percent(usual.coverage)})"


def _row(results: dict[str, Any], name: str, kind: str) -> list[str]:
    ours, usual, own = _pooled(results, lambda _, it: (it.metric, it.truth) == (name, kind))
    width = f"{ours.width / usual.width:.2f}" if usual.width else "-"
    held = f"{percent(ours.coverage)} ({percent(usual.coverage)})"
    sides = [str(ours.below), str(ours.above), width]
    return [NAMES[name], kind, str(own.reported), percent(own.coverage), str(ours.reported), held, *sides]


def failures(results: dict[str, Any]) -> list[str]:
    """Name the cells and the metrics that hold the truth too rarely, and limits from too few prompts."""
    unmet = []
    for prompts, other, _, own in results["rows"]:
        for line, whom in ((own, "the prompts asked"), (other, "other prompts")):
            it = parse(line)
            if it.reported and it.coverage < 0.95 - 2.5 * it.error:
                unmet.append(
                    f"{NAMES[it.metric]} of {whom}, K = {it.options}, {prompts} prompts, n = {it.samples}, "
                    f"{it.truth}: {it.covered} of {it.reported} hold the truth"
                )
    for name in NAMES:
        for kind, least in (("effect", MEAN_COVERAGE), ("null", 0.95)):
            other, _, own = _pooled(
                results, lambda _, it, name=name, kind=kind: (it.metric, it.truth) == (name, kind)
            )
            for total, whom in ((own, "the prompts asked"), (other, "other prompts")):
                if not math.isnan(total.coverage) and total.coverage < least:
                    held = f"{percent(total.coverage)} % over all cells hold the truth"
                    unmet.append(f"{NAMES[name]} of {whom}, {kind}: {held}")
    few = sum(reported for *_, reported in results["few"])
    return [*unmet, *([f"{few} limits from fewer than 8 prompts"] if few else [])]
