"""The dense view of a measurement that all statistics are computed from: one task of one ladder."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crystal.samples import Checkpoint, Prompt

LARGEST_SUM = 1.05
"""Most that the probabilities of a prompt may sum to: scores of options that overlap may pass 1 a little."""

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TaskTable:
    """Counts and exact probabilities of one task of one ladder.

    C checkpoints in ladder order (the same for every task of the ladder), P prompts, K options. A cell
    ``(c, p)`` has counts, or exact probabilities, or nothing.
    """

    ladder: str
    task: str
    checkpoints: tuple[Checkpoint, ...]
    prompts: tuple[Prompt, ...]
    options: tuple[str, ...]
    counts: Counts
    """int64 [C, P, K]: valid samples."""
    invalid: Counts
    """int64 [C, P]: samples that are no answer to the task."""
    probabilities: Floats
    """float64 [C, P, K]: exact probabilities as given (their sum may be below 1), NaN in cells without."""
    closed: bool = False
    """The list of options is given, so K is known and ``validity`` has a meaning."""
    positions: Floats | None = None
    """float64 [K]: places of ordered options on a line (or circle), for Wasserstein-1."""
    period: float | None = None
    """Length of the circle, where the order is circular (weekdays, months)."""
    decodings: tuple[frozenset[str], ...] = field(default=())
    """Per checkpoint, the decoding settings (JSON) that its samples were drawn with; empty where unknown."""

    @property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Bool [C, P]: cells with exact probabilities."""
        return np.asarray(np.isfinite(self.probabilities).any(axis=2))

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Bool [C, P]: cells with anything in them, valid or not."""
        sampled: npt.NDArray[np.bool_] = self.counts.sum(axis=2) + self.invalid > 0
        return self.exact | sampled

    def family(self, name: str | None) -> TaskTable:
        """Return the view of one family's prompts (all prompts for None)."""
        if name is None:
            return self
        keep = np.array([prompt.family == name for prompt in self.prompts], dtype=bool)
        return TaskTable(
            ladder=self.ladder,
            task=self.task,
            checkpoints=self.checkpoints,
            prompts=tuple(prompt for prompt in self.prompts if prompt.family == name),
            options=self.options,
            counts=self.counts[:, keep],
            invalid=self.invalid[:, keep],
            probabilities=self.probabilities[:, keep],
            closed=self.closed,
            positions=self.positions,
            period=self.period,
            decodings=self.decodings,
        )
