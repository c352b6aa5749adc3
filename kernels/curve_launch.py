"""Run the temperature kernel on tensors: which temperatures go together, and how splits are joined."""

from __future__ import annotations

import torch
from triton import cdiv

from .curve_merge import merge_curves
from .temperature_curve import curve_kernel
from .token_launch import Block, splits_for

_LOG2E = 1.4426950408889634
# Temperatures of one launch, the most whose sums stay in registers on every target; a longer grid takes as
# many launches, each of which reads the logits again.
MOST = 16


def curve_block(vocabulary: int, dtype: str) -> Block:
    """Return the layout: a lane holds half of what it holds in token_stats, for many sums need registers."""
    wide = 2 if dtype == "float32" else 1
    return Block(2 * wide, 256, 8) if vocabulary >= 4096 else Block(wide, 32, 1)


def chains_of(temperatures: list[float]) -> list[list[int]]:
    """Cut a grid into chains T, T/2, T/4 of places, hottest first; others are alone."""
    chains: list[list[int]] = []
    left = sorted(range(len(temperatures)), key=lambda k: -temperatures[k])
    while left:
        chain = [left.pop(0)]
        for k in list(left):
            whole = temperatures[chain[-1]]
            if len(chain) < 3 and abs(2.0 * temperatures[k] - whole) <= 1e-12 * whole:
                chain.append(k)
                left.remove(k)
        chains.append(chain)
    return chains


def groups_of(chains: list[list[int]]) -> list[list[list[int]]]:
    """Share chains out over launches of at most MOST temperatures each."""
    groups: list[list[list[int]]] = []
    for chain in sorted(chains, key=len, reverse=True):
        home = next((g for g in groups if sum(map(len, g)) + len(chain) <= MOST), None)
        if home is None:
            groups.append(home := [])
        home.append(chain)
    return groups


def launch_curves(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    temperatures: torch.Tensor,
    *,
    ignored_id: int,
    splits: int | None = None,
    block: Block | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest logits [rows] and the sums [3, temperatures, rows], float64.

    Parameters
    ----------
    logits : torch.Tensor
        [tokens, vocabulary] or [batch, time, vocabulary], stride 1 along the vocabulary.
    tokens : torch.Tensor
        Integer ids of the leading shape, contiguous; only `ignored_id` matters. Nothing is checked here.
    temperatures : torch.Tensor
        float64 [temperatures, 1] for all rows, or [temperatures, rows].
    splits, block : optional
        Override what :func:`splits_for` and :func:`curve_block` say.
    """
    vocabulary, rows = logits.shape[-1], tokens.numel()
    block = block or curve_block(vocabulary, str(logits.dtype).removeprefix("torch."))
    parts = splits or splits_for(rows, vocabulary)
    split = cdiv(cdiv(vocabulary, parts), 8) * 8
    parts = cdiv(vocabulary, split)
    time = logits.shape[1] if logits.ndim == 3 else max(rows, 1)
    shared = temperatures.shape[1] == 1
    # Temperatures of a row's own are no grid: each is a chain of itself.
    chains = chains_of(temperatures[:, 0].tolist()) if shared else [[k] for k in range(len(temperatures))]
    maximum = torch.zeros((parts, rows), dtype=torch.float32, device=logits.device)
    whole = torch.zeros((3, len(temperatures), rows), dtype=torch.float64, device=logits.device)
    joint = maximum[0].double()
    for group in groups_of(chains) if rows else []:
        places = [k for chain in group for k in chain]
        linked = tuple(int(link > 0) for chain in group for link in range(len(chain)))
        scales = (_LOG2E / temperatures[places]).float().to(logits.device).contiguous()
        sums = torch.zeros((len(places), 3, parts, rows), dtype=torch.float32, device=logits.device)
        curve_kernel[(rows, parts)](
            logits, tokens, scales, maximum, sums,
            vocabulary, split, logits.stride(0) if logits.ndim == 3 else 0, logits.stride(-2), time, rows,
            ignored_id, scales.stride(0), 0 if shared else 1,
            J=block.runs, R=block.lanes, K=block.rest, LINKED=linked, num_warps=block.warps,
            enable_fp_fusion=True,
        )  # fmt: skip
        exact = temperatures[places].to(logits.device)
        planes = sums.double().permute(2, 1, 0, 3)
        state = maximum[0].double(), planes[0]
        for part in range(1, parts):
            state = merge_curves(torch, state, (maximum[part].double(), planes[part]), exact)
        joint = state[0]
        whole[:, places] = state[1]
    return joint, whole
