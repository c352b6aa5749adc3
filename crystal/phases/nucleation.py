"""Clause N on one task: by the end of SFT, the base has collapsed onto one of its own distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.crossfit import Fold, cross_fit, folds, null_scores, split_scores, whole
from crystal.phases.liquid import TaskTest, exact_test
from crystal.phases.rows import Counts, Floats, Mask, Rows, pairwise_jsd, promptedness, rows_of, seen_options
from crystal.phases.settings import Settings
from crystal.phases.settling import shared_rows
from crystal.states.tables import TaskTable
from crystal.statistics.multiple import t_test

FEWEST_SPLITS = 200
CHANCE_SPLITS = 60


@dataclass(frozen=True)
class NucleationTest:
    """Clause N on one task and family, once for every seed of the generator."""

    by_seed: tuple[TaskTest, ...]
    chance: float
    """Share of option-permuted targets on which the same rule finds a seed."""


@dataclass(frozen=True)
class _Pool:
    """The base's distributions as a dictionary."""

    rows: Rows
    spread: float
    twins: Mask


def nucleation_test(
    table: TaskTable, base: int, tuned: int, family: str, settings: Settings, seeds: tuple[int, ...]
) -> NucleationTest:
    """Test collapse and seed on one task that is liquid.

    *Collapse*: one-sided t test over the shared prompts of k_x(base)/2 - k_x(tuned) > 0 (k_x as in the
    liquid clause). *Seed*: the dictionary holds the base's distributions under the prompts of all families,
    the target is the tuned behaviour averaged over the family's prompts. Over random halves, the row
    nearest to the target and the blend's weights come from half A; on half B, rho is the blend's JSD less
    what a true seed would leave at these sample sizes, over the mean pairwise JSD of the dictionary, and
    the weight is that of the nearest row with its twins. Yes: rho < 1/3 and weight > 1/2, each in all but a
    share p of the halves. No: either is reversed, by the same count and against a simulated true seed
    (Bonferroni, with the collapse); never below the coverage at which promptability is given as a number.

    Parameters
    ----------
    table : TaskTable
        The task, with all prompts.
    base, tuned : int
        Indices of the last base rung and of the end of SFT.
    family : str
        The prompts whose behaviour is tested.
    settings : Settings
        ``splits`` and the margins ``collapse_ratio``, ``seed_weight``, ``seed_residual``, ``min_valid``.
    seeds : tuple of int
        Seeds of the generator; one TaskTest each.
    """

    def none(reason: str) -> NucleationTest:
        return NucleationTest(tuple(TaskTest(table.task, family, reason=reason) for _ in seeds), 0.0)

    least = settings.margins.min_valid
    part = table.family(family)
    before, after = shared_rows(part, base, tuned, least)
    dictionary, _ = rows_of(table, base, least)
    target, _ = rows_of(part, tuned, least)
    if len(before.p) < 2:
        return none("fewer than 2 prompts with enough valid samples before and after")
    dictionary, target = seen_options(dictionary, target)
    pool = _pool(dictionary)
    if not pool.spread > settings.margins.jsd:
        return none("the base's distributions cannot be told apart")
    key = stream_key("nucleation", table.task, family)
    collapse = _collapse(before, after, settings, key)
    if dictionary.exact and target.exact:
        return _exact(table.task, family, pool, target, collapse, settings, len(seeds))
    null = null_scores(
        pool.rows, target, _nearest(pool.rows, target), pool.twins, settings.seed, key, settings.threads
    )
    tests, chance = [], 0.0
    blind = min(dictionary.coverage, target.coverage) < settings.margins.promptability_coverage
    for number, seed in enumerate(seeds):
        scores = split_scores(
            pool.rows,
            target,
            pool.twins,
            settings.splits,
            seed,
            stream_key("halves", key),
            settings.threads,
        )
        floor = float(null.residual.mean())
        rho = (scores.residual - floor) / pool.spread
        null_rho = (null.residual - floor) / pool.spread
        yes, no = _seed_p(rho, scores.weight, null_rho, null.weight, settings)
        tests.append(
            TaskTest(
                table.task,
                family,
                yes=max(collapse[0], yes),
                no=1.0 if blind else min(1.0, 3.0 * min(collapse[1], *no)),
                value=float(np.median(scores.weight)),
            )
        )
        if number == 0:
            chance = _chance(pool, target, floor, settings, key)
    return NucleationTest(tuple(tests), chance)


def _pool(rows: Rows) -> _Pool:
    distances = pairwise_jsd(rows)
    pairs = len(rows.p) * (len(rows.p) - 1)
    spread = float(distances.sum() / pairs) if pairs else 0.0
    twins: Mask = distances <= spread / 4
    np.fill_diagonal(twins, True)
    return _Pool(rows, spread, twins)


def _collapse(before: Rows, after: Rows, settings: Settings, key: int) -> tuple[float, float]:
    """p-values that promptability has fallen below its share of the base's, and that it has not."""
    share = settings.margins.collapse_ratio
    then = promptedness(before, settings.seed, key, settings.threads)
    now = promptedness(after, settings.seed, stream_key("after", key), settings.threads)
    fall = share * then - now
    if before.exact and after.exact:
        return (0.0, 1.0) if fall.mean() > 0 else (1.0, 0.0)
    yes, no = t_test(fall).p, t_test(-fall).p
    return 1.0 if yes is None else yes, 1.0 if no is None else no


def _nearest(base: Rows, target: Rows) -> int:
    return int(whole(base, target).distances()[0].argmin())


def _share(hits: Mask) -> float:
    """Share of folds, never 0: as many again could not have shown less than one."""
    return float((hits.sum() + 1) / (hits.size + 1))


def _split_means(folds_of: Floats) -> Floats:
    result: Floats = folds_of.reshape(-1, 2).mean(axis=1)
    return result


def _seed_p(
    rho: Floats, weight: Floats, null_rho: Floats, null_weight: Floats, settings: Settings
) -> tuple[float, tuple[float, float]]:
    margin, half = settings.margins.seed_residual, settings.margins.seed_weight
    yes = max(_share(rho >= margin), _share(weight <= half))
    # A true seed loses weight to noise and leaves a residual too: what one shows at these sizes refutes none.
    # The mean of a split's two folds uses every sample once, so it is as noisy as the median over all splits.
    unexplained = max(_share(rho <= margin), _share(_split_means(null_rho) >= np.median(_split_means(rho))))
    least = np.median(_split_means(weight))
    outweighed = max(_share(weight >= half), _share(_split_means(null_weight) <= least))
    return yes, (unexplained, outweighed)


def _chance(pool: _Pool, target: Rows, floor: float, settings: Settings, key: int) -> float:
    """How often the rule finds a seed for a target whose options are shuffled."""
    random = np.random.default_rng([settings.seed, key])
    options = target.p.shape[1]
    places = np.array([random.permutation(options) for _ in range(CHANCE_SPLITS)])[:, None, :]
    first, second = folds(
        pool.rows, target, CHANCE_SPLITS, settings.seed, stream_key("chance", key), settings.threads
    )

    def shuffled(fold: Fold) -> Fold:
        return Fold(fold.base, cast("Counts | Floats", np.take_along_axis(fold.tuned, places, axis=2)))

    scores = cross_fit(shuffled(first), shuffled(second), pool.twins, settings.threads)
    rho = (scores.residual - floor) / pool.spread
    found = (rho < settings.margins.seed_residual) & (scores.weight > settings.margins.seed_weight)
    return _share(found)


def _exact(
    task: str,
    family: str,
    pool: _Pool,
    target: Rows,
    collapse: tuple[float, float],
    settings: Settings,
    times: int,
) -> NucleationTest:
    fold = Fold(pool.rows.p[None], target.p[None])
    scores = cross_fit(fold, fold, pool.twins, settings.threads)
    rho, weight = float(scores.residual[0]) / pool.spread, float(scores.weight[0])
    seed = rho < settings.margins.seed_residual and weight > settings.margins.seed_weight
    test = exact_test(task, family, seed and collapse[0] == 0.0, weight)
    chance = _chance(pool, target, 0.0, settings, stream_key("nucleation", task, family))
    return NucleationTest((test,) * times, chance)
