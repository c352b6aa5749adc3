"""Run the Triton kernel of the divergence of two rows on tensors."""

from __future__ import annotations

import torch
from triton import cdiv

from .divergence_sums import SUMS, finish, levels_of, merge
from .token_divergence import divergence_kernel
from .token_launch import Block, launch_state, splits_for, whole_state

_LOG2E = 1.4426950408889634


def pair_block_for(vocabulary: int, dtype: str) -> Block:
    """Return the layout for a vocabulary and a dtype: pinned, as tuning would change the order of sums."""
    if vocabulary >= 4096:
        return Block(2, 128, 4)
    return Block(2 if dtype == "float32" else 1, 32, 1)


def launch_sums(
    p_logits: torch.Tensor,
    q_logits: torch.Tensor,
    tokens: torch.Tensor,
    levels: torch.Tensor,
    status: torch.Tensor,
    temperature: float,
    *,
    first_id: int = 0,
    splits: int | None = None,
    block: Block | None = None,
) -> torch.Tensor:
    """Return ``SUMS`` [11, rows] in float64 of rows, or of the columns from `first_id` on.

    Parameters
    ----------
    p_logits, q_logits : torch.Tensor
        [tokens, vocabulary] or [batch, time, vocabulary], stride 1 along the vocabulary. Nothing is checked.
    tokens : torch.Tensor
        int64 ids of the leading shape.
    levels : torch.Tensor
        float64 [2, rows], T logsumexp of both sides over the whole vocabulary.
    status : torch.Tensor
        int64 [rows]; rows where it is not 0 are not read.
    temperature : float
        Divides the logits.
    splits, block : optional
        Override what ``splits_for`` and :func:`pair_block_for` say.
    """
    vocabulary, rows = p_logits.shape[-1], tokens.numel()
    block = block or pair_block_for(vocabulary, str(p_logits.dtype).removeprefix("torch."))
    parts = splits or splits_for(rows, vocabulary)
    split = cdiv(cdiv(vocabulary, parts), 8) * 8
    parts = cdiv(vocabulary, split)
    time = p_logits.shape[1] if p_logits.ndim == 3 else max(rows, 1)
    # What is taken from a logit is not rounded to float32: two floats hold it.
    exact = torch.stack((levels[0], levels[1], levels[0] - levels[1]))
    high = exact.float()
    split_levels = torch.stack((high, (exact - high.double()).float()), dim=1).reshape(6, rows).contiguous()
    raw = torch.zeros((9, parts, rows), dtype=torch.float32, device=p_logits.device)
    if rows:
        divergence_kernel[(rows, parts)](
            p_logits, q_logits, split_levels, status, raw, vocabulary, split,
            p_logits.stride(0) if p_logits.ndim == 3 else 0, p_logits.stride(-2),
            q_logits.stride(0) if q_logits.ndim == 3 else 0, q_logits.stride(-2),
            time, rows, _LOG2E / temperature, 0.5 / temperature,
            J=block.runs, R=block.lanes, num_warps=block.warps, enable_fp_fusion=True,
        )  # fmt: skip
    total = torch.full((len(SUMS), parts, rows), float("nan"), dtype=torch.float64, device=p_logits.device)
    total[:9] = raw.double()
    local = tokens - first_id
    inside = (local >= 0) & (local < vocabulary) & (status.reshape(tokens.shape) == 0)
    own = torch.where(inside, local, 0)[..., None]
    for field, side in ((9, p_logits), (10, q_logits)):
        chosen = side.gather(-1, own)[..., 0].double()
        total[field] = torch.where(inside, chosen, float("nan")).reshape(1, rows)
    whole = total[:, 0]
    for part in range(1, parts):
        whole = merge(torch, whole, total[:, part])
    return whole


def launch_divergence(
    p_logits: torch.Tensor,
    q_logits: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    *,
    ignored_id: int = -100,
    splits: int | None = None,
    block: Block | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``DIVERGENCES`` [7, rows] in float64 and the status of whole rows."""
    sides = [
        whole_state(
            *launch_state(side, tokens, temperature, level="core", ignored_id=ignored_id), temperature
        )
        for side in (p_logits, q_logits)
    ]
    levels, status = levels_of(torch, sides[0], sides[1], temperature)
    sums = launch_sums(p_logits, q_logits, tokens, levels, status, temperature, splits=splits, block=block)
    name = str(p_logits.dtype).removeprefix("torch.")
    return finish(torch, sums, levels, status, temperature, name), status
