"""The number of clusters, chosen with a null: on one-cluster truths, and where clusters are planted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.cells import markdown, percent
from crystal.clustering.distributions import cluster_distributions
from crystal.clustering.partitions import adjusted_rand_index

TITLE = "The number of clusters"

ALPHA, DRAWS, RESTARTS, MOST = 0.05, 99, 3, 8
METHODS = ("kmeans", "average", "complete")
ONE, SEVERAL = 120, 40
Rows = npt.NDArray[Any]


def _geometric(options: int) -> Rows:
    p = 0.6 ** np.arange(options)
    return np.asarray(p / p.sum())


def _corners(clusters: int, options: int, share: float) -> Rows:
    """Distributions that share all but ``share`` of their mass."""
    return share * np.eye(options)[:clusters] + (1 - share) / options


def _logistic(random: np.random.Generator, rows: int, options: int) -> Rows:
    """Rows that differ along one direction more than along the others."""
    z = 0.3 * random.normal(size=(rows, options)) + np.outer(
        random.normal(size=rows), np.linspace(-1, 1, options)
    )
    p = np.exp(z)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _around(random: np.random.Generator, centres: Rows, labels: npt.NDArray[np.intp], size: float) -> Rows:
    return np.stack([random.dirichlet(size * centres[label]) for label in labels])


def _labels(rows: int, clusters: int) -> npt.NDArray[np.intp]:
    return np.arange(rows) % clusters


WORLDS: dict[
    str, tuple[str, bool, int, Callable[[np.random.Generator], tuple[Rows, npt.NDArray[np.intp]]]]
] = {
    "even": (
        "one distribution over 8, even; 60 rows of 50 samples",
        True,
        1,
        lambda r: (r.multinomial(50, np.full(8, 1 / 8), 60), _labels(60, 1)),
    ),
    "steep": (
        "one distribution over 12, geometric; 30 rows of 20 samples",
        True,
        1,
        lambda r: (r.multinomial(20, _geometric(12), 30), _labels(30, 1)),
    ),
    "unequal": (
        "one distribution over 5, geometric; 40 rows of 10 to 400 samples",
        True,
        1,
        lambda r: (r.multinomial(r.integers(10, 401, 40), _geometric(5)), _labels(40, 1)),
    ),
    "dirichlet": (
        "one Dirichlet cloud, 60 x 8, concentration 40",
        False,
        1,
        lambda r: (r.dirichlet(np.full(8, 5.0), 60), _labels(60, 1)),
    ),
    "simplex": (
        "one flat cloud over the whole simplex, 40 x 3",
        False,
        1,
        lambda r: (r.dirichlet(np.ones(3), 40), _labels(40, 1)),
    ),
    "long": (
        "one long cloud, logistic normal, 40 x 10",
        False,
        1,
        lambda r: (_logistic(r, 40, 10), _labels(40, 1)),
    ),
    "four counts": (
        "4 planted, .4 of the mass apart; 40 rows of 50 samples",
        True,
        4,
        lambda r: (r.multinomial(50, _corners(4, 4, 0.4)[_labels(40, 4)]), _labels(40, 4)),
    ),
    "near counts": (
        "3 planted, .15 of the mass apart; 24 rows of 200 samples",
        True,
        3,
        lambda r: (r.multinomial(200, _corners(3, 8, 0.15)[_labels(24, 3)]), _labels(24, 3)),
    ),
    "two clouds": (
        "2 planted Dirichlet clouds, 40 x 6, .5 apart, concentration 40",
        False,
        2,
        lambda r: (_around(r, _corners(2, 6, 0.5), _labels(40, 2), 40.0), _labels(40, 2)),
    ),
    "four clouds": (
        "4 planted Dirichlet clouds, 40 x 4, .6 apart, concentration 60",
        False,
        4,
        lambda r: (_around(r, _corners(4, 4, 0.6), _labels(40, 4), 60.0), _labels(40, 4)),
    ),
}


def line(name: str, method: str, draws: int) -> list[Any]:
    """Return [world, method, truth, draws, k too small, k right, k too large, mean Rand, mean stability]."""
    _, counts, truth, make = WORLDS[name]
    low = right = high = 0
    agreement, stable = [], []
    for number in range(draws):
        rows, labels = make(np.random.default_rng([number, len(name), truth]))
        found = cluster_distributions(
            rows, method, counts=counts, alpha=ALPHA, draws=DRAWS, restarts=RESTARTS, max_k=MOST,
            resamples=5, seed=number, threads=1,
        )  # fmt: skip
        low += found.k < truth
        right += found.k == truth
        high += found.k > truth
        agreement.append(adjusted_rand_index(labels, found.labels))
        if found.stability is not None:
            stable.append(found.stability)
    rest = [round(float(np.mean(values)), 4) if values else None for values in (agreement, stable)]
    return [name, method, truth, draws, low, right, high, *rest]


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Cluster every world by every method."""
    lines = []
    for done, name in enumerate(WORLDS):
        progress(done, len(WORLDS))
        draws = max(2, round((ONE if WORLDS[name][2] == 1 else SEVERAL) * scale))
        lines += [line(name, method, draws) for method in METHODS]
    return {"lines": lines}


def failures(results: dict[str, Any]) -> list[str]:
    """Name the worlds where clusters are made of nothing, or planted ones are missed."""
    found = []
    for name, method, truth, draws, _, right, high, *_ in results["lines"]:
        what = f"{method}, {WORLDS[name][0]}"
        allowed = ALPHA * draws + 2.5 * math.sqrt(ALPHA * (1 - ALPHA) * draws)
        if high > max(allowed, 3):
            found.append(f"{what}: more than {truth} in {percent(high / draws)} % of {draws} draws.")
        if truth > 1 and right < 0.8 * draws:
            found.append(f"{what}: {truth} found in {percent(right / draws)} % of {draws} draws.")
    return found


def page(results: dict[str, Any]) -> str:
    """Write the section."""
    table = markdown(
        ["truth", "method", "draws", "too few, %", "right, %", "too many, %", "Rand index", "stability"],
        [
            [
                WORLDS[name][0],
                method,
                str(draws),
                *(percent(n / draws) for n in (low, right, high)),
                f"{agreement:.2f}",
                "" if stable is None else f"{stable:.2f}",
            ]
            for name, method, _, draws, low, right, high, agreement, stable in results["lines"]
        ],
    )
    return f"""\
`cluster_distributions(k="auto")` at alpha = {ALPHA}, {DRAWS} draws a null, {RESTARTS} starts. Too many
clusters may come out no more often than alpha, with 2.5 binomial standard errors of allowance; planted
clusters have to be counted right in 80 % of the draws. Of counts a cluster is one distribution; of exact rows
it is a cloud without gaps. The Rand index is that with the planted labels, the stability that of clusters of
0.8 of the rows (where there are several).

{table}"""
