"""Token sums by ladder, task, checkpoint and prompt: the view that statistics are computed from."""

from __future__ import annotations

from typing import TypeAlias

from crystal.samples import Prompt
from crystal.states.exact_sums import TokenMoments
from crystal.states.token_sums import TokenSums
from crystal.states.views import by_ladder

PromptMoments: TypeAlias = "dict[Prompt, dict[str, TokenMoments]]"
"""Per prompt, the moments of each series (``surprisal``, ``entropy``) that it has."""
TokenCells: TypeAlias = "dict[str, dict[str, PromptMoments]]"
"""Per task and name of the checkpoint, the prompts; tasks and prompts are sorted."""


def token_cells(sums: TokenSums) -> dict[str, TokenCells]:
    """Return the moments of each ladder.

    Raises
    ------
    StateError
        If a key is not that of a checkpoint or prompt.

    Examples
    --------
    >>> from crystal.samples import Checkpoint
    >>> sums = TokenSums()
    >>> keys = {"checkpoint": [Checkpoint("toy", "base", 0, "b").key()], "task": ["coin"],
    ...         "prompt": [Prompt("", "flip").key()]}
    >>> sums.update(keys, entropies=[[0.5, 0.25]])
    >>> token_cells(sums)["toy"]["coin"]["b"][Prompt("", "flip")]["entropy"].tokens
    2
    """
    return by_ladder(sums.cells())
