"""How often would other samples have given the same picture? Draws runs of the laboratory again.

python docs/examples/redraw.py lab-runs/small-*/main    # pictures of 10 draws of 20, 50 and 100 replies

Replies are drawn from the exact probabilities of a run's checkpoints, so that the noise of sampling is told
from what another seed of training does. The three clauses are decided on them, not the transitions.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import crystal
from crystal.phases.clauses import decide_clauses

PLACE = ("stage", "step", "checkpoint", "task", "prompt", "family")
SIZES, DRAWS = (20, 50, 100), 10


def replies(exact: pa.Table, samples: int, seed: int) -> pa.Table:
    """Return a sample table: ``samples`` replies to each prompt, off-task ones left out."""
    cells: dict[tuple[object, ...], list[tuple[str, float]]] = defaultdict(list)
    for row in exact.to_pylist():
        cells[tuple(row[name] for name in PLACE)].append((row["option"], row["probability"]))
    random = np.random.default_rng(seed)
    rows: dict[str, list[object]] = {name: [] for name in ("ladder", *PLACE, "answer")}
    for place, options in cells.items():
        p = np.array([probability for _, probability in options])
        counts = random.multinomial(samples, np.append(p, max(0.0, 1 - p.sum())))[:-1]
        rows["answer"] += np.repeat([option for option, _ in options], counts).tolist()
        rows["ladder"] += ["again"] * int(counts.sum())
        for name, value in zip(PLACE, place, strict=True):
            rows[name] += [value] * int(counts.sum())
    return pa.table(rows)


def pictures(folder: Path, samples: int) -> Counter[bool | None]:
    """Count the pictures of :data:`DRAWS` draws of a run."""
    exact = pq.read_table(folder / "exact.parquet")
    found: Counter[bool | None] = Counter()
    for seed in range(DRAWS):
        stream = crystal.read(replies(exact, samples, seed), tasks=folder / "tasks.toml")
        counted = crystal.measure(stream)
        tables = [counted.table("again", task) for task in counted.task_names("again")]
        found[decide_clauses(tables).picture_holds] += 1
    return found


if __name__ == "__main__":
    for name in sys.argv[1:]:
        parts = []
        for size in SIZES:
            found = pictures(Path(name), size)
            parts.append(f"{size}: {found[True]} true, {found[False]} false, {found[None]} null")
        sys.stdout.write(f"{name}  " + "; ".join(parts) + "\n")
        sys.stdout.flush()
