"""The sums and texts of a ladder's cells: the view that statistics of sequences are computed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from crystal.samples import Prompt
from crystal.states.sequence_sample import SequenceSample
from crystal.states.views import by_ladder


@dataclass
class CellTexts:
    """One cell: the sums over all its samples, and the texts that are kept."""

    sums: dict[str, int] = field(default_factory=dict)
    """By name; those that are 0 are not there."""
    texts: list[str] = field(default_factory=list)
    """Distinct, in the order of their hashes."""
    counts: list[int] = field(default_factory=list)
    """How often each was seen."""


SequenceCells: TypeAlias = "dict[str, dict[str, dict[Prompt, CellTexts]]]"
"""Per task and name of the checkpoint, the prompts; tasks and prompts are sorted."""


def sequence_cells(sample: SequenceSample) -> dict[str, SequenceCells]:
    """Return the cells of each ladder.

    Raises
    ------
    StateError
        If a key is not that of a checkpoint or prompt.

    Examples
    --------
    >>> from crystal.samples import Checkpoint
    >>> sample = SequenceSample()
    >>> keys = {"checkpoint": [Checkpoint("toy", "base", 0, "b").key()], "task": ["story"],
    ...         "prompt": [Prompt("", "tell").key()]}
    >>> sample.update(keys, text=["Once upon a time"])
    >>> sequence_cells(sample)["toy"]["story"]["b"][Prompt("", "tell")].sums["words"]
    4
    """
    found: dict[tuple[str, str, str], CellTexts] = {}
    result = sample.result()
    for rung, task, prompt, name, count in zip(*_columns(result["sums"]), strict=True):
        found.setdefault((rung, task, prompt), CellTexts()).sums[name] = count
    for rung, task, prompt, text, count in zip(*_columns(result["texts"]), strict=True):
        cell = found.setdefault((rung, task, prompt), CellTexts())
        cell.texts.append(text)
        cell.counts.append(count)
    return by_ladder(found)


def _columns(rows: object) -> list[list[object]]:
    return [column.to_pylist() for column in rows.columns]  # type: ignore[attr-defined]
