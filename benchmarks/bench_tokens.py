"""Token statistics per CPU-second beside their peers, in one interleaved run; every answer is checked first.

Run ``python benchmarks/bench_tokens.py`` (torch needed; a C++ compiler for the torch.compile peer). Sizes by
``--tokens`` and ``--vocabulary``; ``--json FILE`` keeps the numbers with the machine's card.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import token_command
import torch

import crystal

Peer = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]
CORE = ["logsumexp", "logprob", "entropy"]
STANDARD = [*CORE, "varentropy", "collision", "top1", "argmax", "n_greater"]

TEN = [*STANDARD, "n_equal", "mass_above"]


def eager(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What one writes first: three separate formulas."""
    x = logits.float()
    logp = torch.log_softmax(x, dim=-1)
    entropy = -(logp.exp() * logp).sum(-1)
    return torch.logsumexp(x, dim=-1), logp.gather(-1, tokens[:, None])[:, 0], entropy


def by_row(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The way of training libraries: a log_softmax at a time in small blocks of rows, to save memory."""
    lses, logps, entropies = [], [], []
    for rows in logits.split(128):
        logp = torch.log_softmax(rows.float(), dim=-1)
        entropies.append(-(torch.exp(logp) * logp).sum(-1))
    for row, token in zip(logits, tokens, strict=True):
        lses.append(torch.logsumexp(row.float(), dim=-1))
        logps.append(row[token].float() - lses[-1])
    return torch.stack(lses), torch.stack(logps), torch.cat(entropies)


def fused(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A form by hand that a compiler can fuse: centred on the maximum, two passes."""
    x = logits.float()
    d = x - x.amax(dim=-1, keepdim=True)
    e = d.exp()
    s = e.sum(-1)
    t = (e * d).sum(-1)
    lse = s.log() + x.amax(dim=-1)
    return lse, x.gather(-1, tokens[:, None])[:, 0] - lse, s.log() - t / s


def ours(metrics: list[str], threads: int) -> Peer:
    def run(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        stats = crystal.token_stats(logits, tokens, backend="cpu", metrics=metrics, threads=threads)
        return stats.logsumexp, stats.logprob, stats.entropy

    return run


def read(logits: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The bandwidth that is there: one sum over the bytes as 64-bit integers."""
    return (logits.view(torch.int64).sum(),)


def check(name: str, got: tuple[torch.Tensor, ...], logits: torch.Tensor, tokens: torch.Tensor) -> float:
    """Return the largest error of logprob and entropy in nats; a wrong answer is not timed."""
    logp = torch.log_softmax(logits.double(), dim=-1)
    want = logp.gather(-1, tokens[:, None])[:, 0], -(logp.exp() * logp).sum(-1)
    error = max(float((a.double() - b).abs().max()) for a, b in zip(got[1:], want, strict=True))
    assert error < 1e-3, f"{name} is off by {error}"
    return error


def measure(
    peers: dict[str, Peer], logits: torch.Tensor, tokens: torch.Tensor, rounds: int
) -> dict[str, Any]:
    """Interleave the peers and keep each one's best CPU time and wall time."""
    best: dict[str, Any] = {name: {"cpu_s": float("inf"), "wall_s": float("inf")} for name in peers}
    sample = slice(0, min(8, len(tokens)))
    for name, peer in peers.items():
        answer = peer(logits[sample], tokens[sample])
        if len(answer) == 3:
            best[name]["error_nats"] = check(name, answer, logits[sample], tokens[sample])
        peer(logits, tokens)
    for _ in range(rounds):
        for name, peer in peers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            peer(logits, tokens)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            best[name]["cpu_s"] = min(best[name]["cpu_s"], cpu)
            best[name]["wall_s"] = min(best[name]["wall_s"], wall)
    size = logits.numel() * logits.element_size()
    for result in best.values():
        result["gb_per_cpu_s"] = size / result["cpu_s"] / 1e9
    return best


def main() -> None:
    arguments = token_command.parse(__doc__, tokens=2000, rounds=3)
    results: dict[str, Any] = {}
    for dtype in arguments.dtypes:
        generator = torch.Generator().manual_seed(0)
        logits = token_command.normal_logits(arguments, generator).to(getattr(torch, dtype))
        tokens = torch.randint(0, arguments.vocabulary, (arguments.tokens,), generator=generator)
        peers: dict[str, Peer] = {
            "read": read,
            "crystal core": ours(CORE, arguments.threads),
            "crystal standard": ours(STANDARD, arguments.threads),
            "crystal all ten": ours(TEN, arguments.threads),
        }
        if not arguments.no_compile:
            peers["torch.compile, core"] = torch.compile(fused, dynamic=False)
        peers |= {"training-library style, core": by_row, "eager torch, core": eager}
        results[dtype] = measure(peers, logits, tokens, arguments.rounds)
        core = results[dtype]["crystal core"]["cpu_s"]
        for name, result in results[dtype].items():
            print(
                f"{dtype:9} {name:30} {result['cpu_s'] * 1e3:9.1f} ms CPU {result['gb_per_cpu_s']:6.2f} GB/s "
                f"{result['cpu_s'] / core:6.2f} x core  error {result.get('error_nats', float('nan')):.1e}"
            )
    token_command.write(arguments, results)


if __name__ == "__main__":
    main()
