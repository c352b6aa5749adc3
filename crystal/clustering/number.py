"""How many clusters there are, each step tested against a null; and whether clusters come again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from crystal.clustering.apart import beyond_null
from crystal.clustering.partitions import Labels, Partition, Way, adjusted_rand_index, generator, shares
from crystal.clustering.results import Floats, NullTest

KEPT = 0.8
"""Share of the rows in a resample."""
GRID = 2.0**40
"""Statistics are compared as whole numbers on this grid, so that ties are exact; smaller objectives are 0."""

TOGETHER = 2**19
"""Numbers in the tables that are drawn before they are clustered."""

Draw = Callable[[np.random.Generator], Floats]


def choose(
    rows: Floats,
    w: Floats,
    sizes: npt.NDArray[np.int64] | None,
    way: Way,
    *,
    alpha: float,
    draws: int,
    most: int,
    seed: int,
) -> tuple[Partition, tuple[NullTest, ...]]:
    """Return the partition with the fewest clusters whose null is kept, and the tests up to it.

    ``sizes`` are the samples behind the rows, None where the rows are exact. Where a null cannot reach the
    data, nothing is drawn from it (:func:`crystal.clustering.apart.beyond_null`).
    """
    most, together = min(most, len(rows)), max(1, TOGETHER // rows.size)
    ks = range(1, min(4 * most, len(rows)) + 1)
    found = way.partitions(rows, w, ks, generator(seed, "data"))
    tests: list[NullTest] = []
    for k in range(1, most):
        here = found[k - 1]
        drop = here.objective - found[min(k, len(rows) - 1)].objective
        linked = way.method != "kmeans" and way.geometry == "js"
        if sizes is not None and linked and draws + 1 >= 1 / alpha:
            bound = beyond_null(rows, sizes, here.labels, drop)
            if bound is not None:
                tests.append(NullTest(k, drop, bound, 1.0 / (draws + 1), draws))
                continue
        draw = (
            _cloud(rows, w, here.labels)
            if sizes is None
            else _samples(sizes, (shares(here.labels, w) @ rows)[here.labels])
        )
        steps = [k, *sorted({min(step, len(rows)) for step in (k + 1, 2 * k, 4 * k)})]
        observed = [found[step - 1].objective for step in steps]
        tests.append(
            _test(steps, observed, draw, w, way, draws, together=together, exact=sizes is None, seed=seed)
        )
        if tests[-1].p > alpha:
            return here, tuple(tests)
    return found[most - 1], tuple(tests)


def _test(
    steps: list[int],
    observed: list[float],
    draw: Draw,
    w: Floats,
    way: Way,
    draws: int,
    *,
    together: int,
    exact: bool,
    seed: int,
) -> NullTest:
    """Test steps[0] clusters: the largest fall of the objective to one of the others, in standard deviations.

    One more cluster shows little where each of two holds two; to twice and four times as many shows that.

    The data stand among the draws in the means and the deviations, so that under the null they are one of
    draws + 1 equals.
    """
    objectives = np.empty((draws + 1, len(steps)))
    objectives[0] = observed
    random = generator(seed, "null", steps[0])
    for begin in range(0, draws, together):
        made = [draw(random) for _ in range(min(together, draws - begin))]
        objectives[begin + 1 : begin + 1 + len(made)] = way.objectives(made, w, steps, random)
    # Of exact rows the gap statistic, of counts the likelihood ratio.
    heights = np.log(np.maximum(objectives, 1 / GRID)) if exact else objectives
    falls = heights[:, :1] - heights[:, 1:]
    spread = falls.std(axis=0)
    away = np.divide(falls - falls.mean(axis=0), spread, out=np.zeros_like(falls), where=spread > 1 / GRID)
    largest = np.round(away.max(axis=1) * GRID)
    drops = objectives[:, 0] - objectives[:, 1]
    return NullTest(
        k=steps[0],
        drop=float(drops[0]),
        chance=float(drops[1:].mean()),
        p=float((largest >= largest[0]).mean()),
        draws=draws,
    )


def _samples(sizes: npt.NDArray[np.int64], p: Floats) -> Draw:
    """Every row is a sample of its own size from the pooled distribution of its cluster."""
    p = np.minimum(p, 1.0)  # the mean of rows that are all of one option may round to more

    def draw(random: np.random.Generator) -> Floats:
        result: Floats = random.multinomial(sizes, p) / sizes[:, None]
        return result

    return draw


def _cloud(rows: Floats, w: Floats, labels: Labels) -> Draw:
    """Every cluster is a cloud without gaps: uniform along each principal axis of its square roots.

    Centre and covariance are the cluster's own. Of clouds of one spread without gaps the uniform is the one
    that most looks like several (Tibshirani, Walther and Hastie 2001), so a rounder one is not cut either.
    """
    roots = np.sqrt(rows)
    parts = []
    for c in range(int(labels.max()) + 1):
        member = np.flatnonzero(labels == c)
        mass = w[member].sum()
        share = w[member] / mass if mass > 0 else np.full(len(member), 1 / len(member))
        centre = share @ roots[member]
        spare = 1.0 - float(share @ share)  # (m - 1) / m for equal weights
        axes = np.zeros((0, rows.shape[1]))
        if spare > 1e-12:
            residuals = np.sqrt(share / spare)[:, None] * (roots[member] - centre)
            _, lengths, directions = np.linalg.svd(residuals, full_matrices=False)
            axes = lengths[:, None] * directions
        parts.append((member, centre, np.sqrt(3.0) * axes))

    def draw(random: np.random.Generator) -> Floats:
        made = np.empty_like(roots)
        for member, centre, axes in parts:
            made[member] = centre + random.uniform(-1.0, 1.0, (len(member), len(axes))) @ axes
        made **= 2  # a root below 0 is reflected
        made /= made.sum(axis=1, keepdims=True)
        return made

    return draw


def stability(rows: Floats, w: Floats, labels: Labels, way: Way, resamples: int, seed: int) -> float | None:
    """Return how well clusters of 0.8 of the rows agree with the labels: mean adjusted Rand index.

    None for one cluster, and where too few rows are left for as many clusters.
    """
    k, kept = int(labels.max()) + 1, int(np.ceil(KEPT * len(rows)))
    if k == 1 or kept < k or resamples == 0:
        return None
    agreement = []
    distances = None if way.method == "kmeans" else way.distances(rows)
    for number in range(resamples):
        random = generator(seed, "resample", number)
        some = np.sort(random.permutation(len(rows))[:kept])
        if distances is not None:
            again = way.tree_of(distances[np.ix_(some, some)]).cut(k)
        else:
            mass = w[some] if w[some].sum() > 0 else np.ones(kept)
            again = way.partitions(rows[some], mass, (k,), random)[0].labels
        agreement.append(adjusted_rand_index(labels[some], again))
    return float(np.mean(agreement))
