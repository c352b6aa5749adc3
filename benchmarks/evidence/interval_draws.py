"""One repetition of the interval campaign: a truth, samples of it, and every interval beside what is true."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, log2, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.oracle import central_range, oracle_width
from benchmarks.evidence.worlds import Counts, Floats, table
from crystal.ops.resampling import simulate_counts
from crystal.phases.checkpoints import sampled_estimates
from crystal.phases.differences import sampled_differences
from crystal.phases.settings import Settings
from crystal.phases.sides import side, usable
from crystal.statistics.coverage import coverage
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import shannon_entropy
from crystal.statistics.entropy_interval import entropy_interval
from crystal.statistics.estimate import Estimate
from crystal.statistics.retention import drawn_again, leave_one_out_retention

METRICS = (
    "entropy",
    "entropy_open",
    "jsd",
    "promptability",
    "entropy_change",
    "promptability_change",
    "retention_change",
)
RETENTION_DRAWS = 1_000


@dataclass(frozen=True)
class Seen:
    """One interval and the truth that it should hold."""

    metric: str
    estimate: Estimate
    truth: float
    coverage: float
    """Mean sample coverage of the counts behind it."""
    margin: float
    oracle: float | None = None


def settings(seed: int) -> Settings:
    """The product's settings, on one thread; the omnibus test, of which nothing is counted here, is quick."""
    return Settings(seed=seed, draws=999, threads=1)


def repetition(p: Floats, samples: int, seed: int, *, oracle: bool) -> list[Seen]:
    """Sample a truth float64 [2, P, K] and return every interval that a report would give."""
    random = np.random.default_rng([seed, 7])
    counts: Counts = random.multinomial(samples, p).astype(np.int64)
    chosen, whole = settings(seed), table(counts)
    sides = [side(whole, c, usable(whole, c)) for c in (0, 1)]
    known = [sampled_estimates(rows, whole, chosen, seed * 2 + c) for c, rows in enumerate(sides)]
    found = sampled_differences(sides[0], sides[1], whole, chosen, seed, (known[0], known[1])).estimates
    prompts, options = p.shape[1:]
    entropies = shannon_entropy(p).mean(axis=1)
    own, both = float(coverage(counts[0]).mean()), float(coverage(counts).mean())
    width = _oracles(p, samples, seed) if oracle else {}
    margins, delta_h = chosen.margins, chosen.margins.entropy_change * log2(options)

    def seen(name: str, estimate: Estimate, truth: float, margin: float, cover: float = both) -> Seen:
        return Seen(name, estimate, float(truth), cover, margin, width.get(name))

    result = [
        seen("entropy", known[0]["entropy"], entropies[0], 0.0, own),
        seen("jsd", found["jsd"], float(js_information(np.stack(list(p), axis=1)).mean()), margins.jsd),
        seen("entropy_change", found["entropy_change"], entropies[1] - entropies[0], delta_h),
    ]
    open_counts = counts[0][:, counts[0].sum(axis=0) > 0]
    unlisted = entropy_interval(open_counts, False, draws=chosen.interval_draws, seed=seed, threads=1)
    result.append(seen("entropy_open", unlisted, entropies[0], 0.0, own))
    if prompts > 1:
        liquid = js_information(p)
        change = found["promptability_change"]
        result += [
            seen("promptability", known[0]["promptability"], liquid[0], margins.liquid, own),
            seen("promptability_change", change, liquid[1] - liquid[0], margins.promptability_change),
        ]
    kept, spread = expected_retention(p, samples, seed, oracle=oracle)
    if oracle:
        width["retention_change"] = spread
    result.append(seen("retention_change", found["retention_change"], kept, margins.retention))
    return result


def expected_retention(p: Floats, samples: int, seed: int, *, oracle: bool = True) -> tuple[float, float]:
    """Return the expected change over sets made of so many samples, and the range that its oracle has.

    That is the central 95 % range of the estimate under the truth or, where it is wider, that of data drawn
    twice over (from the truth, then from what was drawn), over root 2: what the samples leave open. Where the
    set is sure under the truth and not at truths that no samples tell from it, the estimate is the same in
    all data sets, and an interval of no width would not hold those truths.
    """
    prompts, options = p.shape[1:]
    sizes = np.full(2 * prompts, samples)
    drawn = simulate_counts(p.reshape(-1, options), sizes, draws=RETENTION_DRAWS, seed=seed, threads=1)
    values = _changes(drawn)
    exact = 0.0 if np.array_equal(p[0], p[1]) else float(values.mean())
    if not oracle:
        return exact, 0.0
    again = _changes(drawn_again(drawn, sizes, seed, 0, 1))
    return exact, max(central_range(values), central_range(again) / sqrt(2))


def _changes(drawn: Counts) -> Floats:
    before, after = np.split(drawn, 2, axis=1)
    kept, own = leave_one_out_retention(before, after)
    result: Floats = (kept - own).mean(axis=1)
    return result


def _oracles(p: Floats, samples: int, seed: int) -> dict[str, float]:
    prompts = p.shape[1]
    each: npt.NDArray[np.int64] = np.full((prompts, 1), samples)
    blocks = np.stack(list(p), axis=1)
    width = {"jsd": oracle_width(blocks, np.full((prompts, 2), samples), "js", seed)}
    width["entropy"], width["entropy_change"] = _sides(p[:, :, None], each, "entropy", seed)
    width["entropy_open"] = width["entropy"]
    if prompts > 1:
        width["promptability"], width["promptability_change"] = _sides(p[:, None], each.T, "js", seed)
    return width


def _sides(p: Floats, sizes: Counts, statistic: Literal["entropy", "js"], seed: int) -> tuple[float, float]:
    """Return the oracle's width for the first side, and for the difference of two independent ones."""
    first, second = (oracle_width(rows, sizes, statistic, seed + 2 * i) for i, rows in enumerate(p))
    return first, hypot(first, second)
