"""Times the token kernels on the GPU of this machine, beside a device copy and what the field uses.

Run ``python benchmarks/gpu.py`` on a machine with a GPU, a torch build for it and triton; peers that are not
installed are named as absent (.ci/requirements-peers.txt). Answers are checked against float64 first: a wrong
one of ours ends the run, a wrong one of a peer is reported. ``--tiny`` goes the whole way on a CPU, in
Triton's interpreter: its times mean nothing, it shows that the script runs. (The interpreter multiplies the
bits of bfloat16 numbers, which shows in a peer that multiplies as it loads.)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if "--tiny" in sys.argv:
    # Read when kernels are decorated, so before anything imports triton.
    os.environ["TRITON_INTERPRET"] = "1"
    warnings.filterwarnings("ignore", category=RuntimeWarning)

import torch

sys.path.insert(0, str(Path(__file__).parent))

from token_peers import Outputs, available

import crystal
from crystal.kernels.token_fields import LEVELS, RESULT_COUNTS, RESULT_FLOATS
from crystal.kernels.token_launch import launch_stats

# The largest error that is let through of our own answers: the bar of the tests, with room for other
# hardware's exponentials.
BARS = {"logsumexp": 2e-5, "logprob": 2e-5, "entropy": 2e-5, "varentropy": 2e-4, "collision": 2e-6}
BARS |= {"top1": 2e-6, "mass_above": 5e-6, "argmax": 0, "n_greater": 0, "n_equal": 0}
MAIN_SHAPE = (8192, 151936, "bfloat16")
TARGET_MS = 0.83
GRID = [2.0, 1.0, 0.5]


@dataclass
class Contender:
    """What is timed: how to run it, the bytes it has to read and write, and whose it is."""

    name: str
    run: Callable[[], Any]
    bytes: int
    ours: bool = False
    answers: Callable[[Any], Outputs] | None = None
    milliseconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    errors: dict[str, float] = field(default_factory=dict)
    failed: str | None = None


def exact(logits: torch.Tensor, tokens: torch.Tensor) -> Outputs:
    """The definitions in float64, a few rows at a time."""
    blocks = []
    for x, token in zip(logits.split(64), tokens.split(64), strict=True):
        logp = torch.log_softmax(x.double(), dim=-1)
        p = logp.exp()
        entropy = -(p * logp).sum(-1)
        chosen = x.gather(-1, token[:, None])
        blocks.append(
            {
                "logsumexp": torch.logsumexp(x.double(), dim=-1),
                "logprob": logp.gather(-1, token[:, None])[:, 0],
                "entropy": entropy,
                "varentropy": (p * (-logp - entropy[:, None]) ** 2).sum(-1),
                "collision": (p * p).sum(-1),
                "top1": p.amax(-1),
                "mass_above": torch.where(x > chosen, p, 0.0).sum(-1),
                "argmax": (x == x.amax(-1, keepdim=True)).int().argmax(-1),
                "n_greater": (x > chosen).sum(-1),
                "n_equal": (x == chosen).sum(-1),
            }
        )
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def eager(logits: torch.Tensor, tokens: torch.Tensor) -> Outputs:
    """What training loops write without a kernel: log_softmax by blocks of rows."""
    logprobs, entropies = [], []
    for x, token in zip(logits.split(128), tokens.split(128), strict=True):
        logp = torch.log_softmax(x.float(), dim=-1)
        logprobs.append(logp.gather(-1, token[:, None])[:, 0])
        entropies.append(-(logp.exp() * logp).sum(-1))
    return {"logprob": torch.cat(logprobs), "entropy": torch.cat(entropies)}


def fused(logits: torch.Tensor, tokens: torch.Tensor) -> Outputs:
    """A form by hand that a compiler can fuse, centred on the maximum."""
    x = logits.float()
    m = x.amax(dim=-1, keepdim=True)
    d = x - m
    e = d.exp()
    s, t = e.sum(-1), (e * d).sum(-1)
    logsumexp = s.log() + m[:, 0]
    chosen = x.gather(-1, tokens[:, None])[:, 0]
    return {"logsumexp": logsumexp, "logprob": chosen - logsumexp, "entropy": s.log() - t / s}


def contenders(
    logits: torch.Tensor, tokens: torch.Tensor, tiny: bool
) -> tuple[list[Contender], dict[str, str]]:
    """Return all that is timed, the device copy first, and what is absent with the reason."""
    size = logits.numel() * logits.element_size()
    other = torch.empty_like(logits)
    found = [Contender("device copy (read + write)", lambda: other.copy_(logits), 2 * size)]
    for level in LEVELS:

        def launch(level: str = level) -> Any:
            return launch_stats(logits, tokens, 1.0, level=level)

        def named(got: Any, level: str = level) -> Outputs:
            results = dict(zip((*RESULT_FLOATS, *RESULT_COUNTS), (*got[0], *got[1]), strict=True))
            return {name: results[name] for name in LEVELS[level]}

        found.append(Contender(f"crystal {level}", launch, size, True, named))
    found.append(
        Contender(
            "crystal.token_stats, checks of the input and all",
            lambda: crystal.token_stats(logits, tokens, backend="triton"),
            size,
            True,
            lambda got: {name: getattr(got, name) for name in LEVELS["all"]},
        )
    )
    peers, absent = available()
    found += _ours_beyond(logits, tokens, other, absent)
    compiled = torch.compile(fused, dynamic=False, backend="eager" if tiny else "inductor")
    plain = {"torch.compile of a fused form": compiled, "training-loop style, eager": eager}
    runs = plain | {f"{peer.name} ({peer.version})": peer.run for peer in peers}
    for name, run in runs.items():
        # What a function returns is what it is checked for.
        found.append(Contender(name, lambda run=run: run(logits, tokens), size, False, lambda got: got))  # type: ignore[misc]
    return found, absent


def _ours_beyond(
    logits: torch.Tensor, tokens: torch.Tensor, other: torch.Tensor, absent: dict[str, str]
) -> list[Contender]:
    size = logits.numel() * logits.element_size()
    found = []
    curve = getattr(crystal, "temperature_curve", None)
    if curve is not None:
        at_one = GRID.index(1.0)
        found.append(
            Contender(
                f"crystal.temperature_curve, {len(GRID)} temperatures",
                lambda: curve(logits, GRID, tokens=tokens, backend="triton"),
                size,
                True,
                lambda got: {"entropy": got.entropy[..., at_one]},
            )
        )
    divergence = getattr(crystal, "token_divergence", None)
    if divergence is None:
        absent["crystal.token_divergence"] = "not in this version"
    else:
        # The neighbour checkpoint is the same logits, so every divergence is known: it is zero.
        found.append(
            Contender(
                "crystal.token_divergence (two checkpoints, two reads)",
                lambda: divergence(logits, other, backend="triton"),
                4 * size,
                True,
                lambda got: {"zero": got.kl},
            )
        )
    return found


def check(one: Contender, got: Any, want: Outputs) -> None:
    """Keep the largest error of each answer; a wrong one of ours raises."""
    if one.answers is None:
        return
    for name, value in one.answers(got).items():
        truth = torch.zeros_like(value) if name == "zero" else want[name]
        error = float((value.double() - truth.double()).abs().max())
        one.errors[name] = error
        if one.ours and not error <= BARS.get(name, 1e-6) * max(1.0, float(truth.double().abs().max())):
            raise SystemExit(f"{one.name}: {name} is off by {error:.2e}")


def measure(found: list[Contender], want: Outputs, repeats: int, gpu: bool) -> None:
    """Check every answer, then time all of them round by round."""
    for one in found:
        try:
            if gpu:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
                held = torch.cuda.memory_allocated()
            got = one.run()
            if gpu:
                torch.cuda.synchronize()
                one.peak_bytes = torch.cuda.max_memory_allocated() - held
            check(one, got, want)
            del got
            for _ in range(2 if gpu else 0):
                one.run()
        except Exception as error:
            if one.ours:
                raise
            one.failed = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    for _ in range(repeats):
        for one in found:
            if one.failed is None:
                one.milliseconds.append(_time(one.run, gpu))


def _time(run: Callable[[], Any], gpu: bool) -> float:
    if not gpu:
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end))


def card(gpu: bool) -> dict[str, Any]:
    """Return the machine: GPU, driver, clocks, versions."""
    import triton

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "crystal": crystal.__version__,
        "interpreter": not gpu,
    }
    if not gpu:
        return found | {"gpu": None}
    properties = torch.cuda.get_device_properties(0)
    found |= {"gpu": properties.name, "memory": properties.total_memory, "cuda": torch.version.cuda}
    found |= {"processors": properties.multi_processor_count, "hip": torch.version.hip}
    asked = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit,temperature.gpu"
    try:
        command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader", "--id=0"]
        line = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        found |= dict(zip(asked.split(","), map(str.strip, line.split(",")), strict=True))
    except (OSError, subprocess.CalledProcessError, ValueError):
        found["driver_version"] = "not known: nvidia-smi did not say"
    return found


def report(
    found: list[Contender], absent: dict[str, str], shape: tuple[int, int, str], gpu: bool
) -> dict[str, Any]:
    """Print the table and return it."""
    copy = found[0]
    rate = copy.bytes / statistics.median(copy.milliseconds)
    rows = []
    print(f"{'':58} {'ms':>9} {'GB/s':>8} {'of copy':>8} {'peak MiB':>9}  largest error")
    for one in found:
        row = {name: value for name, value in asdict(one).items() if name not in ("run", "answers")}
        if one.failed is None:
            middle = statistics.median(one.milliseconds)
            row |= {"median_ms": middle, "share_of_copy": one.bytes / middle / rate}
            peak = "" if one.peak_bytes is None else f"{one.peak_bytes / 2**20:.1f}"
            worst = max(one.errors.items(), key=lambda item: item[1], default=None)
            print(
                f"{one.name:58} {middle:9.3f} {one.bytes / middle / 1e6:8.1f} {row['share_of_copy']:8.1%} "
                f"{peak:>9}  {'' if worst is None else f'{worst[0]} {worst[1]:.1e}'}"
            )
        else:
            print(f"{one.name:58} failed: {one.failed}")
        rows.append(row)
    for name, why in absent.items():
        print(f"{name:58} absent: {why}")
    if gpu and shape == MAIN_SHAPE:
        ten = next(row for row in rows if row["name"] == "crystal all")
        print(
            f"all ten: {ten['median_ms']:.3f} ms, target {TARGET_MS} ms on an H100; "
            f"{ten['share_of_copy']:.1%} of the copy, target 90 %"
        )
    return {"results": rows, "absent": absent}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tokens", type=int, default=MAIN_SHAPE[0])
    parser.add_argument("--vocabulary", type=int, default=MAIN_SHAPE[1])
    parser.add_argument("--dtype", default=MAIN_SHAPE[2], choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--odd", action="store_true", help="a row stride of one more: rows are not aligned")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument(
        "--tiny", action="store_true", help="a few logits in Triton's interpreter, on the CPU"
    )
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="where the numbers go")
    given = parser.parse_args()
    gpu = not given.tiny
    if gpu and not torch.cuda.is_available():
        raise SystemExit("no GPU that torch can use: install a torch build for it, or see --tiny")
    rows, columns, repeats = (2, 270, 1) if given.tiny else (given.tokens, given.vocabulary, given.repeats)
    device = torch.device("cuda" if gpu else "cpu")
    generator = torch.Generator(device=device).manual_seed(0)
    shape = rows, columns, given.dtype
    storage = torch.empty((rows, columns + given.odd), dtype=getattr(torch, given.dtype), device=device)
    logits = storage[:, :columns]
    for block in logits.split(512):
        block.copy_(torch.randn(block.shape, generator=generator, device=device) * 3)
    tokens = torch.randint(0, columns, (rows,), generator=generator, device=device)
    with torch.no_grad():
        found, absent = contenders(logits, tokens, given.tiny)
        measure(found, exact(logits, tokens), repeats, gpu)
    result = {"card": card(gpu), "shape": shape, "odd": given.odd} | report(found, absent, shape, gpu)
    given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"written to {given.json}")


if __name__ == "__main__":
    main()
