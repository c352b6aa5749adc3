"""Every reported p-value where its hypothesis is true: how often it falls below .01, .05 and .1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.evidence.cells import markdown, percent
from benchmarks.evidence.p_value_draws import RANDOMISED, TESTS, WHAT, p_of, randomised_p
from crystal.ops.resampling import permutation_test
from crystal.statistics.multiple import benjamini_hochberg
from crystal.testing.planted import ladder

TITLE = "p-values are valid"

LEVELS = (0.01, 0.05, 0.1)
PLACES = ((2, 50), (5, 20), (10, 100), (30, 30), (100, 100))
"""Options and samples a prompt."""
CHEAP, COSTLY = 1_000, 240
RANDOM_DRAWS = 99
TASKS, LADDERS, NULL_LADDERS = 20, 150, 600
"""Where nothing changes at all, a ladder has a false discovery or none: that rate needs more of them."""
AGAIN = 1_000_000
"""The number of the first draw of a second look."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the tasks on which nothing changes."""


def shares(name: str, options: int, samples: int, draws: int, start: int = 0) -> list[Any]:
    """Return [name, K, n, draws, rejections at each level] of one test where its hypothesis is true."""
    p = [p_of(name, options, samples, number) for number in range(start, start + draws)]
    known = np.array([value for value in p if value is not None])
    return [name, options, samples, len(known), *(int((known <= level).sum()) for level in LEVELS)]


def distance(name: str, options: int, samples: int, draws: int) -> list[Any]:
    """Return [statistic, K, n, draws, Kolmogorov's distance from uniform] of a randomised p."""
    p = np.sort([randomised_p(name, options, samples, number, RANDOM_DRAWS) for number in range(draws)])
    steps = np.arange(draws + 1) / draws
    furthest = float(max((steps[1:] - p).max(), (p - steps[:-1]).max()))
    return [name, options, samples, draws, round(furthest, 5)]


def discoveries(share: float, number: int, samples: int = 20) -> tuple[int, int, int]:
    """Return false discoveries, all discoveries and changed tasks of one ladder of 20 tasks."""
    still = round(share * TASKS)
    random = np.random.default_rng([number, still])
    planted = ladder("picture", tasks=TASKS, prompts=4, options=10, families=("all",), seed=number)
    p = []
    for task, rungs in enumerate(planted.probabilities):
        # From a fifth of the way to the tuned distribution, hardly visible, to all of it.
        way = 0.0 if task < still else random.choice([0.2, 0.5, 1.0])
        truth = np.stack([rungs[0], (1 - way) * rungs[0] + way * rungs[1]], axis=1)
        counts = random.multinomial(samples, truth)
        p.append(permutation_test(counts, "g", draws=1_999, key=number * TASKS + task, threads=1).p)
    found = benjamini_hochberg(p) < 0.05
    changed = np.arange(TASKS) >= still
    return int((found & ~changed).sum()), int(found.sum()), int((found & changed).sum())


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Run every test on data for which its hypothesis is true, and the correction on mixed ladders."""
    rows, randomised, rates = [], [], []
    for done, name in enumerate(TESTS):
        progress(done, len(TESTS))
        for options, samples in PLACES:
            draws = CHEAP if name in RANDOMISED else COSTLY
            rows.append(shares(name, options, samples, max(10, round(draws * scale))))
            if name in RANDOMISED:
                randomised.append(distance(name, options, samples, max(10, round(CHEAP * scale))))
    for share in SHARES:
        ladders = NULL_LADDERS if share == 1 else LADDERS
        found = [discoveries(share, number) for number in range(max(5, round(ladders * scale)))]
        false = [wrong / total if total else 0.0 for wrong, total, _ in found]
        changed = (1 - share) * TASKS
        power = np.mean([right for _, _, right in found]) / changed if changed else math.nan
        error = float(np.std(false) / math.sqrt(len(false)))
        rates.append([share, len(found), round(float(np.mean(false)), 5), round(error, 5), round(power, 5)])
    return {"rejections": rows, "again": second_look(rows), "randomised": randomised, "discoveries": rates}


def second_look(rows: list[list[Any]]) -> list[list[Any]]:
    """Draw the rows that reject too often once more, from new data, twice as often.

    Sixty rows have three levels each: one or two of these miss by chance, and the second look tells.
    """
    missing = [row for row in rows if _too_often(row)]
    return [shares(name, options, samples, 2 * draws, AGAIN) for name, options, samples, draws, *_ in missing]


def _too_often(row: list[Any]) -> list[tuple[float, int]]:
    """Return the levels, with counts, at which a row rejects too often."""
    _, _, _, draws, *counts = row
    # Below four expected, one more or less says nothing.
    return [
        (level, count)
        for level, count in zip(LEVELS, counts, strict=True)
        if count > max(_allowed(level, draws), 3)
    ]


def _allowed(level: float, draws: int) -> float:
    return level * draws + 2.5 * math.sqrt(level * (1 - level) * draws)


def failures(results: dict[str, Any]) -> list[str]:
    """Name the p-values that are too small too often."""
    found = []
    again = {tuple(row[:3]): row for row in results.get("again", [])}
    for row in results["rejections"]:
        last = again.get(tuple(row[:3]), row)
        for level, count in _too_often(last) if _too_often(row) else ():
            found.append(
                f"{WHAT[row[0]]} at K = {row[1]}, n = {row[2]}: p <= {level:g} in "
                f"{percent(count / last[3])} % of {last[3]} draws."
            )
    for name, options, samples, draws, furthest in results["randomised"]:
        if furthest > 1.95 / math.sqrt(draws):  # Kolmogorov's limit at one in a thousand
            found.append(
                f"randomised p of {WHAT[name]} at K = {options}, n = {samples}: {furthest} from uniform."
            )
    for share, _, rate, error, _ in results["discoveries"]:
        if rate > 0.05 + 2.5 * error:
            found.append(f"{percent(share)} % of the tasks unchanged: {percent(rate)} % false discoveries.")
    return found


def page(results: dict[str, Any]) -> str:
    """Write the section."""
    rejected = markdown(
        ["p of", "K", "n", "draws", *(f"p <= {level:g}, %" for level in LEVELS)],
        [
            [
                WHAT[name] + ("" if place < len(results["rejections"]) else ", second look"),
                str(k),
                str(n),
                str(draws),
                *(percent(c / draws) if draws else "-" for c in counts),
            ]
            for place, (name, k, n, draws, *counts) in enumerate(
                [*results["rejections"], *results.get("again", [])]
            )
        ],
    )
    uniform = markdown(
        ["p of", "K", "n", "draws", "distance", "limit"],
        [
            [WHAT[name], str(k), str(n), str(draws), f"{d:.3f}", f"{1.95 / math.sqrt(draws):.3f}"]
            for name, k, n, draws, d in results["randomised"]
        ],
    )
    rates = markdown(
        ["unchanged tasks, %", "ladders", "false discoveries, %", "changes found, %"],
        [
            [percent(s), str(n), percent(rate), "" if math.isnan(power) else percent(power)]
            for s, n, rate, _, power in results["discoveries"]
        ],
    )
    return f"""\
Each test is asked where its hypothesis is true, on 1 to 4 prompts of Dirichlet worlds (the seed on 4, clause
L on 8); a valid p is below a level no more often than the level, here with 2.5 binomial standard errors of
allowance. A row that misses is drawn once more, twice as often; missed is what misses twice. Equal entropies
and promptabilities belong to different distributions: options of one checkpoint, renamed.

{rejected}

**Uniform after randomising ties**: (greater + U (1 + equal)) / ({RANDOM_DRAWS} + 1), Kolmogorov's distance
from uniform, with its limit at one in a thousand.

{uniform}

**False discoveries** by Benjamini and Hochberg over {TASKS} tasks at .05 (omnibus test, K = 10, 4 prompts,
20 samples), tasks on which nothing changes mixed with small to plain changes: mean share of the unchanged
among those called changed.

{rates}"""
