"""Logs of any size and known shape.

One ladder of 8 checkpoints, up to 50 tasks of 8 prompts and 16 answers each, and 80 distinct texts a task
(each answer has five forms), in random order. Each task follows the picture: what the base answers depends on
the prompt, what comes later does not. Equal arguments give equal rows; memory does not grow with the rows.

Open questions are answered in many ways: a share of the rows can have an answer that no other row has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

STAGES = ("base", "sft", "sft", "dpo", "dpo", "rl", "rl", "rl")
TASKS, PROMPTS, OPTIONS = 50, 8, 16
FORMS = ("{}.", "{}", "{}!", " {} ", "{}...")
CHUNK = 1 << 20
TEXTS = [form.format(f"Word{i}") for i in range(TASKS * OPTIONS) for form in FORMS]


def distributions(seed: int) -> npt.NDArray[np.float64]:
    """Return [2, tasks, prompts, options]: what the base answers, and what all later checkpoints answer."""
    rng = np.random.default_rng([seed, 0])
    base = rng.dirichlet(np.full(OPTIONS, 0.5), (TASKS, PROMPTS))
    tuned = rng.dirichlet(np.full(OPTIONS, 0.3), (TASKS, 1))
    return np.stack([base, np.broadcast_to(tuned, base.shape)])


def batches(rows: int, seed: int = 0, tasks: int = TASKS, distinct: float = 0.0) -> Iterator[Any]:
    """Yield the rows, at most a million at a time.

    Parameters
    ----------
    rows : int
    seed : int
    tasks : int
        Tasks that have rows, 1 to 50.
    distinct : float
        Share of the rows whose answer no other row has, 0 to 1; 0.91 is what base models write.

    Yields
    ------
    pyarrow.RecordBatch
    """
    edges = np.cumsum(distributions(seed), axis=-1)
    for number, start in enumerate(range(0, rows, CHUNK)):
        rng = np.random.default_rng([seed, 1 + number])
        size = min(CHUNK, rows - start)
        rung, task, prompt, form = (
            rng.integers(0, most, size, np.int32) for most in (len(STAGES), tasks, PROMPTS, len(FORMS))
        )
        below = edges[np.minimum(rung, 1), task, prompt] <= rng.random(size)[:, None]
        option = np.minimum(below.sum(axis=1), OPTIONS - 1)
        text = (task * OPTIONS + option) * len(FORMS) + form
        texts = pa.array(TEXTS).take(pa.array(text))
        numbers = np.arange(start, start + size)
        if distinct > 0:
            own = pc.binary_join_element_wise(texts, pa.array(numbers).cast(pa.string()), " no ")
            texts = pc.if_else(pa.array(rng.random(size) < distinct), own, texts)
        columns = {
            "ladder": pa.array(["made"]).take(pa.array(np.zeros(size, np.int32))),
            "stage": pa.array(STAGES).take(pa.array(rung)),
            "step": rung.astype(np.int64) * 100,
            "checkpoint": pa.array([f"made-{i}" for i in range(len(STAGES))]).take(pa.array(rung)),
            "task": pa.array([f"task{i}" for i in range(TASKS)]).take(pa.array(task)),
            "prompt": pa.array([f"wording number {i}" for i in range(PROMPTS)]).take(pa.array(prompt)),
            "sample": numbers,
            "text": texts,
        }
        yield pa.record_batch(columns)


def write(path: Path, rows: int, seed: int = 0, tasks: int = TASKS, distinct: float = 0.0) -> None:
    """Write a log in the format that its name says: ``.parquet``, else JSON Lines.

    The parameters are those of :func:`batches`.
    """
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, next(batches(1, seed)).schema) as writer:
            for batch in batches(rows, seed, tasks, distinct):
                writer.write_batch(batch, row_group_size=CHUNK)
        return
    with path.open("w") as file:
        for batch in batches(rows, seed, tasks, distinct):
            for start in range(0, batch.num_rows, 1 << 16):
                part: list[dict[str, Any]] = batch.slice(start, 1 << 16).to_pylist()
                file.writelines(json.dumps(row) + "\n" for row in part)
