"""Run the fused kernel on tensors: tiles, vocabulary splits, and the state they leave."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from triton import cdiv

from .linear_token_stats import linear_kernel
from .token_fields import STATE_COUNTS, STATE_FLOATS
from .token_launch import INTERPRETED, whole_state

_LOG2E = 1.4426950408889634
# Programs that fill a GPU; with fewer blocks of rows the vocabulary is split.
_FILLING_PROGRAMS = 256


@dataclass(frozen=True, slots=True)
class Tile:
    """One program: `rows` x `ids` logits at a time, products of `width` hidden values, on `warps` warps."""

    rows: int
    ids: int
    width: int
    warps: int
    stages: int


def tile_for(dtype: str) -> Tile:
    """Return the tile for a dtype, the same for every GPU: the largest that compiles without a spill on all.

    float32 products are exact ones, made by ordinary units.
    """
    return Tile(16, 64, 16, 4, 2) if dtype == "float32" else Tile(16, 128, 64, 4, 2)


def launch_linear(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    *,
    bias: torch.Tensor | None = None,
    first_id: int = 0,
    chosen: torch.Tensor | None = None,
    splits: int | None = None,
    tile: Tile | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the state of hidden @ weight.T + bias: floats [8, rows] float64 and counts [4, rows] int64.

    Parameters
    ----------
    hidden : torch.Tensor
        [rows, width], stride 1 along the width.
    weight : torch.Tensor
        [vocabulary, width] of the same dtype, stride 1 along the width; or the ids from `first_id` on.
    tokens : torch.Tensor
        Integer ids [rows], contiguous, none of them to be ignored. Nothing is checked here.
    bias : torch.Tensor, optional
        [vocabulary], contiguous.
    chosen : torch.Tensor, optional
        float32 logits of the tokens, where they may lie in another part.
    splits, tile : optional
        Override the layout.
    """
    rows, (vocabulary, width) = tokens.numel(), weight.shape
    tile = tile or tile_for(str(hidden.dtype).removeprefix("torch."))
    blocks = cdiv(max(rows, 1), tile.rows)
    parts = splits or max(1, min(cdiv(_FILLING_PROGRAMS, blocks), vocabulary // 4096))
    split = cdiv(cdiv(vocabulary, parts), tile.ids) * tile.ids
    parts = cdiv(vocabulary, split)
    floats = torch.zeros((len(STATE_FLOATS), parts, rows), dtype=torch.float32, device=hidden.device)
    counts = torch.zeros((len(STATE_COUNTS), parts, rows), dtype=torch.int32, device=hidden.device)
    if rows:
        linear_kernel[(blocks, parts)](
            hidden, weight, weight if bias is None else bias, tokens, tokens if chosen is None else chosen,
            floats, counts, rows, width, vocabulary, split, hidden.stride(0), weight.stride(0), first_id,
            _LOG2E / temperature,
            M=tile.rows, N=tile.ids, D=tile.width, BIAS=bias is not None, GIVEN=chosen is not None,
            WIDEN=INTERPRETED and hidden.dtype == torch.bfloat16,
            num_warps=tile.warps, num_stages=tile.stages, enable_fp_fusion=True,
        )  # fmt: skip
    return whole_state(floats, counts, temperature)
