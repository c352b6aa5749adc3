"""Run the Triton kernels on tensors: block sizes, vocabulary splits, and the buffers between kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from triton import cdiv
from triton.runtime.interpreter import InterpretedFunction

from .token_fields import LEVELS, RESULT_COUNTS, RESULT_FLOATS, STATE_COUNTS, STATE_FLOATS
from .token_finish import finish_kernel
from .token_merge import merge
from .token_stats import state_kernel

# Whether TRITON_INTERPRET was set when the kernels were decorated: only then they read CPU memory.
INTERPRETED = isinstance(state_kernel, InterpretedFunction)

_LOG2E = 1.4426950408889634
_FINISH_ROWS = 128
# Below this many rows a GPU is not filled by one program a row, so the vocabulary is split.
_FILLING_ROWS = 256


@dataclass(frozen=True, slots=True)
class Block:
    """How one program is laid out: `runs` runs of 16 bytes for each of `lanes` lanes, on `warps` warps.

    What no whole tile covers is read `rest` logits a lane at a time; by token_stats always four.
    """

    runs: int
    lanes: int
    warps: int
    rest: int = 2


def block_for(vocabulary: int, dtype: str) -> Block:
    """Return the layout for a vocabulary and a dtype: pinned, as tuning would change the order of sums."""
    wide = 2 if dtype == "float32" else 1  # a run of 16 bytes has 4 logits of float32, 8 of the others
    if vocabulary >= 4096:
        return Block(4 * wide, 128, 4)
    return Block(wide, 32, 1)


def splits_for(rows: int, vocabulary: int) -> int:
    """Return into how many parts the vocabulary of each row is split; it depends on the shape alone."""
    if rows >= _FILLING_ROWS or vocabulary < 65536:
        return 1
    return int(min(cdiv(_FILLING_ROWS, max(rows, 1)), vocabulary // 16384))


def flags(level: str) -> tuple[bool, bool]:
    """Return the kernel's compile-time switches STANDARD and ALL for one of the names in LEVELS."""
    order = list(LEVELS)
    return order.index(level) >= 1, order.index(level) >= 2


def launch_state(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    *,
    level: str,
    ignored_id: int,
    first_id: int = 0,
    chosen: torch.Tensor | None = None,
    splits: int | None = None,
    block: Block | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the state of every split of every row: floats [8, splits, rows] and counts [4, splits, rows].

    Parameters
    ----------
    logits : torch.Tensor
        [tokens, vocabulary] or [batch, time, vocabulary], stride 1 along the vocabulary.
    tokens : torch.Tensor
        Integer ids of the leading shape, contiguous. Nothing is checked here.
    temperature : float
        Divides the logits.
    level : str
        One of the names in ``LEVELS``; fields beyond it are left at zero.
    ignored_id : int
        Rows of this id are not read.
    first_id : int
        The id of the first column, where the logits are one part of a vocabulary.
    chosen : torch.Tensor, optional
        float32 logits of the chosen ids, where they may lie in another part.
    splits, block : optional
        Override what :func:`splits_for` and :func:`block_for` say.
    """
    vocabulary = logits.shape[-1]
    rows = tokens.numel()
    block = block or block_for(vocabulary, str(logits.dtype).removeprefix("torch."))
    parts = splits or splits_for(rows, vocabulary)
    split = cdiv(cdiv(vocabulary, parts), 8) * 8
    parts = cdiv(vocabulary, split)
    time = logits.shape[1] if logits.ndim == 3 else max(rows, 1)
    stride_batch = logits.stride(0) if logits.ndim == 3 else 0
    floats = torch.zeros((len(STATE_FLOATS), parts, rows), dtype=torch.float32, device=logits.device)
    counts = torch.zeros((len(STATE_COUNTS), parts, rows), dtype=torch.int32, device=logits.device)
    if rows:
        standard, everything = flags(level)
        state_kernel[(rows, parts)](
            logits, tokens, tokens if chosen is None else chosen, floats, counts,
            vocabulary, split, stride_batch, logits.stride(-2), time, rows, ignored_id, first_id,
            _LOG2E / temperature,
            J=block.runs, R=block.lanes, STANDARD=standard, ALL=everything,
            GIVEN=chosen is not None, num_warps=block.warps, enable_fp_fusion=True,
        )  # fmt: skip
    return floats, counts


def whole_state(
    floats: torch.Tensor, counts: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge what :func:`launch_state` returns over its splits: float64 [8, rows], int64 [4, rows]."""
    exact = _LOG2E / temperature
    floats, counts = floats.double(), counts.long()
    # The kernel scaled by a float32; with this shift the largest logit's exponent is what it was there.
    floats[1] += floats[0] * (exact - float(torch.tensor(exact, dtype=torch.float32)))
    whole = floats[:, 0], counts[:, 0]
    for part in range(1, floats.shape[1]):
        whole = merge(torch, whole, (floats[:, part], counts[:, part]))
    return whole


def launch_stats(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    *,
    level: str = "all",
    ignored_id: int = -100,
    splits: int | None = None,
    block: Block | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return results [7, rows] float32 (RESULT_FLOATS) and [4, rows] int32 (RESULT_COUNTS) of whole rows.

    The arguments are those of :func:`launch_state`; results beyond the level are left at zero.
    """
    floats, counts = launch_state(
        logits, tokens, temperature, level=level, ignored_id=ignored_id, splits=splits, block=block
    )
    _, parts, rows = floats.shape
    results = torch.zeros((len(RESULT_FLOATS), rows), dtype=torch.float32, device=logits.device)
    places = torch.zeros((len(RESULT_COUNTS), rows), dtype=torch.int32, device=logits.device)
    if rows:
        standard, everything = flags(level)
        finish_kernel[(cdiv(rows, _FINISH_ROWS),)](
            floats, counts, results, places, rows, parts, temperature, _LOG2E / temperature,
            ROWS=_FINISH_ROWS, STANDARD=standard, ALL=everything, num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip
    return results, places
