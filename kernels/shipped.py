"""Every shipped configuration of every Triton kernel: what is compiled ahead of time, checked and tabulated.

To ship a kernel, write a function that yields a :class:`Case` for each of its configurations and add it to
``FAMILIES``; then run ``make kernels``. A case launches as the package does, on tensors of the device
``meta``: they have shapes and no memory. What two cases launch alike is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import torch

from .curve_launch import MOST, curve_block, launch_curves
from .divergence_launch import launch_sums, pair_block_for
from .linear_launch import launch_linear
from .token_fields import LEVELS
from .token_launch import Block, block_for, launch_state, launch_stats

_BITS = {"bfloat16": 16, "float16": 16, "float32": 32}


@dataclass(frozen=True, slots=True)
class Stream:
    """What one thread does in one turn of a streaming kernel's hot loop (on NVIDIA's GPUs).

    Attributes
    ----------
    logits : int
        By how many the instructions of a turn are divided.
    bytes : int
        What the loads of a turn read together, if each logit is loaded once.
    limits : mapping
        Target -> largest number of instructions a logit that is let through.
    rest : int
        How many logits the loop over the rest of a row takes a turn; 0 where rows that are not aligned are
        not held to cost at most 1.3 times as much as aligned ones: below 4,096 logits.
    stores : int
        The largest number of stores to global memory, all of them behind the loops.
    """

    logits: int
    bytes: int
    limits: Mapping[str, float] = field(default_factory=dict)
    rest: int = 0
    stores: int = 16


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration: a name, what launches it, and which of its kernels (by name) stream, and how."""

    name: str
    launch: Callable[[], object]
    streams: Mapping[str, Stream] = field(default_factory=dict)


def token_stats() -> Iterator[Case]:
    """Yield token_stats: dtypes x levels x layouts, with the token's logit read or given."""
    limits = {
        "core": {"sm_80": 9.0, "sm_90": 9.0, "sm_100": 8.0},
        "standard": {"sm_80": 15.0, "sm_90": 15.0, "sm_100": 13.0},
        "all": {"sm_80": 18.5, "sm_90": 18.5, "sm_100": 16.0},
    }
    for dtype, bits in _BITS.items():
        for level in LEVELS:
            for vocabulary in (1 << 17, 2048):
                block = block_for(vocabulary, dtype)
                large = vocabulary > 4096
                turn = _turn(block, bits, limits[level] if large else {}, rest=4 if large else 0)
                logits = torch.empty((8192, vocabulary), dtype=getattr(torch, dtype), device="meta")
                tokens = torch.empty(8192, dtype=torch.int64, device="meta")
                name = f"{dtype}, {level}, {'large' if large else 'small'} vocabulary"
                launch = partial(launch_stats, logits, tokens, 1.0, level=level)
                yield Case(name, launch, {"state_kernel": turn})
                chosen = torch.empty(8192, dtype=torch.float32, device="meta")
                launch = partial(
                    launch_state, logits, tokens, 1.0, level=level, ignored_id=-100, chosen=chosen
                )
                yield Case(f"{name}, a part", launch, {"state_kernel": turn})


def temperature_curve() -> Iterator[Case]:
    """Yield the temperature kernel: dtypes x (one temperature, a chain, two of a row's own, the most)."""
    limits = {"one": 12.5, "T, T/2, T/4": 23.0, "two a row": 19.0, "most": 109.0}
    for (dtype, bits), vocabulary in product(_BITS.items(), (1 << 17, 2048)):
        block, large = curve_block(vocabulary, dtype), vocabulary > 4096
        logits = torch.empty((8192, vocabulary), dtype=getattr(torch, dtype), device="meta")
        tokens = torch.empty(8192, dtype=torch.int64, device="meta")
        grids = {
            "one": torch.ones(1, 1, dtype=torch.float64),
            "T, T/2, T/4": torch.tensor([[1.0], [0.5], [0.25]], dtype=torch.float64),
            "two a row": torch.ones(2, 8192, dtype=torch.float64),
            "most": torch.linspace(1.0, 1.9, MOST, dtype=torch.float64)[:, None],
        }
        for name, grid in grids.items():
            limit = {"sm_90": limits[name]} if dtype == "bfloat16" and large else {}
            # A temperature stores its three sums, and there is one maximum.
            turn = _turn(block, bits, limit, 3 * len(grid) + 1, block.rest if large else 0)
            launch = partial(launch_curves, logits, tokens, grid, ignored_id=-100)
            size = "large" if large else "small"
            yield Case(f"{dtype}, {name}, {size} vocabulary", launch, {"curve_kernel": turn})


def linear_token_stats() -> Iterator[Case]:
    """Yield the fused kernel: dtypes x (whole vocabulary, a part with bias and the token's logit given)."""
    for dtype in _BITS:
        make = partial(torch.empty, dtype=getattr(torch, dtype), device="meta")
        hidden, weight = make((8192, 4096)), make((1 << 17, 4096))
        tokens = torch.empty(8192, dtype=torch.int64, device="meta")
        yield Case(dtype, partial(launch_linear, hidden, weight, tokens, 1.0))
        chosen, bias = torch.empty(8192, dtype=torch.float32, device="meta"), make(1 << 17)
        launch = partial(launch_linear, hidden, weight, tokens, 1.0, bias=bias, chosen=chosen)
        yield Case(f"{dtype}, a part, with bias", launch)


def token_divergence() -> Iterator[Case]:
    """Yield the second read of token_divergence: dtypes x layouts. The first is token_stats at level core."""
    limits = {"sm_80": 34.0, "sm_90": 34.0, "sm_100": 25.0}
    for (dtype, bits), vocabulary in product(_BITS.items(), (1 << 17, 2048)):
        large = vocabulary > 4096
        logits = torch.empty((8192, vocabulary), dtype=getattr(torch, dtype), device="meta")
        tokens = torch.empty(8192, dtype=torch.int64, device="meta")
        levels = torch.empty((2, 8192), dtype=torch.float64, device="meta")
        one = _turn(pair_block_for(vocabulary, dtype), bits, {})
        pair = Stream(2 * one.logits, 2 * one.bytes, limits if large else {})
        launch = partial(launch_sums, logits, logits, tokens, levels, tokens, 1.0)
        size = "large" if large else "small"
        yield Case(f"{dtype}, {size} vocabulary", launch, {"divergence_kernel": pair})


def _turn(block: Block, bits: int, limits: Mapping[str, float], stores: int = 16, rest: int = 0) -> Stream:
    """Return the turn of a layout with a thread a lane: `runs` runs of 16 bytes, and the rest by a few."""
    return Stream(block.runs * 128 // bits, block.runs * 16, limits, rest, stores)


# Name -> the function that yields the cases of that kernel.
FAMILIES: dict[str, Callable[[], Iterator[Case]]] = {
    "token_stats": token_stats,
    "temperature_curve": temperature_curve,
    "linear_token_stats": linear_token_stats,
    "token_divergence": token_divergence,
}
