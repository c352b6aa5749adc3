"""What the field uses for log-probabilities of tokens, as each package has it; nothing of it is kept here.

Each peer is found in an installed distribution and loaded from its own file, so that neither its other
dependencies nor a CUDA build are needed. Install them with .ci/requirements-peers.txt.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any
from unittest import mock

import torch

Outputs = dict[str, torch.Tensor]
Run = Callable[[torch.Tensor, torch.Tensor], Outputs]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its package and version, what it computes, and how to run it on [tokens, vocabulary]."""

    name: str
    version: str
    run: Run


def _file(distribution: str, path: str) -> Any:
    """Load one file of an installed distribution as a module of its own."""
    spec = importlib.util.spec_from_file_location(
        f"peer_{distribution.replace('-', '_')}", metadata.distribution(distribution).locate_file(path)
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{distribution} has no {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trl() -> Run:
    module = _file("trl", "trl/kernels/logprob_entropy.py")

    def run(logits: torch.Tensor, tokens: torch.Tensor) -> Outputs:
        logprob, entropy = module.selective_log_softmax_and_entropy(logits, tokens)
        return {"logprob": logprob, "entropy": entropy}

    return run


def liger() -> Run:
    module = importlib.import_module("liger_kernel.ops.cross_entropy")

    def run(logits: torch.Tensor, tokens: torch.Tensor) -> Outputs:
        loss = module.cross_entropy_forward(logits, tokens, None, -100, 0.0, 0.0, "none", None, False)[0]
        return {"logprob": -loss}

    return run


def flash() -> Run:
    module = _file("flash-attn", "flash_attn/ops/triton/cross_entropy.py")

    def run(logits: torch.Tensor, tokens: torch.Tensor) -> Outputs:
        # It enters the logits' GPU by number, which logits in CPU memory do not have.
        where = mock.patch("torch.cuda.device", contextlib.nullcontext)
        with contextlib.nullcontext() if logits.is_cuda else where:
            return {"logprob": -module.cross_entropy_loss(logits, tokens)[0]}

    return run


PEERS: dict[str, tuple[str, Callable[[], Run]]] = {
    "TRL logprob + entropy": ("trl", trl),
    "Liger-Kernel cross entropy": ("liger-kernel", liger),
    "flash-attention cross entropy": ("flash-attn", flash),
}


def available() -> tuple[list[Peer], dict[str, str]]:
    """Return the peers that are installed, and for the others why not."""
    found, absent = [], {}
    for name, (distribution, load) in PEERS.items():
        try:
            found.append(Peer(name, f"{distribution} {metadata.version(distribution)}", load()))
        except (ImportError, OSError) as error:
            absent[name] = f"{distribution}: {error}"
    return found, absent
