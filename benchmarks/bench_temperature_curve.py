"""What a further temperature costs: CPU time of temperature curves beside one read a temperature.

Run ``python benchmarks/bench_temperature_curve.py`` (torch needed). Rounds are interleaved, every answer is
checked against float64 before it is timed. Sizes by ``--tokens`` and ``--vocabulary``; ``--json FILE`` keeps
the numbers with the machine's card.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import token_command
import torch

import crystal

GRIDS = {
    "1 temperature": [1.0],
    "8, no pair T and T/2": [0.31, 0.47, 0.66, 0.83, 1.0, 1.19, 1.37, 1.53],
    "3: T, T/2, T/4": [1.0, 0.5, 0.25],
    "9, ratio sqrt 2": [4.0 * 2.0 ** (-k / 2) for k in range(9)],
}
MANY = GRIDS["8, no pair T and T/2"]


def ours(grid: list[float], threads: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: crystal.temperature_curve(x, grid, backend="cpu", threads=threads).entropy


def one_read_each(grid: list[float], threads: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The peer within crystal: token_stats, once a temperature."""
    names = ["entropy", "varentropy"]

    def run(x: torch.Tensor) -> torch.Tensor:
        ids = torch.zeros(len(x), dtype=torch.int64)
        stats = [crystal.token_stats(x, ids, t, backend="cpu", metrics=names, threads=threads) for t in grid]
        return torch.stack([s.entropy for s in stats], -1)

    return run


def eager(grid: list[float]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What one writes first."""

    def run(x: torch.Tensor) -> torch.Tensor:
        found = []
        for t in grid:
            logp = torch.log_softmax(x.float() / t, dim=-1)
            p = logp.exp()
            mean = (p * x.float()).sum(-1)
            _ = (p * (x.float() - mean[:, None]) ** 2).sum(-1) / t**2
            found.append(-(p * logp).sum(-1))
        return torch.stack(found, -1)

    return run


def check(name: str, got: torch.Tensor, x: torch.Tensor, grid: list[float]) -> float:
    want = [torch.special.entr(torch.softmax(x.double() / t, -1)).sum(-1) for t in grid]
    error = float((got.double() - torch.stack(want, -1)).abs().max())
    assert error < 1e-3, f"{name} is off by {error}"
    return error


def main() -> None:
    arguments = token_command.parse(__doc__, tokens=200, rounds=5, compiled=False)
    results: dict[str, Any] = {}
    for dtype in arguments.dtypes:
        logits = token_command.normal_logits(arguments, torch.Generator().manual_seed(0))
        logits = logits.to(getattr(torch, dtype))
        peers = {name: (grid, ours(grid, arguments.threads)) for name, grid in GRIDS.items()}
        peers["token_stats, once"] = [1.0], one_read_each([1.0], arguments.threads)
        peers["token_stats, 8 times"] = MANY, one_read_each(MANY, arguments.threads)
        peers["eager torch, 1 temperature"] = [1.0], eager([1.0])
        best = dict.fromkeys(peers, float("inf"))
        errors = {name: check(name, run(logits[:8]), logits[:8], grid) for name, (grid, run) in peers.items()}
        for _ in range(arguments.rounds):
            for name, (_, run) in peers.items():
                start = time.process_time()
                run(logits)
                best[name] = min(best[name], time.process_time() - start)
        first = best["1 temperature"]
        results[dtype] = {name: {"cpu_s": best[name], "error_nats": errors[name]} for name in peers}
        for name, (grid, _) in peers.items():
            extra = f"{(best[name] - first) / (len(grid) - 1) / first:.2f}" if len(grid) > 1 else "-"
            print(
                f"{dtype:9} {name:28} {best[name] * 1e3:8.1f} ms CPU  "
                f"a further temperature {extra} of the first  error {errors[name]:.1e}"
            )
    token_command.write(arguments, results)


if __name__ == "__main__":
    main()
