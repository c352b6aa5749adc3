"""The checkpoints seen so far, so that two names for one or one name for two cannot slip in."""

from __future__ import annotations

from crystal.errors import LadderError
from crystal.samples import Checkpoint


class Ledger:
    """Every (ladder, stage, step) with its name, and every name with its (stage, step)."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str, int], tuple[str, str]] = {}
        self._rungs: dict[tuple[str, str], tuple[str, int, str]] = {}

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints in the order they were met."""
        return [Checkpoint(*rung, name) for rung, (name, _) in self._names.items()]

    def enter(self, checkpoint: Checkpoint, file: str) -> None:
        """Note a checkpoint.

        Raises
        ------
        LadderError
            If its (ladder, stage, step) has another name, or its name is that of another rung of the ladder.
        """
        ladder, stage, step, name = checkpoint
        known, first = self._names.setdefault((ladder, stage, step), (name, file))
        if known != name:
            raise LadderError(
                f"one checkpoint has two names: {stage} at step {step} of ladder {ladder!r}",
                where=file,
                expected=f"{known!r} as in {first}",
                got=repr(name),
                fix="give each checkpoint its own step, or one name",
            )
        rung = self._rungs.setdefault((ladder, name), (stage, step, file))
        if rung[:2] != (stage, step):
            raise LadderError(
                f"two checkpoints of ladder {ladder!r} have one name, {name!r}",
                where=file,
                expected=f"{rung[0]} at step {rung[1]} as in {rung[2]}",
                got=f"{stage} at step {step}",
                fix="name each checkpoint on its own, or give another ladder",
            )
