"""The plain PyTorch form of the token kernels: the others are tested against it, and it runs without them.

Every sum is centred on the row's largest logit, in float32 or float64, in blocks whose temporaries stay near
64 MiB.
"""

from __future__ import annotations

import math

import torch

from .token_fields import IGNORED, LARGEST
from .token_merge import finish

_LOG2E = 1.0 / math.log(2.0)
_BLOCK_BYTES = 64 << 20
_TEMPORARIES = 6


def reference_state(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float,
    *,
    ignored_id: int = -100,
    first_id: int = 0,
    chosen: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the state of each row: floats [8, tokens] float64, counts [4, tokens] int64.

    Parameters
    ----------
    logits : torch.Tensor
        [..., vocabulary]: whole rows, or the columns from `first_id` on.
    tokens : torch.Tensor
        Ids of the leading shape; `ignored_id` marks rows that are skipped.
    temperature : float
        Divides the logits.
    chosen : torch.Tensor, optional
        The logits of the chosen ids, where they may lie in another part of the vocabulary.
    dtype : torch.dtype
        Precision of the arithmetic; the state itself is float64.
    """
    vocabulary = logits.shape[-1]
    ids = tokens.reshape(-1).to(torch.int64)
    given = None if chosen is None else chosen.reshape(-1).to(dtype)
    rows = ids.numel()
    block = max(1, _BLOCK_BYTES // (max(vocabulary, 1) * dtype.itemsize * _TEMPORARIES))
    time = logits.shape[1] if logits.ndim == 3 else 1
    floats, counts = [], []
    for begin in range(0, rows, block):
        index = torch.arange(begin, min(begin + block, rows), device=logits.device)
        # Indexing copies one block of rows only, whatever the strides are.
        lines = logits[index // time, index % time] if logits.ndim == 3 else logits[index]
        part = None if given is None else given[index]
        state = _block_state(lines.to(dtype), ids[index], temperature, ignored_id, first_id, part)
        floats.append(state[0])
        counts.append(state[1])
    if not rows:
        return logits.new_zeros((8, 0), dtype=torch.float64), ids.new_zeros((4, 0))
    return torch.cat(floats, dim=1), torch.cat(counts, dim=1)


def _block_state(
    x: torch.Tensor,
    ids: torch.Tensor,
    temperature: float,
    ignored_id: int,
    first_id: int,
    given: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the state of a block of rows x [rows, vocabulary], in the precision x has."""
    ignored = ids == ignored_id
    x = torch.where(ignored[:, None], -math.inf, x)
    local = ids - first_id
    inside = (local >= 0) & (local < x.shape[1]) & ~ignored
    own = x.gather(1, torch.where(inside, local, 0)[:, None])[:, 0]
    chosen = torch.where(inside, own, math.nan) if given is None else torch.where(ignored, math.nan, given)
    # One number for what is -inf: the floor of every backend. max() hands NaN on.
    maximum = x.amax(dim=1).clamp(min=-LARGEST)
    scale = _LOG2E / temperature
    # x - max first: it is exact near the maximum, where the weight is.
    d = (x - maximum[:, None]).clamp(min=-LARGEST).mul_(scale)
    e = torch.where(x >= -LARGEST, torch.exp2(d), torch.where(x.isnan(), x, 0.0))
    ed = e * d
    beyond = x > chosen[:, None]
    none = maximum <= -LARGEST
    floats = (
        maximum,
        maximum.double() * scale,
        e.sum(dim=1),
        ed.sum(dim=1),
        (ed * d).sum(dim=1),
        (e * e).sum(dim=1),
        chosen,
        torch.where(beyond, e, 0.0).sum(dim=1),
    )
    counts = (
        torch.where(none, -1, x.argmax(dim=1) + first_id),
        beyond.sum(dim=1),
        (x == chosen[:, None]).sum(dim=1),
        torch.where(ignored, IGNORED, 0),
    )
    return torch.stack([value.double() for value in floats]), torch.stack(counts)


def reference_stats(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float = 1.0,
    *,
    ignored_id: int = -100,
    dtype: torch.dtype = torch.float64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return results [7, tokens] (``RESULT_FLOATS``) and [4, tokens] (``RESULT_COUNTS``) of whole rows."""
    floats, counts = reference_state(logits, tokens, temperature, ignored_id=ignored_id, dtype=dtype)
    return finish(torch, floats, counts, temperature)
