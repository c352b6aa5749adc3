"""Histories: prompts in which earlier draws stand before the question. They steer small models most."""

from __future__ import annotations

import msgspec
import numpy as np

from crystal.ops.resampling import stream_key
from crystal.tasks.task import Task, Wording

FAMILY = "history"


def with_histories(task: Task, count: int, length: int, seed: int) -> Task:
    r"""Return the task with further wordings, each with a history of draws of its own.

    Parameters
    ----------
    task : Task
        Its wordings in turn are the question that the histories stand before.
    count : int
        Histories to add, of the family ``history``; 0 adds none.
    length : int
        Earlier draws in each: options, drawn uniformly and independently.
    seed : int
        The same seed gives the same histories, so that checkpoints are asked the same.

    Examples
    --------
    >>> wording = Wording(id="a", family="verb", completion="Toss a coin.\nResult:", chat="Toss a coin.")
    >>> coin = with_histories(Task(id="coin", options=("heads", "tails"), prompts=(wording,)), 1, 2, 0)
    >>> coin.prompts[1].completion.splitlines()
    ['Toss a coin.', 'Result: heads', 'Toss a coin.', 'Result: heads', 'Toss a coin.', 'Result:']
    >>> coin.prompts[1].chat
    'Earlier answers: heads, heads.\nToss a coin.'
    """
    # A wording that opens a quotation is a story, and does not go on after its answer.
    open_ended = [wording for wording in task.prompts if not wording.completion.endswith('"')]
    asked = [wording for wording in open_ended if "\n" in wording.completion] or open_ended
    if not count or not asked:
        return task
    added = []
    for number in range(count):
        generator = np.random.Generator(
            np.random.Philox(key=[seed, stream_key("history", task.id, number, length)])
        )
        draws = [task.options[i] for i in generator.integers(len(task.options), size=length)]
        wording = asked[number % len(asked)]
        gap = "" if wording.completion.endswith((" ", "\n")) else " "
        lines = [f"{wording.completion}{gap}{draw}\n" for draw in draws]
        added.append(
            Wording(
                id=f"{FAMILY}/{number + 1}",
                family=FAMILY,
                completion="".join(lines) + wording.completion,
                chat=f"Earlier answers: {', '.join(draws)}.\n{wording.chat}",
            )
        )
    return msgspec.structs.replace(task, prompts=(*task.prompts, *added))
