"""Planted pairs of ladders: two models whose seeds are the same, are different, or of which one has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from crystal.errors import SettingsError
from crystal.testing.planted import PlantedLadder, ladder

PairKind = Literal["same", "different", "one_seedless"]


def pair(
    kind: PairKind = "same", *, tasks: int = 10, prompts: int = 8, options: int = 10, seed: int = 0
) -> tuple[PlantedLadder, PlantedLadder]:
    """Plant two ladders, "model-a" and "model-b", whose bases differ but for what the story says.

    Parameters
    ----------
    kind : {"same", "different", "one_seedless"}
        ``same``: one base distribution of each task is common to both, and both nucleate on it.
        ``different``: each nucleates on one of its own. ``one_seedless``: the second is tuned onto a
        distribution that its base never showed.
    tasks, prompts, options, seed
        As for :func:`crystal.testing.planted.ladder`.

    Returns
    -------
    tuple of PlantedLadder and PlantedLadder

    Raises
    ------
    SettingsError
        For another kind or a size out of range.

    Examples
    --------
    >>> a, b = pair("same", tasks=1, prompts=4, options=6)
    >>> seeds = [model.probabilities[0, 0, model.seeds[0]] for model in (a, b)]
    >>> bool((seeds[0] == seeds[1]).all()), bool((a.probabilities[0, 0] == b.probabilities[0, 0]).all())
    (True, False)
    """
    if kind not in ("same", "different", "one_seedless"):
        raise SettingsError(
            "no such pair", where="kind", expected="same, different, one_seedless", got=repr(kind)
        )
    sizes = {"tasks": tasks, "prompts": prompts, "options": options}
    first = ladder("picture", name="model-a", seed=2 * seed, **sizes)  # type: ignore[arg-type]
    story = "foreign" if kind == "one_seedless" else "picture"
    second = ladder(story, name="model-b", seed=2 * seed + 1, **sizes)  # type: ignore[arg-type]
    if kind != "same":
        return first, second
    p = second.probabilities.copy()
    for task in range(tasks):
        common = first.probabilities[task, 0, first.seeds[task]]
        p[task, 0, second.seeds[task]] = common
        p[task, 1:] = 0.97 * common + 0.03 * p[task, 0]
    return first, replace(second, probabilities=p)
