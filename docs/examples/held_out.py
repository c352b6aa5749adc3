"""Does what post-training never saw freeze too? Promptability by what was held out, from exact probabilities.

python docs/examples/held_out.py lab-runs/small-*/main    # folders of runs; or none: the ladder that ships
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from crystal import datasets

Cell = tuple[str, str]
CHECKPOINTS = ("base-500", "sft-4", "sft-16", "sft-60", "dpo-20", "rl-30")
HELD_OUT = ("nothing", "the context", "the wording", "the task")


def cells(folder: Path) -> Iterator[tuple[Cell, float, float]]:
    """Yield, by what was held out and checkpoint, each task's promptability (bits) and on-task mass."""
    new = {
        t for t, own in json.loads((folder / "truth.json").read_bytes())["tasks"].items() if own["held_out"]
    }
    prompts: dict[tuple[str, ...], dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for name in ("exact", "between-exact", "held-out-exact"):
        for row in pq.read_table(folder / f"{name}.parquet").to_pylist():
            key = row["checkpoint"], row["task"], row["family"]
            prompts[key][row["prompt"]][row["option"]] = row["probability"]
    for (checkpoint, task, family), own in prompts.items():
        mass = np.array([list(options.values()) for options in own.values()])
        p = mass / mass.sum(axis=1, keepdims=True)
        k = (p * np.log2(np.maximum(p, 1e-300) / p.mean(axis=0))).sum(axis=1)
        what = {"context": 0, "new-context": 1, "new-wording": 2}[family]
        yield (
            (HELD_OUT[3 if task in new else what], checkpoint),
            float(k.mean()),
            float(mass.sum(axis=1).mean()),
        )


def table(folders: list[Path]) -> str:
    """Return the mean over runs of the means over tasks: ``promptability (on-task mass)``, as Markdown."""
    runs: dict[Cell, list[tuple[float, float]]] = defaultdict(list)
    for folder in folders:
        tasks: dict[Cell, list[tuple[float, float]]] = defaultdict(list)
        for cell, promptability, mass in cells(folder):
            tasks[cell].append((promptability, mass))
        for cell, values in tasks.items():
            runs[cell].append(tuple(np.mean(values, axis=0)))
    lines = ["| held out | " + " | ".join(CHECKPOINTS) + " |", "|---" * (len(CHECKPOINTS) + 1) + "|"]
    for what in HELD_OUT:
        means = [np.mean(runs[what, checkpoint], axis=0) for checkpoint in CHECKPOINTS]
        lines.append(f"| {what} | " + " | ".join(f"{k:.3f} ({mass:.2f})" for k, mass in means) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]]
    sys.stdout.write(table(given or [datasets.load("lab-small").runs["main"].folder]))
