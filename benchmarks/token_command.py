"""The command line that benchmarks of token operations share, and the card that goes with their numbers."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch


def parse(description: str | None, *, tokens: int, rounds: int, compiled: bool = True) -> argparse.Namespace:
    """Read sizes, dtypes, rounds and threads; torch gets the threads too."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--tokens", type=int, default=tokens)
    parser.add_argument("--vocabulary", type=int, default=128_256)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "float16"])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=1)
    if compiled:
        parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=Path, help="keep the numbers, with the machine's card")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    return arguments


def normal_logits(arguments: argparse.Namespace, generator: torch.Generator) -> torch.Tensor:
    """Return float32 [tokens, vocabulary] normal logits of deviation 3."""
    return torch.randn(arguments.tokens, arguments.vocabulary, generator=generator) * 3


def write(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    """Write the results by dtype to ``--json``, if it was given."""
    if arguments.json is None:
        return
    card = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    card |= {name: getattr(arguments, name) for name in ("tokens", "vocabulary", "threads")}
    arguments.json.write_text(json.dumps({"card": card} | results, indent=1))
