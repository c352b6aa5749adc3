"""What is asked of a model: prompts, and the units of work that a run is resumed by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crystal.errors import SettingsError, TaskError
from crystal.sampling.histories import with_histories
from crystal.tasks.task import Task, TaskSuite, Wording


class Drawn(NamedTuple):
    """One sample, with what is known of its tokens."""

    text: str
    tokens: list[int] | None = None
    logprobs: list[float] | None = None
    """Nats, one a token."""
    entropies: list[float] | None = None


@dataclass(frozen=True)
class Unit:
    """Some samples of one prompt, or its exact distribution (``count`` is 0 then)."""

    task: Task
    wording: Wording
    first: int
    """Number of its first sample among those of the prompt."""
    count: int

    def __str__(self) -> str:
        samples = f", samples {self.first} to {self.first + self.count - 1}" if self.count else ""
        return f"task {self.task.id!r}, prompt {self.wording.id!r}{samples}"

    def digest(self) -> str:
        """Return a digest of all that it asks."""
        wording = self.wording
        asked = (self.task.id, wording.family, wording.id, wording.completion, wording.chat)
        options = self.task.options if not self.count else ()
        return hashlib.sha256(repr((asked, options, self.first, self.count)).encode()).hexdigest()[:32]


def choose(suite: TaskSuite, only: Sequence[str], histories: int, length: int, seed: int) -> list[Task]:
    """Return the tasks to ask about, with their histories.

    Raises
    ------
    SettingsError
        If a task of ``only`` does not exist, or ``histories`` or ``length`` is out of range.
    TaskError
        If there is no task, or one has no prompts.
    """
    if unknown := [name for name in only if name not in suite.tasks]:
        raise SettingsError(
            "there is no such task", where="only", expected=", ".join(suite.tasks), got=", ".join(unknown)
        )
    if histories < 0 or length < 1:
        raise SettingsError("must be positive", where="histories", got=f"{histories} of length {length}")
    tasks = [task for name, task in suite.tasks.items() if not only or name in only]
    if not tasks:
        raise TaskError("there are no tasks to ask about", where="tasks", expected="'default' or a TOML file")
    for task in tasks:
        if not task.prompts:
            raise TaskError(
                "a task without prompts cannot be asked about",
                where=f"task {task.id!r}",
                fix="add [[task.prompts]] to its file (docs/tasks.md)",
            )
    return [with_histories(task, histories, length, seed) for task in tasks]


def units(tasks: Sequence[Task], samples: int, most: int) -> Iterator[Unit]:
    """Yield the units in a fixed order; each has at most ``most`` samples (``samples`` 0: one a prompt)."""
    for task in tasks:
        for wording in task.prompts:
            for first in range(0, max(samples, 1), most):
                yield Unit(task, wording, first, min(most, samples - first))
