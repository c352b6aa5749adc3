"""One p-value of each kind, on data for which its hypothesis is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from benchmarks.evidence.interval_draws import settings
from benchmarks.evidence.worlds import Counts, Floats, table, truth
from crystal.ops.resampling import Statistic, permutation_test
from crystal.phases.differences import sampled_differences
from crystal.phases.liquid import liquid_test
from crystal.phases.seed import find_seed
from crystal.phases.sides import side, usable
from crystal.statistics.divergence import js_information
from crystal.statistics.sharpening import sharpened, sharpening

WHAT = {
    "gate": "the omnibus test",
    "validity": "the change of validity",
    "jsd": "the divergence",
    "retention": "the change of retention",
    "promptability": "promptability",
    "entropy_change": "the change of H",
    "promptability_change": "the change of I",
    "liquid": "clause L, nothing promptable",
    "liquid_margin": "clause L, I at its margin",
    "not_liquid": "clause L refuted, I at its margin",
    "seed": "the seed's residual",
    "shape": "a new shape (sharpening)",
}
TESTS = tuple(WHAT)
RANDOMISED: dict[str, Statistic] = {
    "gate": "g",
    "validity": "g",
    "jsd": "js",
    "retention": "retention",
    "promptability": "js",
}
"""Permutation tests, with their statistics."""
LIQUID_PROMPTS = 8
REACHED = 1e-3
"""Bits between the promptability that is wanted and one that counts as that."""


def _generator(name: str, options: int, samples: int, number: int) -> np.random.Generator:
    return np.random.default_rng([TESTS.index(name), options, samples, number])


def _equal(name: str, options: int, samples: int, random: np.random.Generator) -> Counts:
    """Draw counts int64 [B, G, K] of groups that are equal in every block."""
    prompts = int(random.integers(1, 5))
    p = truth("dirichlet", options, prompts, random)[0]
    if name == "validity":
        p = np.repeat(random.choice([0.5, 0.8, 0.95], size=(prompts, 1)), 2, axis=1)
        p[:, 1] = 1 - p[:, 0]
    if name == "promptability":
        return cast("Counts", random.multinomial(samples, p[0], size=(1, prompts + 1)))
    return cast("Counts", random.multinomial(samples, p[:, None], size=(prompts, 2)))


def randomised_p(name: str, options: int, samples: int, number: int, draws: int) -> float:
    """Return a permutation p with its ties randomised, exactly uniform in theory."""
    random = _generator(name, options, samples, number)
    counts = _equal(name, options, samples, random)
    found = permutation_test(
        counts, RANDOMISED[name], draws=draws, exceedances=draws + 1, key=number, threads=1
    )
    return float((found.greater + random.random() * (1 + found.equal)) / (draws + 1))


def p_of(name: str, options: int, samples: int, number: int) -> float | None:
    """Return the p that crystal reports, or None where it reports none."""
    random = _generator(name, options, samples, number)
    if name in RANDOMISED:
        counts = _equal(name, options, samples, random)
        return permutation_test(counts, RANDOMISED[name], draws=1_999, key=number, threads=1).p
    return _OTHERS[name](options, samples, number, random)


def _change(metric: str) -> Callable[..., float | None]:
    def p_value(options: int, samples: int, number: int, random: np.random.Generator) -> float | None:
        prompts = int(random.integers(2, 5))
        before = truth("dirichlet", options, prompts, random)[0]
        p = np.stack([before, before[:, random.permutation(options)]])
        counts = random.multinomial(samples, p).astype(np.int64)
        whole = table(counts)
        sides = [side(whole, c, usable(whole, c)) for c in (0, 1)]
        found = sampled_differences(sides[0], sides[1], whole, settings(number), number)
        return found.estimates[metric].p

    return p_value


def _clause(bits: float | None, yes: bool) -> Callable[..., float | None]:
    """Test clause L on prompts whose promptability is ``bits``, or that are alike."""

    def p_value(options: int, samples: int, number: int, random: np.random.Generator) -> float | None:
        p = None
        while p is None:
            drawn = truth("dirichlet", options, LIQUID_PROMPTS, random)[0]
            alike = np.repeat(drawn[:1], LIQUID_PROMPTS, axis=0)
            p = alike if bits is None else _with_promptability(drawn, bits)
        counts = random.multinomial(samples, np.stack([p, p])).astype(np.int64)
        found = liquid_test(table(counts), 0, "all", settings(number))
        return found.yes if yes else found.no

    return p_value


def _with_promptability(p: Floats, bits: float) -> Floats | None:
    """Move rows apart or together, along M^(1-t) P^t, until I is as wanted.

    None where it never is: of two options one may hold all of the mass in every row, and no power of that
    differs from it.
    """
    log = np.log(p + 1e-6)
    middle = np.log(p.mean(axis=0) + 1e-6)
    low, high = 0.0, 100.0
    for _ in range(50):
        t = 0.5 * (low + high)
        rows = middle + t * (log - middle)
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        low, high = (t, high) if float(js_information(rows)) < bits else (low, t)
    return rows if abs(float(js_information(rows)) - bits) < REACHED else None


def _seed(options: int, samples: int, number: int, random: np.random.Generator) -> float | None:
    base = random.dirichlet(np.ones(options), size=4)
    tuned = np.repeat(base[:1], 4, axis=0)
    rows = [random.multinomial(samples, p).astype(np.int64) for p in (base, tuned)]
    return find_seed(rows[0], rows[1], seed=number, settings=settings(number)).p


def _shape(options: int, samples: int, number: int, random: np.random.Generator) -> float | None:
    p = random.dirichlet(np.ones(options))
    base = random.multinomial(samples, p)
    tuned = random.multinomial(samples, sharpened(p, float(random.choice([1.0, 1.5, 3.0]))))
    return sharpening(base, tuned, seed=number, threads=1).unexplained.p


_OTHERS: dict[str, Callable[..., Any]] = {
    "entropy_change": _change("entropy_change"),
    "promptability_change": _change("promptability_change"),
    "liquid": _clause(None, True),
    "liquid_margin": _clause(0.1, True),
    "not_liquid": _clause(0.1, False),
    "seed": _seed,
    "shape": _shape,
}
