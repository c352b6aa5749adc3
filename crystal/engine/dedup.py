"""Answers replaced by the classes of their texts: two passes over logs, memory for distinct texts only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystal.clustering.classes import Kind, answer_classes
from crystal.engine import grouping
from crystal.engine.local import Progress
from crystal.errors import InputError
from crystal.readers.rejections import Rejections
from crystal.readers.sample_file import check_apart, check_target, write_samples
from crystal.readers.stream import SampleStream, read
from crystal.samples import Checkpoint, Prompt
from crystal.states.count_table import CountTable
from crystal.statistics.coverage import coverage


@dataclass(frozen=True)
class Dedup:
    """What :func:`dedup` did."""

    rows: int
    """Rows written."""
    texts: int
    """Different texts of a task, summed over tasks."""
    classes: int
    """Different classes of a task, summed over tasks."""
    cells: list[dict[str, Any]]
    """For each (checkpoint, task, prompt): ``ladder stage step checkpoint task family prompt`` and
    ``samples``, ``invalid`` (without a class), ``classes``, ``largest_share`` (of the valid samples) and
    ``coverage`` (Chao and Jost 2012, of the classes); the last two null where nothing is valid."""
    rejections: Rejections


def dedup(
    paths: Any,
    out: str | Path,
    kind: Kind = "near-duplicate",
    *,
    threshold: float = 0.8,
    threads: int = 0,
    progress: Progress | None = None,
    **reading: Any,
) -> Dedup:
    """Write the sample table of some logs with the class of each text as its answer.

    A first pass counts the distinct texts of each task, which are then sorted into classes
    (:func:`crystal.clustering.classes.answer_classes`) over all checkpoints and prompts of the task; a second
    pass writes the rows. Rows that have only an answer are classed by it; rows that have only tokens stay as
    they are.

    Parameters
    ----------
    paths : path or sequence of paths
        What :func:`crystal.read` takes; it is read twice.
    out : path
        ``.parquet``, ``.arrow`` or ``.jsonl``.
    kind, threshold, threads
        As for :func:`crystal.clustering.classes.answer_classes`.
    progress : callable, optional
        As for :func:`crystal.measure`.
    **reading
        Further arguments of :func:`crystal.read`.

    Returns
    -------
    Dedup

    Raises
    ------
    InputError
        If the logs cannot be read, or hold exact distributions.
    SettingsError
        If a setting is out of its range, or ``out`` is one of the logs.
    """
    check_target(out)
    check_apart(out, paths)
    texts = CountTable(("task", "text"))
    stream = read(paths, **reading)
    for batch in _samples(stream, "counting", progress):
        text = _texts(batch)
        some = text.is_valid()
        texts.update({"task": batch.column("task").filter(some), "text": text.filter(some)})
    classes = _classes(texts, kind, threshold, threads)
    cells = CountTable(("checkpoint", "task", "prompt", "class"))

    def answered(stream: SampleStream) -> Iterator[pa.RecordBatch]:
        for batch in _samples(stream, "writing", progress):
            answer = _answers(batch, classes)
            cells.update(
                {
                    "checkpoint": grouping.checkpoint_keys(batch),
                    "task": batch.column("task"),
                    "prompt": grouping.prompt_keys(batch),
                    "class": answer,
                }
            )
            place = batch.schema.get_field_index("answer")
            yield batch.set_column(place, batch.schema.field(place), answer.dictionary_encode())

    again = read(paths, **reading)
    rows = write_samples(answered(again), out)
    named = [set(names.to_pylist()) - {None} for _, names in classes.values()]
    return Dedup(
        rows=rows,
        texts=sum(len(some) for some, _ in classes.values()),
        classes=sum(map(len, named)),
        cells=_cells(cells),
        rejections=again.rejections,
    )


def _samples(stream: SampleStream, what: str, progress: Progress | None) -> Iterator[Any]:
    for batch in stream:
        if batch.schema.metadata[b"crystal.kind"] == b"distributions":
            raise InputError("exact distributions have no texts to sort into classes", where="dedup")
        yield batch
        if progress is not None:
            progress(what, stream.bytes_read, stream.bytes_total or None)


def _texts(batch: Any) -> Any:
    return pc.coalesce(batch.column("text"), pc.cast(batch.column("answer"), pa.large_string()))


def _classes(texts: CountTable, kind: Kind, threshold: float, threads: int) -> dict[str, tuple[Any, Any]]:
    """Return the distinct texts of each task, and their classes."""
    rows = texts.result()
    if rows.num_rows == 0:
        return {}
    rows = rows.combine_chunks()
    counts = rows["count"].to_numpy()
    plain = pc.cast(rows["text"], pa.large_string()).combine_chunks()
    tasks = pc.cast(rows["task"], pa.large_string()).combine_chunks()
    found = {}
    for mine, task in _parts(tasks):
        some = plain.take(pa.array(mine))
        found[task] = (some, answer_classes(some, counts[mine], kind, threshold=threshold, threads=threads))
    return found


def _answers(batch: Any, classes: dict[str, tuple[Any, Any]]) -> Any:
    text = _texts(batch)
    answer = pc.cast(batch.column("answer"), pa.large_string())
    if text.null_count == len(text):
        return answer
    names: list[Any] = []
    order = []
    for mine, task in _parts(pc.cast(batch.column("task"), pa.large_string())):
        known, named = classes.get(task, (text.slice(0, 0), text.slice(0, 0)))
        names.append(named.take(pc.index_in(text.take(pa.array(mine)), value_set=known, skip_nulls=True)))
        order.append(mine)
    place = np.empty(len(text), np.int64)
    place[np.concatenate(order)] = np.arange(len(text))
    return pa.concat_arrays(names).take(pa.array(place))


def _parts(keys: Any) -> Iterator[tuple[Any, str]]:
    """Return the rows of each distinct key, ascending, and the key."""
    encoded = keys.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))[:-1])
    return zip(parts, encoded.dictionary.to_pylist(), strict=True)


def _cells(table: CountTable) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, str], list[tuple[Any, int]]] = {}
    for row in table.result().to_pylist():
        found.setdefault((row["checkpoint"], row["task"], row["prompt"]), []).append(
            (row["class"], row["count"])
        )
    cells = []
    for (checkpoint_key, task, prompt_key), seen in found.items():
        rung, prompt = Checkpoint.from_key(checkpoint_key), Prompt.from_key(prompt_key)
        counts = [count for name, count in seen if name is not None]
        total, valid = sum(count for _, count in seen), sum(counts)
        cells.append(
            {
                "ladder": rung.ladder,
                "stage": rung.stage,
                "step": rung.step,
                "checkpoint": rung.name,
                "task": task,
                "family": prompt.family,
                "prompt": prompt.prompt,
                "samples": total,
                "invalid": total - valid,
                "classes": len(counts),
                "largest_share": max(counts) / valid if valid else None,
                "coverage": float(coverage(counts)) if valid else None,
            }
        )
    key = ("ladder", "step", "stage", "checkpoint", "task", "family", "prompt")
    return sorted(cells, key=lambda cell: tuple(cell[name] for name in key))
