"""From a measurement's rows to one dense table a task, in NumPy: grouped once, then cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.errors import InputError, StateError
from crystal.samples import Checkpoint, Prompt
from crystal.states.tables import LARGEST_SUM, TaskTable
from crystal.states.task_options import TaskOptions

Indices = npt.NDArray[np.int64]
Parsed = TypeVar("Parsed")
Cell = TypeVar("Cell")


@dataclass(frozen=True)
class Rows:
    """The rows of one ladder and task: places in the texts of their columns (-1: no value), and values."""

    checkpoint: Indices
    prompt: Indices
    option: Indices
    value: npt.NDArray[np.int64]


class Grouped:
    """Rows of one state, sorted by (ladder, task) so that each task is a slice.

    The third column is ``prompt`` and the fourth ``option``; for decodings there is no prompt, and the
    decoding stands in the place of the option.
    """

    def __init__(self, rows: pa.Table) -> None:
        *keys, value = rows.column_names[:-1] if "probability" in rows.column_names else rows.column_names
        columns = {name: rows[name].combine_chunks() for name in keys}
        texts = {name: column.dictionary.to_pylist() for name, column in columns.items()}
        index = {
            name: column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            for name, column in columns.items()
        }
        self.checkpoints = [parse_key(Checkpoint.from_key, key, "checkpoint") for key in texts["checkpoint"]]
        self.tasks: list[str] = texts["task"]
        self.prompt_keys: list[str] = texts.get("prompt", [])
        self.options: list[str] = texts[keys[-1]]
        ladders = sorted({checkpoint.ladder for checkpoint in self.checkpoints})
        ladder_of = np.array([ladders.index(rung.ladder) for rung in self.checkpoints], np.int64)
        group = ladder_of[index["checkpoint"]] * len(self.tasks) + index["task"]
        order = np.argsort(group, kind="stable")
        group = group[order]
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        ends = np.append(starts[1:], len(group))[: len(starts)]
        self._slices: dict[str, dict[str, slice]] = {ladder: {} for ladder in ladders}
        for start, end, number in zip(starts.tolist(), ends.tolist(), group[starts].tolist(), strict=True):
            ladder, task = divmod(number, len(self.tasks))
            self._slices[ladders[ladder]][self.tasks[task]] = slice(start, end)
        none = np.full(len(group), -1, np.int64)
        self._rows = Rows(
            index["checkpoint"][order],
            index["prompt"][order] if "prompt" in index else none,
            index[keys[-1]][order],
            rows[value].to_numpy()[order],
        )

    def names(self, ladder: str) -> Set[str]:
        """Return the tasks of a ladder."""
        return self._slices.get(ladder, {}).keys()

    def cut(self, ladder: str, task: str) -> Rows:
        """Return the rows of one task of one ladder; no rows where it has none."""
        part = self._slices.get(ladder, {}).get(task, slice(0, 0))
        rows = self._rows
        return Rows(rows.checkpoint[part], rows.prompt[part], rows.option[part], rows.value[part])

    def rung(self, rows: Rows, places: Mapping[Checkpoint, int]) -> Indices:
        """Return the place of each row's checkpoint in its ladder."""
        used, inverse = np.unique(rows.checkpoint, return_inverse=True)
        return _take([places[self.checkpoints[i]] for i in used.tolist()], inverse)


def parse_key(parse: Callable[[str], Parsed], key: str, kind: str) -> Parsed:
    """Read the key of a checkpoint or prompt; :class:`StateError` if it is none."""
    try:
        return parse(key)
    except (ValueError, TypeError, RecursionError) as error:
        raise StateError(
            f"this is not the key of a {kind}", where="measurement", got=repr(key[:200])
        ) from error


def by_ladder(
    cells: Mapping[tuple[str, str, str], Cell],
) -> dict[str, dict[str, dict[str, dict[Prompt, Cell]]]]:
    """Return cells with the keys of a checkpoint, a task and the key of a prompt by what these say.

    By ladder, task, name of the checkpoint and prompt; checkpoints, tasks and prompts are sorted.
    :class:`StateError` where a key is none.
    """
    named = [
        (
            parse_key(Checkpoint.from_key, rung, "checkpoint"),
            task,
            parse_key(Prompt.from_key, prompt, "prompt"),
            cell,
        )
        for (rung, task, prompt), cell in cells.items()
    ]
    ladders: dict[str, dict[str, dict[str, dict[Prompt, Cell]]]] = {}
    for checkpoint, task, wording, cell in sorted(named, key=lambda one: one[:3]):
        tasks = ladders.setdefault(checkpoint.ladder, {})
        tasks.setdefault(task, {}).setdefault(checkpoint.name, {})[wording] = cell
    return ladders


def task_table(
    groups: Sequence[Grouped],
    rungs: tuple[Checkpoint, ...],
    task: str,
    bound: TaskOptions | None,
) -> TaskTable:
    """Return the dense table of one task of a ladder; `groups` are counts, exact values and decodings.

    Raises
    ------
    InputError
        If the exact probabilities of a prompt sum to more than 1 (and what overlapping options explain).
    """
    counts, exact, decodings = groups
    ladder = rungs[0].ladder
    places = {rung: place for place, rung in enumerate(rungs)}
    sampled, scored = counts.cut(ladder, task), exact.cut(ladder, task)

    sampled_prompts, sampled_prompt = _texts(sampled.prompt, counts.prompt_keys)
    scored_prompts, scored_prompt = _texts(scored.prompt, exact.prompt_keys)
    keys = {*sampled_prompts, *scored_prompts}
    prompts = sorted((parse_key(Prompt.from_key, key, "prompt"), key) for key in keys)
    prompt_place = {key: place for place, (_, key) in enumerate(prompts)}
    sampled_prompt = _take([prompt_place[key] for key in sampled_prompts], sampled_prompt)
    scored_prompt = _take([prompt_place[key] for key in scored_prompts], scored_prompt)

    valid = sampled.option >= 0
    sampled_options, sampled_option = _texts(sampled.option[valid], counts.options)
    named = scored.option >= 0
    scored_options, scored_option = _texts(scored.option[named], exact.options)
    totals = np.zeros(len(sampled_options), np.int64)
    np.add.at(totals, sampled_option, sampled.value[valid])
    options, closed = _options(sampled_options, totals.tolist(), scored_options, bound)
    option_place = {option: place for place, option in enumerate(options)}

    shape = (len(rungs), len(prompts), len(options))
    rung = counts.rung(sampled, places)
    option = np.full(len(valid), -1, np.int64)
    option[valid] = _take([option_place.get(text, -1) for text in sampled_options], sampled_option)
    on_task = option >= 0
    table = np.zeros(shape, np.int64)
    table[rung[on_task], sampled_prompt[on_task], option[on_task]] = sampled.value[on_task]
    invalid = np.zeros(shape[:2], np.int64)
    # An answer outside the bound list is invalid as well, so several rows may meet in one cell here.
    np.add.at(invalid, (rung[~on_task], sampled_prompt[~on_task]), sampled.value[~on_task])

    probabilities = np.full(shape, np.nan)
    rung = exact.rung(scored, places)
    probabilities[rung, scored_prompt] = 0.0
    option = np.full(len(named), -1, np.int64)
    option[named] = _take([option_place.get(text, -1) for text in scored_options], scored_option)
    listed = option >= 0
    probabilities[rung[listed], scored_prompt[listed], option[listed]] = scored.value[listed] / 2**60

    sums = np.nan_to_num(probabilities).sum(axis=2) if len(scored.value) else np.zeros(shape[:2])
    if (sums > LARGEST_SUM).any():
        place, wording = np.unravel_index(int(sums.argmax()), sums.shape)
        raise InputError(
            "the probabilities of one prompt are no distribution",
            where=f"{ladder}, {rungs[place].name}, task {task!r}, prompt {prompts[wording][0].prompt!r}",
            expected="a sum of 1 or less",
            got=f"{sums.max():g}",
        )

    drawn = decodings.cut(ladder, task)
    settings: list[set[str]] = [set() for _ in rungs]
    for place, decoding in zip(decodings.rung(drawn, places).tolist(), drawn.option.tolist(), strict=True):
        settings[place].add(decodings.options[decoding])
    return TaskTable(
        ladder=ladder,
        task=task,
        checkpoints=rungs,
        prompts=tuple(prompt for prompt, _ in prompts),
        options=options,
        counts=table,
        invalid=invalid,
        probabilities=probabilities,
        closed=closed,
        positions=None if bound is None or bound.positions is None else np.array(bound.positions),
        period=None if bound is None else bound.period,
        decodings=tuple(map(frozenset, settings)),
    )


def _options(
    sampled: Sequence[str], totals: Sequence[int], scored: Sequence[str], bound: TaskOptions | None
) -> tuple[tuple[str, ...], bool]:
    """Return the option list, and whether it is closed."""
    if bound is not None:
        return bound.options, True
    if scored and set(sampled) <= set(scored):
        return tuple(sorted(scored)), True
    total = {**dict.fromkeys(scored, 0), **dict(zip(sampled, totals, strict=True))}
    return tuple(sorted(total, key=lambda option: (-total[option], option))), False


def _texts(index: Indices, texts: Sequence[str]) -> tuple[list[str], Indices]:
    """Return the texts that are used, and the place of each row's among them."""
    used, inverse = np.unique(index, return_inverse=True)
    return [texts[i] for i in used.tolist()], inverse.astype(np.int64)


def _take(places: Sequence[int], index: Indices) -> Indices:
    return np.array(places, np.int64)[index]
