"""The plain PyTorch form of the divergence of two rows: the others are tested against it.

It works in float32 or float64, in blocks of rows whose temporaries stay near 64 MiB.
"""

from __future__ import annotations

import math

import torch

from .divergence_sums import SUMS, finish, levels_of
from .token_fields import LARGEST
from .token_reference import reference_state

_LOG2E = 1.0 / math.log(2.0)
_BLOCK_BYTES = 64 << 20
_TEMPORARIES = 16
# exp(-v) - 1 + v = v^2 (1/2 - v/6 + v^2/24 - ...), to the last digit of float64 where v is below 1/2.
_SERIES = [(-1.0) ** k / math.factorial(k) for k in range(16, 1, -1)]
_SERIES_END = 0.5
# z + (1 - z) log(1 - z) = z^2 (1/2 + z/6 + z^2/12 + ...), where z is below 1/16.
_LOG_SERIES = [1.0 / (k * (k - 1)) for k in range(14, 1, -1)]
_LOG_SERIES_END = 0.0625


def reference_sums(
    p_logits: torch.Tensor,
    q_logits: torch.Tensor,
    tokens: torch.Tensor,
    levels: torch.Tensor,
    temperature: float,
    *,
    first_id: int = 0,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Return ``SUMS`` [11, tokens] in float64 of rows, or of the columns from `first_id` on.

    Parameters
    ----------
    p_logits, q_logits : torch.Tensor
        [..., vocabulary], of one shape.
    tokens : torch.Tensor
        Ids of the leading shape; the chosen logits are NaN where an id lies outside.
    levels : torch.Tensor
        [2, tokens] float64, T logsumexp of both sides over the whole vocabulary.
    temperature : float
        Divides the logits.
    dtype : torch.dtype
        Precision of the arithmetic; the sums themselves are float64.
    """
    vocabulary = p_logits.shape[-1]
    ids = tokens.reshape(-1).to(torch.int64) - first_id
    rows = ids.numel()
    block = max(1, _BLOCK_BYTES // (vocabulary * dtype.itemsize * _TEMPORARIES))
    time = p_logits.shape[1] if p_logits.ndim == 3 else 1
    sums = torch.zeros((len(SUMS), rows), dtype=torch.float64, device=p_logits.device)
    for begin in range(0, rows, block):
        part = torch.arange(begin, min(begin + block, rows), device=p_logits.device)
        where = (part // time, part % time) if p_logits.ndim == 3 else part
        # Indexing copies one block of rows only, whatever the strides are.
        x, y = p_logits[where].to(dtype), q_logits[where].to(dtype)
        sums[:9, part] = _block_sums(x, y, levels[:, part], temperature)
        own = ids[part]
        inside = (own >= 0) & (own < vocabulary)
        place = torch.where(inside, own, 0)[:, None]
        for row, side in ((9, x), (10, y)):
            sums[row, part] = torch.where(inside, side.gather(1, place)[:, 0], math.nan).double()
    return sums


def _block_sums(x: torch.Tensor, y: torch.Tensor, levels: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the first nine of ``SUMS`` for a block of rows, in the precision they have."""
    x, y = x.clamp(min=-LARGEST), y.clamp(min=-LARGEST)
    apart = x - y
    w = _below(apart, levels[0] - levels[1]) / temperature
    larger = torch.exp2(torch.maximum(_below(x, levels[0]), _below(y, levels[1])) * (_LOG2E / temperature))
    v = w.abs() / 2.0
    s, h = torch.exp(-v), -torch.expm1(-v)
    f = torch.where(v < _SERIES_END, v * v * _horner(_SERIES, v.clamp(max=_SERIES_END)), v - h)
    square = h * h
    steep, flat = 2.0 * f, 2.0 * s * (v * h - f)
    g = h * (1.0 + s)
    z = g / 2.0
    mean = torch.where(z < _LOG_SERIES_END, z * z * _horner(_LOG_SERIES, z), z + (1.0 - z) * torch.log1p(-z))
    more = w > 0
    smaller = larger * s * s
    shared = smaller * (1.0 - smaller)
    ulps = shared * _power(x) * _power(x) + shared * _power(y) * _power(y)
    terms = (
        larger * torch.where(more, steep, flat),
        larger * torch.where(more, flat, steep),
        larger * square,
        larger * ((flat + square) / 2.0 - mean),
        larger * g,
        larger * torch.where(more, g, 0.0),
        ulps,
    )
    ends = (apart.amax(1).clamp(min=0.0), apart.amin(1).clamp(max=0.0))
    return torch.stack([*(term.sum(1).double() for term in terms), *(end.double() for end in ends)])


def _below(x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Return x - level without the rounding of the level to the precision of x."""
    high = level.to(x.dtype)
    low = (level - high.double()).to(x.dtype)
    return (x - high[:, None]) - low[:, None]


def _horner(coefficients: list[float], v: torch.Tensor) -> torch.Tensor:
    value = torch.full_like(v, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * v + coefficient
    return value


def _power(x: torch.Tensor) -> torch.Tensor:
    """Return the largest power of two that |x| reaches, 0 for 0."""
    # The bits of the exponent alone.
    if x.dtype == torch.float64:
        return (x.view(torch.int64) & 0x7FF0000000000000).view(torch.float64)
    return (x.view(torch.int32) & 0x7F800000).view(torch.float32)


def reference_divergence(
    p_logits: torch.Tensor,
    q_logits: torch.Tensor,
    tokens: torch.Tensor,
    temperature: float = 1.0,
    *,
    ignored_id: int = -100,
    dtype: torch.dtype = torch.float64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``DIVERGENCES`` [7, tokens] and the status of whole rows."""
    p, q = (
        reference_state(side, tokens, temperature, ignored_id=ignored_id, dtype=dtype)
        for side in (p_logits, q_logits)
    )
    levels, status = levels_of(torch, p, q, temperature)
    sums = reference_sums(p_logits, q_logits, tokens, levels, temperature, dtype=dtype)
    name = str(p_logits.dtype).removeprefix("torch.")
    return finish(torch, sums, levels, status, temperature, name), status
