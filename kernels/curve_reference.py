"""The plain PyTorch form of the temperature curves, in float32 or float64 and in blocks of rows."""

from __future__ import annotations

import torch

from .curve_merge import LOWEST_DIFFERENCE
from .token_fields import LARGEST

_BLOCK_BYTES = 64 << 20
_TEMPORARIES = 4


def reference_curves(
    logits: torch.Tensor,
    ignored: torch.Tensor,
    temperatures: torch.Tensor,
    dtype: torch.dtype = torch.float64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest logits [rows] and the sums [3, temperatures, rows], float64.

    Parameters
    ----------
    logits : torch.Tensor
        [..., vocabulary].
    ignored : torch.Tensor
        Booleans [rows]: rows whose sums stay zero.
    temperatures : torch.Tensor
        float64 [temperatures, 1] for all rows, or [temperatures, rows].
    dtype : torch.dtype
        Precision of the arithmetic.
    """
    rows, vocabulary = ignored.numel(), logits.shape[-1]
    maximum = torch.full((rows,), -LARGEST, dtype=torch.float64, device=logits.device)
    sums = torch.zeros((3, len(temperatures), rows), dtype=torch.float64, device=logits.device)
    grid = temperatures.expand(-1, rows)
    time = logits.shape[1] if logits.ndim == 3 else 1
    block = max(1, _BLOCK_BYTES // (vocabulary * dtype.itemsize * _TEMPORARIES))
    read = torch.arange(rows, device=logits.device)[~ignored]
    for begin in range(0, len(read), block):
        index = read[begin : begin + block]
        # Indexing copies one block of rows only, whatever the strides are.
        lines = logits[index // time, index % time] if logits.ndim == 3 else logits[index]
        x = lines.to(dtype)
        top = x.amax(dim=1).clamp(min=-LARGEST)
        maximum[index] = top.double()
        d = (x - top[:, None]).clamp_(min=LOWEST_DIFFERENCE)
        for k, t in enumerate(grid[:, index]):
            e = torch.exp(d / t[:, None].to(dtype))
            sums[0, k, index] = e.sum(dim=1).double()
            e *= d
            sums[1, k, index] = e.sum(dim=1).double()
            e *= d
            sums[2, k, index] = e.sum(dim=1).double()
    return maximum, sums
