"""Which checkpoints form a ladder, and in which order they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crystal.errors import LadderError
from crystal.samples import STAGES, Checkpoint

_RANK = {stage: rank for rank, stage in enumerate(STAGES)}


def order_ladders(
    checkpoints: Iterable[Checkpoint], order: Sequence[str] = ()
) -> dict[str, tuple[Checkpoint, ...]]:
    """Return the checkpoints of each ladder in training order.

    By step if all steps of the ladder differ, else by (base < sft < dpo < rl, step). Stage ``other`` has no
    place in that, so it then needs `order`.

    Parameters
    ----------
    checkpoints : iterable of Checkpoint
        Without regard to order; the same one may come again.
    order : sequence of str
        Display names in the wanted order. It rules each ladder that has one of these names, and must then
        name all of that ladder.

    Returns
    -------
    dict of str to tuple of Checkpoint
        Ladders sorted by name.

    Raises
    ------
    LadderError
        If one (ladder, stage, step) has two names, one name of a ladder two places, or an order is missing,
        incomplete, or names what does not exist.

    Examples
    --------
    >>> rungs = [Checkpoint("tulu", "dpo", 0, "b"), Checkpoint("tulu", "base", 0, "a")]
    >>> [rung.name for rung in order_ladders(rungs)["tulu"]]
    ['a', 'b']
    """
    ladders: dict[str, list[Checkpoint]] = {}
    for checkpoint in sorted(set(checkpoints)):
        if checkpoint.stage not in _RANK:
            raise LadderError(
                "the stage is unknown",
                where=f"checkpoint {checkpoint.name!r}",
                expected=", ".join(STAGES),
                got=checkpoint.stage,
            )
        ladders.setdefault(checkpoint.ladder, []).append(checkpoint)
    if len(set(order)) < len(order):
        raise LadderError("a name comes twice", where="order", got=", ".join(order))
    known = {rung.name for rungs in ladders.values() for rung in rungs}
    if unknown := [name for name in order if name not in known]:
        raise LadderError(
            "no checkpoint has this name", where="order", expected=", ".join(sorted(known)), got=unknown[0]
        )
    return {name: _sorted(name, rungs, order) for name, rungs in ladders.items()}


def _sorted(ladder: str, rungs: list[Checkpoint], order: Sequence[str]) -> tuple[Checkpoint, ...]:
    where = f"ladder {ladder!r}"
    names: dict[tuple[str, int], str] = {}
    places: dict[str, Checkpoint] = {}
    for rung in rungs:
        if (other := names.setdefault((rung.stage, rung.step), rung.name)) != rung.name:
            raise LadderError(
                f"{rung.stage} at step {rung.step} has two names: {other!r} and {rung.name!r}", where=where
            )
        if (place := places.setdefault(rung.name, rung)) != rung:
            raise LadderError(
                f"the name {rung.name!r} stands for {place.stage} at step {place.step} "
                f"and for {rung.stage} at step {rung.step}",
                where=where,
            )
    if any(name in places for name in order):
        if missing := sorted(name for name in places if name not in order):
            raise LadderError("the order leaves checkpoints out", where=where, got=", ".join(missing))
        return tuple(places[name] for name in order if name in places)
    if len({rung.step for rung in rungs}) == len(rungs):
        return tuple(sorted(rungs, key=lambda rung: rung.step))
    if any(rung.stage == "other" for rung in rungs):
        raise LadderError(
            "stage 'other' has no place of its own and steps repeat",
            where=where,
            fix="give an order of names",
        )
    return tuple(sorted(rungs, key=lambda rung: (_RANK[rung.stage], rung.step)))
