"""Instructions a logit of what the field uses, compiled ahead of time and taken apart like our own kernels.

Run ``pip install -r .ci/requirements-peers.txt`` (see there for flash-attention), then
``python benchmarks/compiled_peers.py``. Needs no GPU and is no part of the tests: peers change.
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from token_peers import available

from crystal.kernels.ahead_of_time import TARGETS, Launch, compile_launch, record
from crystal.kernels.disassembly import disassemble, hot_loop, take_apart
from crystal.kernels.token_fields import LEVELS
from crystal.kernels.token_launch import launch_stats


def loaded(body: list[str]) -> int:
    """Return how many bytes one thread loads from global memory in one turn."""
    found = [re.search(r"\bLDG\S*", code) for code in body]
    widths = [re.search(r"\.(128|64|U16|S16|U8|S8)\b", code.group()) for code in found if code]
    size = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
    return sum(size[width.group(1)] if width else 4 for width in widths)


def count(launch: Launch, target: str, itemsize: int) -> dict[str, Any]:
    """Return registers, spills, loads and instructions a logit of the loop that reads most."""
    built = compile_launch(launch, target)
    anatomy = take_apart(built)
    instructions, loops = disassemble(built)
    body = instructions[slice(*hot_loop(instructions, loops, "LDG"))]
    logits = loaded(body) // itemsize
    exchanges = sum(bool(re.search(r"\b(?:BAR|SHFL|STS|LDS|REDUX)\b", code)) for code in body)
    return {
        "registers": anatomy.registers,
        "spills": anatomy.spills,
        "loads": ", ".join(sorted({m.group() for code in body if (m := re.search(r"LDG\S*", code))})),
        "exchanges": exchanges,
        "per logit": len(body) / logits if logits else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="sm_90", choices=[t for t in TARGETS if t.startswith("sm_")])
    parser.add_argument("--vocabulary", type=int, default=151936)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    given = parser.parse_args()
    logits = torch.zeros((4, given.vocabulary), dtype=getattr(torch, given.dtype))
    tokens = torch.zeros(4, dtype=torch.int64)
    peers, absent = available()
    runs = {f"{peer.name} ({peer.version})": partial(peer.run, logits, tokens) for peer in peers}
    runs |= {f"crystal {level}": partial(launch_stats, logits, tokens, 1.0, level=level) for level in LEVELS}
    print(f"{given.target}, {given.dtype}, {given.vocabulary} logits a row, the loop that reads them\n")
    print("| kernel | registers | spills | hot loads | barriers and exchanges | instructions a logit |")
    print("|---|---|---|---|---|---|")
    for name, run in runs.items():
        launches = record(run)
        if not launches:
            print(f"| {name} | launched no Triton kernel here | | | | |")
            continue
        row = count(launches[0], given.target, logits.element_size())
        print(
            f"| {name} | {row['registers']} | {row['spills']} | {row['loads']} "
            f"| {row['exchanges']} | {row['per logit']:.1f} |"
        )
    for name, why in absent.items():
        print(f"\nnot measured: {name}: {why}")


if __name__ == "__main__":
    main()
