"""Clause N on one task: by the end of SFT, the base has collapsed onto one of its own distributions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from crystal.ops.resampling import stream_key
from crystal.phases.cooling import Cooled, cooled_test, nearest_power
from crystal.phases.crossfit import Fold, Scores, cross_fit, folds, null_scores, split_scores, whole
from crystal.phases.liquid import TaskTest, exact_test
from crystal.phases.rows import (
    NULL_DRAWS,
    Counts,
    Floats,
    Mask,
    Rows,
    pairwise_jsd,
    promptedness,
    rows_of,
    seen_options,
    smooth,
)
from crystal.phases.seed_search import most_left
from crystal.phases.settings import Settings
from crystal.phases.settling import shared_rows
from crystal.states.tables import TaskTable
from crystal.statistics.divergence import js_divergence
from crystal.statistics.multiple import t_test

FEWEST_SPLITS = 200
CHANCE_SPLITS = 60
NO_COLLAPSE = 0.005
"""p-value of a collapse's opposite below which no seed is looked for."""
SPLITS_AT_ONCE = 50
ENOUGH = 20
"""Folds on the other side after which a p-value is above every level (Besag and Clifford's stop)."""
FAR = 8.0
"""Standard deviations of the folds from a margin beyond which no fold would lie on its other side."""
FLOOR_DRAWS = 50
COOLED_SHARE = 0.2
"""Share of the level with which a cooled seed is claimed; the rest is for a seed as it was."""
SURE = (0.015, 0.25)
"""p-values over 400 folds that other folds would not carry across alpha: they are too far on either side."""


@dataclass(frozen=True)
class _Pool:
    """The base's distributions as a dictionary."""

    rows: Rows
    spread: float
    twins: Mask


class NucleationTest:
    """Clause N on one task that is liquid: collapse, and a seed.

    *Collapse*: one-sided t test over the shared prompts of k_x(base)/2 - k_x(tuned) > 0 (k_x as in the
    liquid clause). *Seed*: the dictionary holds the base's distributions under the prompts of all families,
    the target is the tuned behaviour averaged over the family's prompts. Over random halves, the row
    nearest to the target and the blend's weights come from half A; on half B, rho is the blend's JSD less
    what a true seed would leave at these sample sizes, over the mean pairwise JSD of the dictionary, and
    the weight is that of the nearest row with its twins, the largest one where several blends fit alike.
    A power above 1 of the nearest row that leaves less than a third of that mean counts as a seed too: it is
    the same distribution, cooled (:func:`crystal.phases.cooling.cooled_test`, on all samples). Yes: rho < 1/3
    and weight > 1/2 in all but a share p of the halves, at four fifths of the level, or cooled, at the last
    fifth. No: either is reversed, by the same count and against a simulated true seed (Bonferroni, with the
    collapse), and it is not cooled; never below the coverage at which promptability is given as a number.

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
    """

    def __init__(self, table: TaskTable, base: int, tuned: int, family: str, settings: Settings) -> None:
        self.task, self.family, self.settings = table.task, family, settings
        self.key = stream_key("nucleation", table.task, family)
        least = settings.margins.min_valid
        part = table.family(family)
        self.before, self.after = shared_rows(part, base, tuned, least)
        dictionary, _ = rows_of(table, base, least)
        target, _ = rows_of(part, tuned, least)
        self.reason: str | None = None
        if len(self.before.p) < 2:
            self.reason = "fewer than 2 prompts with enough valid samples before and after"
            return
        dictionary, self.target = seen_options(dictionary, target)
        self.pool = _pool(dictionary)
        if not self.pool.spread > settings.margins.jsd:
            self.reason = "the base's distributions cannot be told apart"

    def at(self, seed: int) -> TaskTest:
        """Return the test with the halves that one seed of the generator gives."""
        if self.reason is not None:
            return TaskTest(self.task, self.family, reason=self.reason)
        if self.exact:
            return self._exact
        pool, target, settings = self.pool, self.target, self.settings
        blind = min(pool.rows.coverage, target.coverage) < settings.margins.promptability_coverage
        if self.collapse[1] < NO_COLLAPSE:
            # Whatever its seed would be, nothing nucleated.
            no = 1.0 if blind else 3.0 * self.collapse[1]
            return TaskTest(self.task, self.family, yes=self.collapse[0], no=no)
        rho, weight = np.empty(0), np.empty(0)
        for start in range(0, settings.splits, SPLITS_AT_ONCE):
            count = min(SPLITS_AT_ONCE, settings.splits - start)
            key = stream_key("halves", self.key, start)
            scores = split_scores(pool.rows, target, pool.twins, count, seed, key, settings.threads)
            rho = np.append(rho, (scores.residual - self.floor) / pool.spread)
            weight = np.append(weight, scores.weight)
            found, refuted = self._misses(rho, weight)
            if found >= ENOUGH and (blind or refuted >= ENOUGH or self._against(rho, weight) >= SURE[1]):
                break
            if self._settled(rho, weight):
                rho, weight = np.resize(rho, 2 * settings.splits), np.resize(weight, 2 * settings.splits)
                found, _ = self._misses(rho, weight)
                break
        seeded = min(_share(found, rho.size) / (1 - COOLED_SHARE), self.cooled.yes / COOLED_SHARE, 1.0)
        return TaskTest(
            self.task,
            self.family,
            yes=max(self.collapse[0], seeded),
            no=1.0 if blind else min(1.0, 3.0 * min(self.collapse[1], self._against(rho, weight))),
            value=float(np.median(weight)),
        )

    def _settled(self, rho: Floats, weight: Floats) -> bool:
        """Whether other halves could not but say the same, so that those looked at may stand for all."""
        margin, half = self.settings.margins.seed_residual, self.settings.margins.seed_weight
        if not _far(rho, margin):
            return False
        return self._beyond(rho) if rho[0] > margin else _far(weight, half)

    def _beyond(self, rho: Floats) -> bool:
        """Whether no true seed could leave as much, so that none has to be simulated."""
        rows, target = self.pool.rows, self.target
        size = float(np.max(whole(rows, target).target_size))
        noise = 2.0 / size + (0.0 if rows.exact else 2.0 / float(rows.sizes.min()))
        left = float(np.median(_split_means(rho))) * self.pool.spread + self.floor
        return left > most_left(rows.p.shape[1], noise)

    def _misses(self, rho: Floats, weight: Floats) -> tuple[int, int]:
        """Folds that speak against a seed, and folds that speak for one."""
        margin, half = self.settings.margins.seed_residual, self.settings.margins.seed_weight
        return (
            max(int((rho >= margin).sum()), int((weight <= half).sum())),
            min(int((rho <= margin).sum()), int((weight >= half).sum())),
        )

    def _against(self, rho: Floats, weight: Floats) -> float:
        """p-value that there is no seed: nothing explains the target, or nothing outweighs the rest."""
        margin, half = self.settings.margins.seed_residual, self.settings.margins.seed_weight
        unexplained, outweighed = int((rho <= margin).sum()), int((weight >= half).sum())
        if min(unexplained, outweighed) >= ENOUGH or self.cooled.no >= SURE[1]:
            return max(_share(min(unexplained, outweighed), rho.size), self.cooled.no)
        if unexplained == 0 and self._beyond(rho):
            return max(_share(0, rho.size), _share(0, NULL_DRAWS), self.cooled.no)
        # A true seed loses weight to noise and leaves a residual too: what one shows at these sizes refutes
        # none. The mean of a split's two folds uses every sample once, so it is as noisy as the median over
        # all splits.
        null_rho = _split_means((self.null.residual - self.floor) / self.pool.spread)
        null_weight = _split_means(self.null.weight)
        more = int((null_rho >= np.median(_split_means(rho))).sum())
        less = int((null_weight <= np.median(_split_means(weight))).sum())
        refuted = min(
            max(_share(unexplained, rho.size), _share(more, null_rho.size)),
            max(_share(outweighed, rho.size), _share(less, null_weight.size)),
        )
        return max(refuted, self.cooled.no)

    def again(self, first: TaskTest, seed: int) -> TaskTest:
        """Return the test under another seed; the first one's where its p-values leave no doubt."""
        if all(p is None or p <= SURE[0] or p >= SURE[1] for p in (first.yes, first.no)):
            return first
        return self.at(seed)

    @property
    def exact(self) -> bool:
        """Whether there is no sampling noise."""
        return self.pool.rows.exact and self.target.exact

    @cached_property
    def collapse(self) -> tuple[float, float]:
        """p-values that promptability has fallen below its share of the base's, and that it has not."""
        return _collapse(self.before, self.after, self.settings, self.key)

    @cached_property
    def null(self) -> Scores:
        """The scores of a true seed at these numbers of samples."""
        return self._null(NULL_DRAWS, self.key)

    @cached_property
    def floor(self) -> float:
        """What a true seed leaves unexplained, bits."""
        if self.exact:
            return 0.0
        return float(self._null(FLOOR_DRAWS, stream_key("floor", self.key)).residual.mean())

    @cached_property
    def nearest(self) -> int:
        """The row of the dictionary nearest to the target."""
        return int(whole(self.pool.rows, self.target).distances()[0].argmin())

    @cached_property
    def cooled(self) -> Cooled:
        """Whether the nearest row, cooled, is the target."""
        pool, settings = self.pool, self.settings
        # Without noise there is no need to pool a row with its twins.
        alone = np.arange(len(pool.twins)) == self.nearest
        return cooled_test(
            pool.rows,
            alone if pool.rows.exact else pool.twins[self.nearest],
            self.target,
            settings.margins.seed_residual * pool.spread,
            NULL_DRAWS,
            settings.seed,
            stream_key("cooled", self.key),
            settings.threads,
        )

    def _null(self, draws: int, key: int) -> Scores:
        pool, target, settings = self.pool, self.target, self.settings
        return null_scores(
            pool.rows, target, self.nearest, pool.twins, draws, settings.seed, key, settings.threads
        )

    @cached_property
    def chance(self) -> float:
        """Share of option-permuted targets on which the same rule finds a seed."""
        if self.reason is not None:
            return 0.0
        return _chance(self.pool, self.target, self.floor, self.cooled, self.settings, self.key)

    @cached_property
    def _exact(self) -> TaskTest:
        fold = Fold(self.pool.rows.p[None], self.target.p[None])
        scores = cross_fit(fold, fold, self.pool.twins, self.settings.threads)
        rho, weight = float(scores.residual[0]) / self.pool.spread, float(scores.weight[0])
        margins = self.settings.margins
        seed = rho < margins.seed_residual and weight > margins.seed_weight
        seed = seed or self.cooled.yes == 0.0
        return exact_test(self.task, self.family, seed and self.collapse[0] == 0.0, weight)


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


def _share(hits: int, of: int) -> float:
    """Share of folds, never 0: as many again could not have shown less than one."""
    return (hits + 1) / (of + 1)


def _far(folds_of: Floats, edge: float) -> bool:
    """Whether all folds lie on one side of an edge, and on average many of their deviations from it."""
    one_side = bool((folds_of > edge).all() or (folds_of < edge).all())
    return one_side and abs(float(folds_of.mean()) - edge) > FAR * float(folds_of.std())


def _split_means(folds_of: Floats) -> Floats:
    result: Floats = folds_of.reshape(-1, 2).mean(axis=1)
    return result


def _chance(pool: _Pool, target: Rows, floor: float, power: Cooled, settings: Settings, key: int) -> float:
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
    margin = settings.margins.seed_residual
    found = (rho < margin) & (scores.weight > settings.margins.seed_weight)
    if options < 3:
        return _share(int(found.sum()), found.size)
    q = target.p.mean(axis=0)[places[:, 0]]
    near = np.array([js_divergence(pool.rows.p, one).argmin() for one in q])
    left, slope = nearest_power(smooth(pool.rows.whole)[near], q)
    cooled = power.found(left, slope, margin * pool.spread, COOLED_SHARE * settings.alpha)
    # Either of a split's two folds, or the whole, cooled.
    found |= np.repeat(cooled, found.size // cooled.size)
    return _share(int(found.sum()), found.size)
