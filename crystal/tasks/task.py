"""A stochastic task: its options, how they are written, their order, and the wordings that ask for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from crystal.errors import TaskError
from crystal.tasks import wording

if TYPE_CHECKING:
    from crystal.states.task_options import TaskOptions


class Wording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt of a task: the same question for a base model and for a chat model."""

    id: str
    family: str
    completion: str
    """What a base model is to continue."""
    chat: str
    """What a chat model is told."""


class Task(msgspec.Struct, frozen=True, eq=False, kw_only=True, forbid_unknown_fields=True):
    """One task with a closed list of options.

    Parameters
    ----------
    id : str
        The value of the column ``task`` in the samples.
    options : tuple of str
        Canonical answers, at least two.
    title : str
        What is asked, in a few words.
    aliases : dict of str to tuple of str
        Other ways to write an option.
    plurals : bool
        Accept the English plural of every option and alias.
    common_words : tuple of str
        Options or aliases that are everyday words too; see :func:`crystal.tasks.matching.match`.
    ignore : tuple of str
        Phrases that repeat the question (``between 1 and 10``) and must not be read as an answer.
    positions : tuple of float, optional
        Place of each option on a line, where options are ordered.
    period : float, optional
        Length of the circle, where the order is circular.
    prompts : tuple of Wording
        The wordings.
    """

    id: str
    options: tuple[str, ...]
    title: str = ""
    aliases: dict[str, tuple[str, ...]] = {}
    plurals: bool = False
    common_words: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    positions: tuple[float, ...] | None = None
    period: float | None = None
    prompts: tuple[Wording, ...] = ()

    def surfaces(self, where: str = "") -> dict[str, str]:
        """Return every way to write an option, reduced to words, with the option it means.

        Raises
        ------
        TaskError
            If one way would mean two options, or has no word in it.
        """
        where = where or f"task {self.id!r}"
        written = [(option, option) for option in self.options]
        written += [(form, option) for option, forms in self.aliases.items() for form in forms]
        if self.plurals:
            written += [(plural(form), option) for form, option in written]
        forms = pa.array([form for form, _ in written], pa.large_string())
        plain = wording.without_articles(wording.words(forms)).to_pylist()
        meaning: dict[str, str] = {}
        for reduced, (form, option) in zip(plain, written, strict=True):
            if not reduced:
                raise TaskError("an option has no word in it", where=where, got=repr(form))
            if meaning.setdefault(reduced, option) != option:
                raise TaskError(
                    "one answer would mean two options",
                    where=where,
                    got=f"{form!r} for {meaning[reduced]!r} and {option!r}",
                    fix="write each option and alias once",
                )
        return meaning

    def check(self, where: str) -> None:
        """Raise TaskError unless the task can be used."""
        where = f"{where}, task {self.id!r}"
        if not self.id:
            raise TaskError("a task needs an id", where=where)
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise TaskError("a task needs at least two options, each once", where=where)
        strangers = sorted(set(self.aliases) - set(self.options))
        if strangers:
            raise TaskError("aliases for what is no option", where=where, got=", ".join(map(repr, strangers)))
        self._check_positions(where)
        known = self.surfaces(where)
        plain = wording.without_articles(wording.words(pa.array(list(self.common_words), pa.large_string())))
        for word, reduced in zip(self.common_words, plain.to_pylist(), strict=True):
            if reduced not in known:
                raise TaskError("common_words lists what is no option or alias", where=where, got=repr(word))
        names = [(prompt.family, prompt.id) for prompt in self.prompts]
        if len(set(names)) < len(names):
            raise TaskError("two wordings share a family and an id", where=where)

    def _check_positions(self, where: str) -> None:
        if self.positions is not None and len(self.positions) != len(self.options):
            raise TaskError(
                "positions do not fit the options",
                where=where,
                expected=f"{len(self.options)} numbers",
                got=str(len(self.positions)),
            )
        if self.positions is not None and not all(map(math.isfinite, self.positions)):
            raise TaskError("positions must be finite numbers", where=where)
        if self.period is not None and (self.positions is None or not 0 < self.period < math.inf):
            raise TaskError("a period needs positions and must be a positive number", where=where)

    def task_options(self) -> TaskOptions:
        """Return what a measurement has to know of the task."""
        from crystal.states.task_options import TaskOptions

        return TaskOptions(options=self.options, positions=self.positions, period=self.period)


class TaskSuite(msgspec.Struct, frozen=True, eq=False):
    """Tasks by their ids; samples of other tasks are read by the answer rule."""

    tasks: dict[str, Task] = {}

    def get(self, task: str) -> Task | None:
        """Return the task of an id, or None where nothing is bound to it."""
        return self.tasks.get(task)

    def options(self) -> dict[str, TaskOptions]:
        """Return the option lists, for a measurement."""
        return {name: task.task_options() for name, task in self.tasks.items()}


def plural(word: str) -> str:
    """Return the regular English plural.

    Examples
    --------
    >>> [plural(word) for word in ("cat", "cherry", "monkey", "fox", "peach")]
    ['cats', 'cherries', 'monkeys', 'foxes', 'peaches']
    """
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
