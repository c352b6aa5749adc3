"""Planted ladders: post-training ladders whose truth is known, of any size.

A planted ladder is a set of exact distributions ``P[checkpoint, prompt, option]`` per task, built so that one
story about post-training is true of it (:data:`KINDS`), and samples drawn from them. They calibrate verdicts
and size experiments: how many prompts, tasks and samples does a verdict need?

Nothing here is a model of a language model: the stories are the ones that a verdict has to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.phases.results import Verdict
from crystal.samples import Checkpoint, Prompt, distribution_schema, sample_schema
from crystal.states.tables import TaskTable
from crystal.testing.stories import Shape, can_settle, plant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

Floats = npt.NDArray[np.float64]

KINDS = {
    "picture": "liquid base, SFT onto one of its distributions, then settling among that seed's options",
    "foreign": "SFT onto a distribution that the base never showed",
    "blend": "SFT onto the average of the base's distributions",
    "sharpened": "SFT onto a cooled version of one of the base's distributions",
    "per_context": "SFT keeps every prompt's own distribution; all prompts collapse only in RL",
    "no_sft": "as the picture, but the base collapses in RL, and there never was an SFT",
    "escape": "as the picture, but RL moves most of the mass outside the seed's options",
    "pretraining": "more pretraining and no SFT: every prompt's distribution drifts a little",
    "frozen": "nothing changes at all",
    "small": "a change that is real, but far too small for the samples",
    "format": "more and more answers are invalid, and nothing else changes",
    "one_family": "the first prompt family follows the picture, the others do not change",
}
"""The stories that can be planted, in a line each."""

_TUNED = (("base", 0), ("sft", 1_000), ("dpo", 1_200), ("rl", 1_500))
_STAGES = {
    "pretraining": (("base", 0), ("base", 1_000), ("base", 1_200), ("base", 1_500)),
    "no_sft": (("base", 0), ("rl", 1_000), ("rl", 1_200), ("rl", 1_500)),
}
_CHANGED: dict[str, tuple[Verdict, Verdict, Verdict]] = {
    "picture": ("NUCLEATION", "SETTLING", "SETTLING"),
    "foreign": ("RENUCLEATION", "SETTLING", "SETTLING"),
    "blend": ("RENUCLEATION", "SETTLING", "SETTLING"),
    "sharpened": ("NUCLEATION", "SETTLING", "SETTLING"),
    "escape": ("NUCLEATION", "SETTLING", "RENUCLEATION"),
    "per_context": ("FROZEN", "FROZEN", "NUCLEATION"),
    "no_sft": ("NUCLEATION", "SETTLING", "SETTLING"),
    "one_family": ("NUCLEATION", "SETTLING", "SETTLING"),
}


@dataclass(frozen=True)
class PlantedLadder:
    """A ladder with its truth: exact distributions, and samples drawn from them on demand."""

    kind: str
    """One of :data:`KINDS`."""
    name: str
    checkpoints: tuple[Checkpoint, ...]
    prompts: tuple[Prompt, ...]
    tasks: tuple[str, ...]
    options: tuple[str, ...]
    probabilities: Floats
    """float64 [tasks, C, P, K]: the truth, on-task part."""
    validity: Floats
    """float64 [C]: probability of a valid answer."""
    seeds: npt.NDArray[np.int64]
    """int64 [tasks]: index of the prompt whose base distribution SFT nucleates on (or sharpens)."""
    seed: int

    @property
    def picture_holds(self) -> bool:
        """Whether the paper's picture is true of this ladder.

        It is of ``sharpened`` too: a seed that is only cooled is the base's own shape, and counts as found.
        """
        return self.kind in {"picture", "sharpened"}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The true verdict of each transition, in every family: what infinitely many samples would show.

        For ``one_family``, those of the first family; the others are FROZEN. Where there are too few options
        to move probability between, settling is FROZEN: ``foreign`` with fewer than 4, ``escape`` with 2.
        """
        steps = _CHANGED.get(self.kind, ("FROZEN", "FROZEN", "FROZEN"))
        if can_settle(self.kind, len(self.options)):
            return steps
        first, *later = steps
        return (first, *("FROZEN" if step == "SETTLING" else step for step in later))

    def tables(self, samples: int, *, draw: int = 0) -> list[TaskTable]:
        """Draw samples straight into dense count tables, one a task.

        Parameters
        ----------
        samples : int
            Samples of each prompt at each checkpoint, valid or not.
        draw : int
            Number of the data set: another one is independent, the same one is the same.

        Returns
        -------
        list of TaskTable
            With ``counts`` int64 [C, P, K] and the list of options closed.

        Examples
        --------
        >>> ladder("frozen", tasks=1, prompts=2, options=3).tables(50)[0].counts.sum(axis=2)[0]
        array([50, 50, 50, 50])
        """
        random = np.random.default_rng([self.seed, draw, 1])
        shape = self.probabilities.shape[:3]
        valid = random.binomial(samples, self.validity[None, :, None], size=shape)
        counts = random.multinomial(valid, self.probabilities).astype(np.int64)
        return [
            self._table(task, counts[i], samples - counts[i].sum(axis=2)) for i, task in enumerate(self.tasks)
        ]

    def exact_tables(self) -> list[TaskTable]:
        """Return the truth as exact distributions, one table a task."""
        none = np.zeros(self.probabilities.shape[1:], dtype=np.int64)
        return [
            self._table(task, none, none.sum(axis=2), self.probabilities[i])
            for i, task in enumerate(self.tasks)
        ]

    def _table(
        self,
        task: str,
        counts: npt.NDArray[np.int64],
        invalid: npt.NDArray[np.int64],
        probabilities: Floats | None = None,
    ) -> TaskTable:
        return TaskTable(
            ladder=self.name,
            task=task,
            checkpoints=self.checkpoints,
            prompts=self.prompts,
            options=self.options,
            counts=counts,
            invalid=invalid,
            probabilities=np.full(counts.shape, np.nan) if probabilities is None else probabilities,
            closed=True,
            decodings=(frozenset(),) * len(self.checkpoints),
        )

    def samples(self, samples: int, *, draw: int = 0) -> pa.Table:
        """Draw a sample table (:func:`crystal.samples.sample_schema`): one row a sample.

        A valid row has its option as ``answer``; an invalid one has the text ``"..."`` and no answer.

        Parameters
        ----------
        samples : int
            Of each prompt at each checkpoint.
        draw : int
            Another draw is another table of the same truth.
        """
        import pyarrow as pa

        tables = self.tables(samples, draw=draw)
        counts = np.stack([np.dstack([table.counts, table.invalid]) for table in tables])
        task, checkpoint, prompt, option = (
            np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape)
        )
        invalid = option == len(self.options)
        text = pa.array(np.full(len(task), "...", dtype=object), pa.large_string(), mask=~invalid)
        answer = _named(np.where(invalid, 0, option), self.options, invalid)
        return self._rows(sample_schema(), task, checkpoint, prompt, text=text, answer=answer)

    def distributions(self) -> pa.Table:
        """Return the truth as exact-distribution rows (:func:`crystal.samples.distribution_schema`)."""
        import pyarrow as pa

        task, checkpoint, prompt, option = (index.ravel() for index in np.indices(self.probabilities.shape))
        return self._rows(
            distribution_schema(),
            task,
            checkpoint,
            prompt,
            option=_named(option, self.options),
            probability=pa.array(self.probabilities.ravel()),
        )

    def _rows(
        self,
        schema: pa.Schema,
        task: npt.NDArray[np.intp],
        checkpoint: npt.NDArray[np.intp],
        prompt: npt.NDArray[np.intp],
        **values: pa.Array,
    ) -> pa.Table:
        import pyarrow as pa

        rungs = self.checkpoints
        columns = {
            "ladder": _named(np.zeros_like(task), [self.name]),
            "stage": _named(checkpoint, [rung.stage for rung in rungs]),
            "step": pa.array(np.array([rung.step for rung in rungs], dtype=np.int64)[checkpoint]),
            "checkpoint": _named(checkpoint, [rung.name for rung in rungs]),
            "task": _named(task, self.tasks),
            "prompt": _named(prompt, [prompt.prompt for prompt in self.prompts]),
            "family": _named(prompt, [prompt.family for prompt in self.prompts]),
            "source": _named(np.zeros_like(task), [f"crystal.testing.planted {self.kind} {self.seed}"]),
            **values,
        }
        arrays = [
            columns[field.name] if field.name in columns else pa.nulls(len(task), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)


def _named(
    index: npt.NDArray[np.intp], words: Sequence[str], null: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    import pyarrow as pa

    indices = pa.array(index.astype(np.int32), mask=null)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.large_string()))


def ladder(
    kind: str = "picture",
    *,
    tasks: int = 20,
    prompts: int = 12,
    options: int = 10,
    families: tuple[str, ...] = ("context", "persona"),
    sources: int | None = None,
    name: str | None = None,
    seed: int = 0,
) -> PlantedLadder:
    """Plant a ladder of known truth.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    tasks, prompts, options : int
        Number of tasks, of prompts in each family (2 or more), and of options of each task (2 or more).
    families : tuple of str
        Names of the prompt families.
    sources : int, optional
        Distinct distributions that a base family knows; its prompts are noisy paraphrases of them. The
        default is half the prompts, and at least 2.
    name : str, optional
        Name of the ladder; the default is ``planted-KIND``.
    seed : int
        Seed of the truth and of all draws.

    Returns
    -------
    PlantedLadder

    Raises
    ------
    SettingsError
        For an unknown kind, a size out of range, or a story that has no room at this size: with 2 options an
        average of many distributions is as good as one of them, and of 2 prompts each has half of the weight
        in their average, so ``blend`` needs 3 options, and 3 prompts over all families.

    Examples
    --------
    >>> truth = ladder("escape", tasks=3, prompts=4, options=8, seed=1)
    >>> truth.probabilities.shape, truth.picture_holds, truth.verdicts[-1]
    ((3, 4, 8, 8), False, 'RENUCLEATION')
    """
    if kind not in KINDS:
        raise SettingsError("no such planted ladder", where="kind", expected=", ".join(KINDS), got=repr(kind))
    for word, value, least in (("tasks", tasks, 1), ("prompts", prompts, 2), ("options", options, 2)):
        if value < least:
            raise SettingsError("too few", where=word, expected=f"{least} or more", got=str(value))
    if kind == "blend":
        for word, value, why in (
            ("options", options, "over 2 options an average of many distributions is as good as one of them"),
            ("prompts", prompts * len(families), "of 2 prompts each has half of the weight in their average"),
        ):
            if value < 3:
                raise SettingsError(why, where=word, expected="3 or more for 'blend'", got=str(value))
    rungs = _STAGES.get(kind, _TUNED)
    name = name or f"planted-{kind}"
    random = np.random.default_rng([seed, 0])
    shape = Shape(len(families), prompts, options, sources or max(2, prompts // 2))
    planted = [plant(kind, shape, random) for _ in range(tasks)]
    validity = np.array([0.98, 0.9, 0.8, 0.7]) if kind == "format" else np.ones(len(rungs))
    return PlantedLadder(
        kind=kind,
        name=name,
        checkpoints=tuple(Checkpoint(name, stage, step, f"{stage}-{step}") for stage, step in rungs),
        prompts=tuple(Prompt(family, f"{family}-{i}") for family in families for i in range(prompts)),
        tasks=tuple(f"task-{i:02}" for i in range(tasks)),
        options=tuple(f"option-{i:02}" for i in range(options)),
        probabilities=np.stack([probabilities for probabilities, _ in planted]),
        validity=validity,
        seeds=np.array([chosen for _, chosen in planted], dtype=np.int64),
        seed=seed,
    )
