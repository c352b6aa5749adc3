"""What is kept of a checkpoint: replies to every prompt, exact option probabilities, logits and weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crystal.lab.training import next_token
from crystal.lab.world import END, STOP, Floats, Ints, World, draw, philox
from crystal.report.tables import write_parquet
from crystal.samples import distribution_schema, sample_schema

if TYPE_CHECKING:
    from crystal.lab.model import LanguageModel

Place = dict[str, Any]
"""``ladder``, ``stage``, ``step`` and ``checkpoint`` of every row."""


def measure(
    model: LanguageModel,
    world: World,
    rendering: str,
    chain: str,
    place: Place,
    samples: int,
    folder: Path,
) -> None:
    """Write what is kept of a checkpoint into an existing folder.

    Parameters
    ----------
    rendering : str
        ``document`` or ``chat``.
    chain : str
        Name of the chain of phases: with the step, the key of the draws.
    place : Place
    samples : int
        Replies to each prompt.
    """
    import torch

    prompts = world.render(world.prompts, rendering)
    with torch.no_grad():
        logits = model(torch.from_numpy(prompts))[:, -1]
    np.save(folder / "logits.npy", logits.numpy().astype(np.float16))
    p: Floats = torch.softmax(logits.double(), dim=-1).numpy()
    write_parquet(_exact(world, p, rendering, place), folder / "exact.parquet")
    random = philox(world.seed, f"samples {chain}", place["step"])
    write_parquet(
        _replies(model, world, prompts, p, samples, random, rendering, place), folder / "samples.parquet"
    )
    weights = {name: value.numpy().astype(np.float16) for name, value in model.state_dict().items()}
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type, unused-ignore]


def _exact(world: World, p: Floats, rendering: str, place: Place) -> pa.Table:
    sizes = np.array([len(world.tasks[prompt.task].options) for prompt in world.prompts])
    prompt = np.repeat(np.arange(len(world.prompts)), sizes)
    option = np.arange(len(prompt)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    token = world.first_option[[world.prompts[i].task for i in prompt]] + option
    names = [world.words[i] for i in token]
    values = {"option": _plain(names), "probability": pa.array(p[prompt, token])}
    return _rows(distribution_schema(), world, prompt, rendering, place, values)


def _replies(
    model: LanguageModel,
    world: World,
    prompts: Ints,
    p: Floats,
    samples: int,
    random: np.random.Generator,
    rendering: str,
    place: Place,
) -> pa.Table:
    """Draw replies of at most two tokens; a prefix that several samples share is read once."""
    prompt = np.repeat(np.arange(len(prompts)), samples)
    first = draw(p[prompt], random.random(len(prompt)))
    distinct, back = np.unique(np.stack([prompt, first], axis=1), axis=0, return_inverse=True)
    q = next_token(model, np.concatenate([prompts[distinct[:, 0]], distinct[:, 1:]], axis=1))
    row = back.ravel()
    second = draw(q[row], random.random(len(prompt)))
    closed = (second == END) | (second == STOP)
    task = np.array([world.prompts[i].task for i in prompt])
    option = first - world.first_option[task]
    sizes = np.array([len(one.options) for one in world.tasks])[task]
    valid = (option >= 0) & (option < sizes)
    words = np.array(world.words, dtype=object)
    text = np.where(closed, words[first], words[first] + " " + words[second])
    tokens = np.stack([first, second], axis=1)
    log_p = np.log(np.stack([p[prompt, first], q[row, second]], axis=1))
    entropies = np.stack([_entropy(p)[prompt], _entropy(q)[row]], axis=1)
    offsets = pa.array(np.arange(len(prompt) + 1) * 2, pa.int64())
    count = len(prompt)
    values = {
        "rendering": _plain([rendering] * count),
        "sample": pa.array(np.tile(np.arange(samples, dtype=np.int32), len(prompts))),
        "text": pa.array(text, pa.large_string()),
        "answer": pa.array(words[first], pa.large_string(), mask=~valid).dictionary_encode(),
        "tokens": pa.LargeListArray.from_arrays(offsets, tokens.ravel().astype(np.int32)),
        "logprobs": pa.LargeListArray.from_arrays(offsets, log_p.ravel().astype(np.float32)),
        "entropies": pa.LargeListArray.from_arrays(offsets, entropies.ravel().astype(np.float32)),
    }
    return _rows(sample_schema(), world, prompt, rendering, place, values)


def _entropy(p: Floats) -> Floats:
    """Return the entropy of each row in nats."""
    result: Floats = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    return result


def _rows(
    schema: pa.Schema,
    world: World,
    prompt: Ints,
    rendering: str,
    place: Place,
    values: dict[str, Any],
) -> pa.Table:
    count = len(prompt)
    own = [world.prompts[i] for i in prompt]
    columns = {
        "ladder": _plain([place["ladder"]] * count),
        "stage": _plain([place["stage"]] * count),
        "step": pa.array(np.full(count, place["step"], dtype=np.int64)),
        "checkpoint": _plain([place["checkpoint"]] * count),
        "task": _plain([world.tasks[one.task].id for one in own]),
        "prompt": _plain([one.id for one in own]),
        "family": _plain([one.family for one in own]),
        "source": _plain([f"crystal lab, seed {world.seed}, {rendering}"] * count),
        **values,
    }
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _plain(words: list[str]) -> Any:
    return pa.array(words, pa.large_string()).dictionary_encode()
