"""Published distributions, sampled: intervals, gate, verdicts, needs and seeds beside what is exact."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from msgspec.structs import replace as replaced

from benchmarks.evidence.cells import markdown, percent
from benchmarks.evidence.interval_draws import repetition
from benchmarks.evidence.worlds import Floats, published_folder, published_pairs, table
from crystal.phases.results import TransitionResult
from crystal.phases.seed import find_seed
from crystal.phases.settings import Margins, Settings
from crystal.phases.transitions import compare, conclude, name

TITLE = "Published distributions, sampled"

LADDERS = {2: "coin", 10: "number from 1 to 10"}
SAMPLES = (10, 30, 100, 1_000, 10_000)
PROMPTS, DRAWS, ASKS = 6, 60, 240
"""Conditions a draw, draws for all that is measured, and draws in which needs_samples is asked for."""
SEED_PROMPTS, SEED_DRAWS = 24, 6
ASK_UP_TO, MOST = 100, 20_000
"""Samples up to which needs_samples is put to the test, and the largest answer that is drawn."""
INTERVALS = {"entropy": "H", "jsd": "JSD", "promptability": "I"}
NOT_AT_HAND = "Not measured: the published distributions were not at hand (`../shared/data/coin-and-number`)."


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Sample base and instruct model of every published pair, and judge as if the truth were unknown."""
    if published_folder() is None:
        return {"published": False, "rows": [], "seeds": []}
    rows, seeds = [], []
    total, done = len(LADDERS) * len(SAMPLES) * 2, 0
    for options in LADDERS:
        for samples in SAMPLES:
            asks = round(ASKS * scale) if samples <= ASK_UP_TO else 0
            rows.append(_row(options, samples, max(4, round(DRAWS * scale)), asks))
            progress(done := done + 1, total)
    for options in LADDERS:
        for samples in SAMPLES:
            seeds += _seeds(options, samples, max(1, round(SEED_DRAWS * scale)))
            progress(done := done + 1, total)
    return {"published": True, "rows": rows, "seeds": seeds}


def _row(options: int, samples: int, draws: int, asks: int) -> dict[str, Any]:
    """Measure all in so many draws, and ask for ``needs_samples`` in further ones."""
    counts: Counter[str] = Counter()
    pairs = list(published_pairs(options).values())
    for number in range(max(draws, asks)):
        random = np.random.default_rng([11, options, samples, number])
        base, tuned = pairs[number % len(pairs)]
        chosen = random.permutation(len(base))[:PROMPTS]
        p = np.stack([base[chosen], tuned[chosen]])
        settings = Settings(seed=number, threads=1, interval_draws=250)
        if number < draws:
            _held(counts, p, samples, number)
            still = _judged(random.multinomial(samples, np.stack([p[0], p[0]])), settings)
            counts["gate"] += still.p is not None and still.p <= settings.alpha
            counts["alarm"] += still.verdict not in {"FROZEN", "UNDETERMINED"}
        found = _judged(random.multinomial(samples, p), settings)
        if number < draws:
            counts[_against(found.verdict, _exact(p, settings).verdict)] += 1
        if found.verdict == "UNDETERMINED" and samples <= ASK_UP_TO:
            _ask(counts, p, found.needs_samples, settings, random)
    return {
        "options": options,
        "samples": samples,
        "draws": draws,
        "asks": max(draws, asks),
        "counts": dict(counts),
    }


def _held(counts: Counter[str], p: Floats, samples: int, number: int) -> None:
    """Count the intervals that hold the truth."""
    for seen in repetition(p, samples, number, oracle=False):
        if seen.metric in INTERVALS and seen.estimate.low is not None:
            high = math.inf if seen.estimate.high is None else seen.estimate.high
            counts[f"{seen.metric} given"] += 1
            counts[f"{seen.metric} held"] += seen.estimate.low <= seen.truth <= high


def _ask(
    counts: Counter[str], p: Floats, needed: int | None, settings: Settings, random: np.random.Generator
) -> None:
    """Draw as many samples as were asked for, and a third of them; count what is decided."""
    clear = _clear(p, settings)
    counts.update({"asked": 1, "finite": needed is not None})
    counts.update({"clear": clear, "clear finite": clear and needed is not None})
    if needed is None or needed > MOST:
        return
    counts["followed"] += 1
    for size, word in ((needed, "decided"), (math.ceil(needed / 3), "third")):
        known = compare(table(random.multinomial(size, p)), 0, 1, settings)
        decided = name(known, known.p, settings)[0] != "UNDETERMINED"
        counts.update({word: decided, f"clear {word}": clear and decided})
    counts["clear followed"] += clear


def _clear(p: Floats, settings: Settings) -> bool:
    """Whether the exact verdict is the same with all margins halved and doubled."""
    return (
        len({_exact(p, replaced(settings, margins=_scaled(settings, f))).verdict for f in (0.5, 1, 2)}) == 1
    )


def _scaled(settings: Settings, factor: float) -> Margins:
    sizes = ("jsd", "promptability_change", "retention", "liquid", "entropy_change", "entropy_change_open")
    return replaced(settings.margins, **{word: factor * getattr(settings.margins, word) for word in sizes})


def _against(found: str, exact: str) -> str:
    if found == "UNDETERMINED":
        return "open"
    return "right" if found == exact else "beyond" if exact == "UNDETERMINED" else "wrong"


def _judged(counts: np.ndarray[Any, np.dtype[np.int64]], settings: Settings) -> TransitionResult:
    known = compare(table(counts.astype(np.int64)), 0, 1, settings)
    return conclude(known, known.p, settings.alpha, settings)[0]


def _exact(p: Floats, settings: Settings) -> TransitionResult:
    whole = replace(table(np.zeros(p.shape, dtype=np.int64)), probabilities=p)
    known = compare(whole, 0, 1, settings)
    return conclude(known, known.p, settings.alpha, settings)[0]


def _seeds(options: int, samples: int, draws: int) -> list[dict[str, Any]]:
    """Look for the seed of every pair's plain behaviour among base prompts, exactly and sampled."""
    rows = []
    for model, (base, tuned) in published_pairs(options).items():
        # The first condition is the plain one; the others are taken evenly.
        chosen = np.linspace(0, len(base) - 1, SEED_PROMPTS).round().astype(int)
        exact = find_seed(base[chosen], tuned[0])
        kinds: Counter[str] = Counter()
        for number in range(draws):
            random = np.random.default_rng([13, options, samples, number])
            found = find_seed(
                random.multinomial(samples, base[chosen]), random.multinomial(samples, tuned[0]), seed=number
            )
            kinds[found.kind] += 1
        rows.append(
            {
                "model": model,
                "options": options,
                "samples": samples,
                "exact": exact.kind,
                "kinds": dict(kinds),
            }
        )
    return rows


def page(results: dict[str, Any]) -> str:
    """Write the section."""
    if not results["published"]:
        return NOT_AT_HAND
    lines = [
        "Five public pairs of base and instruct model, the exact probabilities of a coin flip and of a "
        f"number from 1 to 10 under many conditions. Each draw takes {PROMPTS} conditions of one pair and "
        "samples both models n times each. *Held*: intervals that hold the truth, %. *Gate*: the base "
        "sampled twice, share with omnibus p <= .05; *alarms*: how many are then called a change. *Verdict*: "
        "that of the samples against that of the exact distributions: the same / another / open, and "
        "*beyond*, where the exact ones are UNDETERMINED. *Needs*, in "
        f"{results['rows'][0].get('asks', DRAWS)} draws: of the open ones, answers that are finite; decided "
        "when so many are drawn, and at a third of it. *Clear*: of those whose exact verdict is the same "
        "with all margins halved and doubled, answers that are finite (criterion: 60 %).",
        "",
        markdown(
            [
                "ladder",
                "n",
                "draws",
                "held: H",
                "JSD",
                "I",
                "gate",
                "alarms",
                "verdict: same / another / open / beyond",
                "needs: finite",
                "decided",
                "third",
                "clear: finite",
            ],
            [_line(row) for row in results["rows"]],
        ),
        "",
        _shares(results),
        "",
        f"**Seeds.** The tuned model's plain behaviour, looked for among {SEED_PROMPTS} conditions of its "
        "own base, all sampled n times. *Exact*: what the exact distributions give.",
        "",
        markdown(
            ["pair, ladder", "exact", *(f"n = {n:,}" for n in SAMPLES)],
            [_seed_line(results["seeds"], model, options) for model, options in _searched(results)],
        ),
    ]
    return "\n".join(lines)


def _sum(rows: list[dict[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row["counts"])
    return total


def _shares(results: dict[str, Any]) -> str:
    """Say the three shares of needs_samples in words, by ladder too."""
    parts = []
    for word, rows in (
        ("All", results["rows"]),
        *((LADDERS[k], [row for row in results["rows"] if row["options"] == k]) for k in LADDERS),
    ):
        n = _sum(rows)
        followed, clear = max(n["followed"], 1), max(n["clear followed"], 1)
        parts.append(
            f"{word}: {n['finite']} of {n['asked']} answers are finite, {n['clear finite']} of {n['clear']} "
            f"where the exact verdict is clear; {n['decided'] / followed:.0%} of {n['followed']} are decided "
            f"at the size named (clear: {n['clear decided'] / clear:.0%}), {n['third'] / followed:.0%} at a "
            f"third of it (clear: {n['clear third'] / clear:.0%})."
        )
    return "**needs_samples.** " + " ".join(parts)


def _line(row: dict[str, Any]) -> list[str]:
    counts, draws = Counter(row["counts"]), row["draws"]
    held = [
        percent(counts[f"{metric} held"] / counts[f"{metric} given"]) if counts[f"{metric} given"] else "-"
        for metric in INTERVALS
    ]
    asked = row["samples"] <= ASK_UP_TO
    return [
        LADDERS[row["options"]],
        f"{row['samples']:,}",
        str(draws),
        *held,
        f"{counts['gate'] / draws:.2f}",
        str(counts["alarm"]),
        " / ".join(str(counts[word]) for word in ("right", "wrong", "open", "beyond")),
        f"{counts['finite']} of {counts['asked']}" if asked else "",
        f"{counts['decided']} of {counts['followed']}" if asked else "",
        f"{counts['third']} of {counts['followed']}" if asked else "",
        f"{counts['clear finite']} of {counts['clear']}" if asked else "",
    ]


def _searched(results: dict[str, Any]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((row["model"], row["options"]) for row in results["seeds"]))


def _seed_line(seeds: list[dict[str, Any]], model: str, options: int) -> list[str]:
    own = {row["samples"]: row for row in seeds if (row["model"], row["options"]) == (model, options)}
    kinds = [", ".join(f"{n} {kind}" for kind, n in sorted(own[size]["kinds"].items())) for size in SAMPLES]
    return [f"{model}, {LADDERS[options]}", own[SAMPLES[0]]["exact"], *kinds]


def failures(results: dict[str, Any]) -> list[str]:
    """Hold coverage, the gate, verdicts, needs and seeds to their rates, less 2.5 binomial errors."""
    if not results["published"]:
        return [NOT_AT_HAND]
    found = []
    for row in results["rows"]:
        counts, draws = Counter(row["counts"]), row["draws"]
        where = f"{LADDERS[row['options']]}, n = {row['samples']:,}"
        for metric, word in INTERVALS.items():
            given, held = counts[f"{metric} given"], counts[f"{metric} held"]
            if given and held / given < 0.95 - _error(given):
                found.append(f"{where}: intervals of {word} hold the truth in {held} of {given}.")
        if counts["gate"] / draws > 0.05 + _error(draws):
            found.append(f"{where}: nothing changes, and p <= .05 in {counts['gate']} of {draws}.")
        decided = counts["right"] + counts["wrong"]
        if decided and counts["wrong"] / decided > 0.05 + _error(decided):
            found.append(f"{where}: {counts['wrong']} of {decided} verdicts are not the exact ones.")
    total = _sum(results["rows"])
    if total["followed"] and total["decided"] < 0.8 * total["followed"]:
        found.append(f"needs_samples: {total['decided']} of {total['followed']} decided at it.")
    if total["followed"] and total["third"] > 0.6 * total["followed"]:
        found.append(f"needs_samples: {total['third']} of {total['followed']} decided at a third of it.")
    if total["clear finite"] < 0.6 * total["clear"]:
        found.append(
            f"needs_samples: {total['clear finite']} of {total['clear']} answers to clear cases are finite."
        )
    for row in results["seeds"]:
        false = row["kinds"].get("one", 0) + row["kinds"].get("sharpened", 0)
        if row["exact"] == "none" and false:
            where = f"{row['model']}, {LADDERS[row['options']]}, n = {row['samples']:,}"
            found.append(
                f"{where}: a seed is found in {false} of {sum(row['kinds'].values())}; there is none."
            )
    return found


def _error(draws: int) -> float:
    return 2.5 * math.sqrt(0.05 * 0.95 / draws)
