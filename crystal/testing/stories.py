"""The stories of planted ladders: one task's exact distributions, drawn until they tell the story clearly.

A story is told by random distributions, and chance may spoil it: a base whose prompts happen to agree is no
liquid, a seed with one option has nothing to settle among. So a task is drawn anew until plain quantities
(promptability, divergences, the mass that stays) lie well beyond the default margins; none of the rules under
test is asked. Sizes at which that cannot happen are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.blend import fit_blend
from crystal.statistics.divergence import js_divergence, js_information

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TRIES = 2_000
LIQUID, COLLAPSED, MOVED, STAYED = 0.15, 0.25, 0.02, 0.05
"""Promptability of a base in bits and what a collapse leaves of it; JSD and mass of a settling step: each
well beyond the margins that verdicts have by default."""
ALIKE = 0.01
"""JSD in bits below which two prompts say the same."""


class Shape(NamedTuple):
    """The size of one task."""

    families: int
    prompts: int
    """In each family."""
    options: int
    sources: int
    """Distinct distributions that a base family knows."""


class _Task(NamedTuple):
    rungs: Floats
    """float64 [4, families * prompts, K]."""
    seed: int
    target: Floats
    """float64 [K]: what the ladder collapses onto, where it does."""


def can_settle(kind: str, options: int) -> bool:
    """Whether a story has two options to move probability between, and what else it needs."""
    return options >= {"foreign": 4, "escape": 3}.get(kind, 2)


def plant(kind: str, shape: Shape, random: np.random.Generator) -> tuple[Floats, int]:
    """Draw one task that tells its story: float64 [4, families * prompts, K], and its seed's prompt.

    Raises
    ------
    SettingsError
        If no draw does.
    """
    for _ in range(TRIES):
        task = _draw(kind, shape, random)
        told = _CHECKS.get(kind)
        if _is_liquid(task, shape) and (told is None or told(task, shape)):
            return task.rungs, task.seed
    raise SettingsError(
        f"there is no room for the story {kind!r} at this size",
        where="ladder",
        got=f"{shape.options} options, {shape.prompts} prompts, {shape.sources} sources",
        fix="ask for more options, or fewer sources",
    )


def _draw(kind: str, shape: Shape, random: np.random.Generator) -> _Task:
    families, prompts, options, sources = shape
    # An average is unlike what it averages only where sources are peaked, and none of the peaks is favoured.
    peaked = min(0.6, 0.06 * options, 0.36 * options / sources) if kind == "blend" else 0.6
    pool = random.dirichlet(np.full(options, peaked), size=(families, sources)) + 1e-12
    if kind == "blend":
        _spread_peaks(pool.reshape(-1, options), random.permutation(options))
    strange = random.permutation(options)[: max(1 if options < 4 else 2, options // 3)]
    if kind == "foreign":
        pool[..., strange] *= 0.03 if options > 2 else 0.15
    pool = _normalise(pool)
    base = _jitter(pool[:, np.arange(prompts) % sources].reshape(-1, options), 300.0, random)
    chosen = int(random.integers(prompts))
    target = base[chosen]
    if kind == "foreign":
        target = np.full(options, 0.02 / options)
        target[strange] += 0.98 * random.dirichlet(np.full(len(strange), 20.0))
    elif kind == "blend":
        target = base.mean(axis=0)
    elif kind == "sharpened":
        target = _normalise(base[chosen] ** 2.5)

    collapsed = 0.97 * target + 0.03 * base
    inside = _main_options(collapsed.mean(axis=0), 0.8)
    settled = _settle(collapsed, inside, random)
    again = _settle(settled, inside, random)
    if not can_settle(kind, options):
        settled = again = collapsed
    drift = 300.0 * max(10, options)
    stories: dict[str, tuple[Floats, ...]] = {
        "per_context": (base, base, collapsed),
        "escape": (collapsed, settled, _escape(settled)),
        "pretraining": tuple(_jitter(base, drift, random) for _ in range(3)),
        "frozen": (base, base, base),
        "format": (base, base, base),
        "small": tuple((1 - w) * base + w * target for w in (0.01, 0.02, 0.03)),
    }
    rungs = np.stack([base, *stories.get(kind, (collapsed, settled, again))])
    if kind == "one_family":
        rungs[:, prompts:] = base[prompts:]
    return _Task(rungs, chosen, target)


def _spread_peaks(rows: Floats, order: npt.NDArray[np.intp]) -> None:
    """Give every option its turn as the likeliest one, in place."""
    for i, row in enumerate(rows):
        turn, peak = order[i % len(order)], row.argmax()
        row[[turn, peak]] = row[[peak, turn]]


def _is_liquid(task: _Task, shape: Shape) -> bool:
    return bool((_promptability(task.rungs[:1], shape) > LIQUID).all())


def _promptability(rungs: Floats, shape: Shape) -> Floats:
    """Promptability of every rung and family [C, families], bits."""
    parts = rungs.reshape(-1, shape.prompts, rungs.shape[-1])
    result: Floats = np.asarray(js_information(parts)).reshape(len(rungs), shape.families)
    return result


def _collapses(task: _Task, shape: Shape, at: int = 1) -> bool:
    liquid = _promptability(task.rungs, shape)[:, : 1 if _one_family(task, shape) else None]
    return bool((liquid[at:] < COLLAPSED * liquid[0]).all())


def _one_family(task: _Task, shape: Shape) -> bool:
    own = slice(shape.prompts, None)
    return shape.families > 1 and bool(np.array_equal(task.rungs[0, own], task.rungs[1, own]))


def _settles(task: _Task, shape: Shape, steps: tuple[int, ...] = (1, 2)) -> bool:
    """Whether each step moves probability, keeps it where it was, and adds little entropy."""
    first = slice(shape.prompts if _one_family(task, shape) else None)
    for step in steps:
        before, after = task.rungs[step, first], task.rungs[step + 1, first]
        room = 0.05 * np.log2(shape.options)
        if (
            float(js_divergence(before, after).mean()) < MOVED
            or _kept(before, after) < -STAYED
            or _entropy(after) - _entropy(before) > room
        ):
            return False
    return True


def _kept(before: Floats, after: Floats) -> float:
    """Change of the mass on the options that held 0.9 before, mean over the prompts."""
    inside = np.array([_main_options(row, 0.9) for row in before])
    return float(((after - before) * inside).sum(axis=1).mean())


def _nucleates(task: _Task, shape: Shape) -> bool:
    return _collapses(task, shape) and _settles(task, shape)


def _is_foreign(task: _Task, shape: Shape) -> bool:
    """Whether no blend of the base comes within two thirds of the base's own spread."""
    base = task.rungs[0]
    blend = fit_blend(task.target, 0.999999 * base + 1e-6 / shape.options, tolerance=1e-6).weights[0] @ base
    apart = float(js_divergence(blend, task.target)) > _spread(base) * 2 / 3
    settles = not can_settle("foreign", shape.options) or _settles(task, shape)
    return apart and settles and _collapses(task, shape)


def _is_blend(task: _Task, shape: Shape) -> bool:
    """Whether no base distribution is near the average, nor can have most of the weight in it.

    A part w of a row x in a blend q leaves q - w x >= 0, so w is at most the least of q / x.
    """
    base = task.rungs[0]
    weight = (task.target / base).min(axis=1).max()
    if weight > 0.4 or not _nucleates(task, shape):
        return False
    return bool(np.asarray(js_divergence(base, task.target)).min() > _spread(base) / 4)


def _escapes(task: _Task, shape: Shape) -> bool:
    left = _kept(task.rungs[2], task.rungs[3]) < -0.3
    cool = _entropy(task.rungs[3]) - _entropy(task.rungs[2]) < 0.05 * np.log2(shape.options)
    settles = not can_settle("escape", shape.options) or _settles(task, shape, (1,))
    return left and cool and _collapses(task, shape) and settles


_CHECKS: dict[str, Callable[[_Task, Shape], bool]] = {
    "picture": _nucleates,
    "no_sft": _nucleates,
    "sharpened": _nucleates,
    "one_family": _nucleates,
    "foreign": _is_foreign,
    "blend": _is_blend,
    "escape": _escapes,
    "per_context": lambda task, shape: _collapses(task, shape, at=3),
}


def _spread(base: Floats) -> float:
    """Mean pairwise JSD in bits of the rows that are no paraphrases of each other."""
    pairs = np.asarray(js_divergence(base[:, None], base[None]))
    return float(pairs[pairs > ALIKE].mean())


def _normalise(weights: Floats) -> Floats:
    result: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return result


def _jitter(rows: Floats, strength: float, random: np.random.Generator) -> Floats:
    """Redraw each row around itself: a Dirichlet of the given strength."""
    return _normalise(random.standard_gamma(strength * rows + 1e-3) + 1e-9)


def _main_options(p: Floats, mass: float) -> Mask:
    """Mark the smallest set of options that holds this mass."""
    order = np.argsort(-p)
    size = int(np.searchsorted(np.cumsum(p[order]), mass)) + 1
    marked = np.zeros(len(p), dtype=bool)
    marked[order[:size]] = True
    return marked


def _settle(rows: Floats, inside: Mask, random: np.random.Generator) -> Floats:
    """Move probability among some options; what they hold together, and about the entropy, stays the same."""

    def moved(tilts: Floats) -> Floats:
        result = rows.copy()
        result[:, inside] *= np.exp(tilts)
        result[:, inside] *= (rows[:, inside].sum(axis=1) / result[:, inside].sum(axis=1))[:, None]
        return result

    # Evenly spread tilts: some option always gains and some always loses.
    tilts = np.linspace(-1.0, 1.0, int(inside.sum()))
    tries = [moved(random.uniform(0.7, 1.4) * random.permutation(tilts)) for _ in range(16)]
    return min(tries, key=lambda row: abs(_entropy(row) - _entropy(rows)))


def _entropy(rows: Floats) -> float:
    """Mean entropy in bits; rows have no zeros."""
    return float(-(rows * np.log2(rows)).sum(axis=1).mean())


def _escape(rows: Floats) -> Floats:
    """Move nine tenths of the mass to the rarest option: a reward that pays for something else."""
    rarest = np.zeros(rows.shape[1])
    rarest[rows.mean(axis=0).argmin()] = 1.0
    return 0.1 * rows + 0.9 * rarest
