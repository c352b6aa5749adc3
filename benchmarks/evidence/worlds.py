"""Truths to sample from: Dirichlet worlds, planted ladders, and published exact distributions."""

from __future__ import annotations

import gzip
import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crystal.samples import Checkpoint, Prompt
from crystal.states.tables import TaskTable
from crystal.testing.planted import KINDS, ladder

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PUBLISHED = {2: "coin_flip", 10: "random_number"}
"""Files of the published exact distributions, by their number of options."""
_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def published_folder() -> Path | None:
    """Return the folder of published distributions, or None where it is not at hand."""
    folder = Path(os.environ.get("CRYSTAL_SHARED_DATA", _DATA)) / "coin-and-number"
    return folder if folder.is_dir() else None


def worlds(options: int) -> tuple[str, ...]:
    """Name the worlds that have truths of so many options."""
    some = ("dirichlet", "planted")
    return (*some, "published") if options in PUBLISHED and published_folder() is not None else some


def truth(world: str, options: int, prompts: int, random: np.random.Generator) -> Floats:
    """Draw the truth of two checkpoints that differ: float64 [2, P, K]."""
    make = {"dirichlet": _dirichlet, "planted": _planted, "published": _published}[world]
    rows = np.maximum(make(options, prompts, random), 0.0)
    result: Floats = rows / rows.sum(axis=-1, keepdims=True)
    return result


def same(rows: Floats, alike: bool) -> Floats:
    """Return a truth at which nothing changes: twice the first checkpoint, with all prompts alike or not."""
    first = np.broadcast_to(rows[0, :1], rows[0].shape) if alike else rows[0]
    return np.stack([first, first])


def _dirichlet(options: int, prompts: int, random: np.random.Generator) -> Floats:
    """Prompts around a common distribution; the later checkpoint moves some way towards another one."""
    evenness = random.choice([0.3, 1.0, 3.0])
    common, other = random.dirichlet(np.full(options, evenness), size=2)
    likeness = random.choice([3.0, 30.0, 300.0])
    base = random.standard_gamma(likeness * common + 1e-3, size=(prompts, options)) + 1e-9
    base /= base.sum(axis=1, keepdims=True)
    way = random.choice([0.1, 0.3, 1.0])
    return np.stack([base, (1 - way) * base + way * other])


@cache
def _pool(options: int) -> tuple[Floats, ...]:
    """Changes of planted ladders: float64 [2, 8, K] each."""
    changes = []
    kinds = [kind for kind in sorted(KINDS) if options > 2 or kind != "blend"]  # a blend has no room in two
    for seed, kind in enumerate(kinds):
        # A remelting, an escape and a return are there too: every change is taken in both directions.
        p = ladder(kind, tasks=3, prompts=8, options=options, families=("all",), seed=seed).probabilities
        for task in p:
            for step in range(3):
                if np.any(task[step] != task[step + 1]):
                    changes += [task[step : step + 2], task[step : step + 2][::-1]]
    return tuple(changes)


def _planted(options: int, prompts: int, random: np.random.Generator) -> Floats:
    pool = _pool(options)
    change = pool[random.integers(len(pool))]
    return change[:, random.permutation(change.shape[1])[:prompts]]


@cache
def published_pairs(options: int) -> dict[str, tuple[Floats, Floats]]:
    """Return base and tuned distributions [C, K] by the tuned model's name, conditions in one order."""
    folder = published_folder()
    if folder is None:
        return {}
    rows: dict[str, list[list[float]]] = {}
    with gzip.open(folder / f"{PUBLISHED[options]}_token_probs.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            rows.setdefault(row["model"], []).append(row["p"])
    tuned = {name for name in rows if "nstruct" in name or name.endswith("-it")}
    pairs = {}
    for name in sorted(tuned):
        # The base whose name has most in common with it: gemma-2-2b for gemma-2-2b-it.
        base = max(sorted(rows.keys() - tuned), key=lambda other: _in_common(other, name))
        pairs[name] = (_normal(rows[base]), _normal(rows[name]))
    return pairs


def _normal(rows: list[list[float]]) -> Floats:
    p = np.array(rows)
    result: Floats = p / p.sum(axis=1, keepdims=True)
    return result


def _in_common(first: str, second: str) -> int:
    """Count the letters with which both begin."""
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))


def _published(options: int, prompts: int, random: np.random.Generator) -> Floats:
    pairs = tuple(published_pairs(options).values())
    base, tuned = pairs[random.integers(len(pairs))]
    chosen = random.permutation(len(base))[:prompts]
    return np.stack([base[chosen], tuned[chosen]])


def table(counts: Counts, invalid: Counts | None = None) -> TaskTable:
    """Wrap counts int64 [2, P, K] of a closed list, as every analysis gets them."""
    checkpoints, prompts, options = counts.shape
    return TaskTable(
        ladder="truth",
        task="task",
        checkpoints=tuple(Checkpoint("truth", "base", i, f"base-{i}") for i in range(checkpoints)),
        prompts=tuple(Prompt("all", f"{i}") for i in range(prompts)),
        options=tuple(f"{i}" for i in range(options)),
        counts=counts,
        invalid=np.zeros(counts.shape[:2], dtype=np.int64) if invalid is None else invalid,
        probabilities=np.full(counts.shape, np.nan),
        closed=True,
        decodings=(frozenset(),) * checkpoints,
    )
