"""The divergences of two checkpoints per CPU-second beside their peers, in one interleaved run.

Run ``python benchmarks/bench_token_divergence.py`` (torch needed; a C++ compiler for the torch.compile peer).
Every answer is checked against float64 before it is timed; what a peer makes of a KL of 1e-7 is printed too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import token_command
import torch

import crystal

Peer = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]
FIELDS = ("kl", "kl_reverse", "js", "tv", "hellinger")


def eager(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What one writes first: two log_softmax and five formulas."""
    a, b = torch.log_softmax(x.float(), dim=-1), torch.log_softmax(y.float(), dim=-1)
    p, q = a.exp(), b.exp()
    m = torch.logaddexp(a, b) - math.log(2)
    return (
        (p * (a - b)).sum(-1),
        (q * (b - a)).sum(-1),
        ((p * (a - m)).sum(-1) + (q * (b - m)).sum(-1)) / 2,
        (p - q).abs().sum(-1) / 2,
        ((p.sqrt() - q.sqrt()).square().sum(-1) / 2).sqrt(),
    )


def fused(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The same by hand for a compiler: normalisers first, then one pass without intermediate tensors."""
    x, y = x.float(), y.float()
    a = x - torch.logsumexp(x, dim=-1, keepdim=True)
    b = y - torch.logsumexp(y, dim=-1, keepdim=True)
    p, q, w = a.exp(), b.exp(), a - b
    mean = (p + q) / 2
    log = torch.log(mean.clamp(min=1e-38))
    return (
        (p * w).sum(-1),
        -(q * w).sum(-1),
        (p * a + q * b).sum(-1) / 2 - (mean * log).sum(-1),
        (p - q).abs().sum(-1) / 2,
        (1 - (p * q).sqrt().sum(-1)).clamp(min=0).sqrt(),
    )


def ours(threads: int, backend: Any = "cpu") -> Peer:
    def run(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = crystal.token_divergence(x, y, backend=backend, threads=threads)
        return tuple(getattr(found, name) for name in FIELDS)

    return run


def exact(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """KL both ways, JS, TV and Hellinger by definition in float64."""
    a, b = torch.log_softmax(x.double(), dim=-1), torch.log_softmax(y.double(), dim=-1)
    p, q = a.exp(), b.exp()
    m = torch.logaddexp(a, b) - math.log(2)
    return (
        (p * (a - b) + q - p).sum(-1),
        (q * (b - a) + p - q).sum(-1),
        ((p * (a - m)).sum(-1) + (q * (b - m)).sum(-1)) / 2,
        (p - q).abs().sum(-1) / 2,
        (((a / 2).exp() - (b / 2).exp()).square().sum(-1) / 2).sqrt(),
    )


def measure(peers: dict[str, Peer], x: torch.Tensor, y: torch.Tensor, rounds: int) -> dict[str, Any]:
    """Check the peers, then interleave them and keep each one's best CPU time."""
    sample = slice(0, min(4, len(x)))
    want = exact(x[sample], y[sample])
    # A checkpoint a step away: one logit near 6 moved by 1/8, which is a KL of about 3e-7.
    near = x[sample].clone()
    place = (near.float() - 6.0).abs().argmin(dim=-1, keepdim=True)
    near.scatter_add_(1, place, torch.full_like(place, 0.125, dtype=near.dtype))
    small = exact(x[sample], near)
    results: dict[str, Any] = {}
    for name, peer in peers.items():
        got = peer(x[sample], y[sample])
        error = max(float((a.double() - b).abs().max()) for a, b in zip(got, want, strict=True))
        assert error < 1e-3, f"{name} is off by {error}"
        found = peer(x[sample], near)[0].double()
        results[name] = {
            "cpu_s": float("inf"),
            "error": error,
            "small_kl": float(small[0].mean()),
            "relative_error_of_small_kl": float(((found - small[0]) / small[0]).abs().max()),
        }
        peer(x, y)
    for _ in range(rounds):
        for name, peer in peers.items():
            start = time.process_time()
            peer(x, y)
            results[name]["cpu_s"] = min(results[name]["cpu_s"], time.process_time() - start)
    return results


def main() -> None:
    arguments = token_command.parse(__doc__, tokens=200, rounds=3)
    report: dict[str, Any] = {}
    for dtype in arguments.dtypes:
        generator = torch.Generator().manual_seed(0)
        x = token_command.normal_logits(arguments, generator)
        y = (x + torch.randn(x.shape, generator=generator) / 2).to(getattr(torch, dtype))
        x = x.to(y.dtype)
        peers: dict[str, Peer] = {"crystal": ours(arguments.threads)}
        if not arguments.no_compile:
            peers["torch.compile"] = torch.compile(fused, dynamic=False)
        peers |= {"eager torch": eager, "crystal, plain torch form": ours(0, "torch")}
        report[dtype] = measure(peers, x, y, arguments.rounds)
        base = report[dtype]["crystal"]["cpu_s"]
        for name, result in report[dtype].items():
            print(
                f"{dtype:9} {name:26} {result['cpu_s'] * 1e3:9.1f} ms CPU {result['cpu_s'] / base:6.2f} x  "
                f"error {result['error']:.1e}  "
                f"a KL near {result['small_kl']:.0e} off by {result['relative_error_of_small_kl']:.0e}"
            )
    token_command.write(arguments, report)


if __name__ == "__main__":
    main()
