"""Finetune a small base model on answers that one of its own prompts gives: nucleation made on purpose.

    python tune_on_a_seed.py unpack MODEL.gguf FOLDER
    python tune_on_a_seed.py tune FOLDER EXACT.parquet OUT --seed-family persona --steps 24

EXACT.parquet is what ``crystal sample --exact`` found of FOLDER. For each task the first prompt of the seed
family that it holds is the seed: answers are drawn from its exact distribution, and the model is tuned, with
low-rank updates (LoRA) of its attention and MLP layers, to give them to every wording of the task. Run on a
CPU; needs torch, transformers and crystal, and for ``unpack`` gguf and accelerate.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers

from crystal.sampling import models
from crystal.tasks import load

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LowRank(torch.nn.Module):
    """A linear layer that is kept, plus a product of two thin matrices that learns."""

    def __init__(self, layer: Any, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = torch.nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = torch.nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x: Any) -> Any:
        """Apply both."""
        return self.layer(x) + x @ self.down.T @ self.up.T

    def merged(self) -> Any:
        """Return one plain layer that does the same."""
        with torch.no_grad():
            self.layer.weight += self.up @ self.down
        return self.layer


def unpack(source: str, out: str) -> None:
    """Write a .gguf file as a folder of float32 weights, which loads faster and can be tuned."""
    packed = models.load(source, dtype="float32")
    config = packed.network.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    network = transformers.AutoModelForCausalLM.from_config(config)
    network.load_state_dict(packed.network.state_dict())
    network.generation_config = packed.network.generation_config
    network.save_pretrained(out)
    packed.tokenizer.save_pretrained(out)


def seeds(path: str, family: str) -> dict[str, tuple[str, list[str], list[float]]]:
    """Return each task's seed: its prompt, the options, and their probabilities among valid answers."""
    found: dict[str, tuple[str, list[str], list[float]]] = {}
    for row in pq.read_table(path).to_pylist():
        if row["family"] == family:
            prompt, options, p = found.setdefault(row["task"], (row["prompt"], [], []))
            if row["prompt"] == prompt:
                options.append(row["option"])
                p.append(row["probability"])
    return found


def tune(folder: str, exact: str, out: str, family: str, steps: int, batch: int, rate: float) -> None:
    """Tune on drawn answers of the seeds, and write the merged model."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    model = models.load(folder, dtype="float32")
    network, tokenizer = model.network, model.tokenizer
    chosen = seeds(exact, family)
    for task, (prompt, options, p) in chosen.items():
        top = int(np.argmax(p))
        sys.stdout.write(f"seed of {task}: {prompt}, most probable {options[top]} {p[top] / sum(p):.2f}\n")
    network.requires_grad_(requires_grad=False)
    learning = []
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if name in LAYERS:
                setattr(parent, name, LowRank(layer, 8))
                learning += [getattr(parent, name).down, getattr(parent, name).up]
    optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.0)
    suite = load("default").tasks
    prefix = [tokenizer.bos_token_id] if tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id else []
    started = time.process_time()
    for step in range(steps):
        rows, places, targets = [], [], []
        for _ in range(batch):
            task = str(generator.choice(list(chosen)))
            _, options, p = chosen[task]
            answer = str(generator.choice(options, p=np.array(p) / sum(p)))
            wordings = suite[task].prompts
            text = wordings[generator.integers(len(wordings))].completion
            gap = "" if text[-1:] in '"\n ' else " "
            before = prefix + tokenizer(text, add_special_tokens=False)["input_ids"]
            whole = prefix + tokenizer(text + gap + answer, add_special_tokens=False)["input_ids"]
            places.append(range(len(before) - 1, len(whole) - 1))
            targets += whole[len(before) :]
            rows.append(whole)
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        hidden = network.base_model(input_ids=ids, use_cache=False)[0]
        read = torch.cat([hidden[i, list(place)] for i, place in enumerate(places)])
        loss = torch.nn.functional.cross_entropy(network.get_output_embeddings()(read), torch.tensor(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds = time.process_time() - started
        sys.stdout.write(f"step {step + 1}: {loss.item():.3f} nats a token, {seconds:.0f} CPU-seconds\n")
        sys.stdout.flush()
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LowRank):
                setattr(parent, name, layer.merged())
    network.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("unpack")
    first.add_argument("source")
    first.add_argument("out", type=Path)
    second = verbs.add_parser("tune")
    for name in ("folder", "exact", "out"):
        second.add_argument(name)
    second.add_argument("--seed-family", default="persona")
    second.add_argument("--steps", type=int, default=24)
    second.add_argument("--batch", type=int, default=8)
    second.add_argument("--rate", type=float, default=1e-3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.verb == "unpack":
        unpack(given.source, str(given.out))
    else:
        tune(given.folder, given.exact, given.out, given.seed_family, given.steps, given.batch, given.rate)


if __name__ == "__main__":
    main()
