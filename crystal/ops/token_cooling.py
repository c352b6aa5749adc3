"""The temperature at which one model's token distributions are nearest to another's, per token and pooled.

With x the base's logits, q the tuned distribution and p_b ~ exp(b x) at b = 1 / T, the divergence
f(b) = sum over tokens of KL(q | p_b) is convex: f' = sum of E_p[x] - E_q[x] and f'' = sum of Var_p[x] >= 0.
Its minimum is the root of f', found by Newton's method inside a bracket; every step is one read of the base's
logits for the pooled temperature and all tokens' own, as energy is -E_p[x] and heat capacity b^2 Var_p[x].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.kernels import token_fields
from crystal.ops import token_backends, token_inputs
from crystal.ops.token_curves import curves_at
from crystal.ops.token_fold import host
from crystal.ops.token_inputs import TokenInput

Floats = npt.NDArray[np.float64]
EXCLUDED = 8  # status: the tuned model gives probability to what is impossible in the base
_BLOCK_BYTES = 64 << 20
_TEMPORARIES = 8
_COLDEST, _HOTTEST = token_fields.MIN_TEMPERATURE, token_fields.MAX_TEMPERATURE
# One read brackets every root; neighbours share exponentials.
_GRID = np.array([_HOTTEST, *(2.0**k for k in range(4, -4, -1)), _COLDEST])
_STEP = 1e-7
_STEPS = 60


@dataclass(frozen=True, slots=True)
class CoolingFit:
    """What :func:`fit` finds; arrays are NumPy's, one entry a token, NaN where `status` is not 0.

    Attributes
    ----------
    inverse : float
        1 / T of all tokens together; NaN if none is good.
    inverses : numpy.ndarray
        1 / T of each token by itself.
    before, pooled, own : numpy.ndarray
        KL(q | p) in nats at temperature 1, at the pooled one, and at the token's own.
    slope, curvature : numpy.ndarray
        E_p[x] - E_q[x] and Var_p[x] at the pooled temperature.
    status : numpy.ndarray
        0, the bits of :class:`crystal.ops.tokens.TokenStats` for either model, or 8 (`EXCLUDED`).
    """

    inverse: float
    inverses: Floats
    before: Floats
    pooled: Floats
    own: Floats
    slope: Floats
    curvature: Floats
    status: npt.NDArray[np.int64]


def fit(
    base: TokenInput, tuned: TokenInput, backend: str, *, ignored_id: int, threads: int = 0
) -> CoolingFit:
    """Find the temperatures of checked inputs of one shape and library; rows ignored in either stay out."""
    ones = np.ones(int(np.prod(base.shape, dtype=np.int64)))
    skipped = [host(g.tokens).reshape(-1) == ignored_id for g in (base, tuned)]
    status = np.where(skipped[0] | skipped[1], token_fields.IGNORED, 0)
    before, target, status = _cross(base, tuned, ones, status)
    good = status == 0
    inverse, inverses, slope, curvature = np.nan, ones * np.nan, ones * np.nan, ones * np.nan
    if good.any():
        given = _masked(base, good, ignored_id)

        def slopes(temperatures: Floats) -> tuple[Floats, Floats]:
            found = curves_at(given, temperatures, backend, ignored_id=ignored_id, threads=threads)
            energy, capacity = host(found[1]), host(found[2])
            return -energy - target, capacity * temperatures**2

        inverse, inverses = _roots(slopes, good)
        (slope,), (curvature,) = slopes(np.full((1, 1), 1.0 / inverse))
    pooled, _, _ = _cross(base, tuned, ones * inverse, status)
    own, _, _ = _cross(base, tuned, inverses, status)
    return CoolingFit(inverse, inverses, before, pooled, own, slope, curvature, status)


def _roots(slopes: Any, good: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    """Return the pooled root and every token's own; a token without one in the range gets its border."""

    def with_sum(temperatures: Floats) -> tuple[Floats, Floats]:
        slope, curvature = slopes(temperatures)
        totals = [np.where(good, x, 0.0).sum(axis=1, keepdims=True) for x in (slope, curvature)]
        return np.hstack([totals[0], slope]), np.hstack([totals[1], curvature])

    def at(inverse: Floats) -> tuple[Floats, Floats]:
        # The sum needs every token at the pooled temperature, each token only its own.
        both = np.stack([np.full(good.size, inverse[0]), inverse[1:]])
        slope, curvature = with_sum(1.0 / both)
        return np.append(slope[0, 0], slope[1, 1:]), np.append(curvature[0, 0], curvature[1, 1:])

    found, _ = with_sum(_GRID[:, None])
    columns, rising = np.arange(found.shape[1]), 1.0 / _GRID
    # f' grows with 1 / T: how many of the grid, from the hottest on, lie below the root.
    below = np.where(np.isnan(found), 0, found < 0).sum(axis=0)
    low = rising[np.maximum(below - 1, 0)]
    high = rising[np.minimum(below, _GRID.size - 1)]
    done = (low >= high) | ~np.append(True, good)
    inverse = np.sqrt(low * high)
    for _ in range(_STEPS):
        if done.all():
            break
        slope, curvature = at(inverse)
        low, high = np.where(slope < 0, inverse, low), np.where(slope < 0, high, inverse)
        with np.errstate(all="ignore"):
            moved = inverse - slope / curvature
        # Where Newton's step leaves the bracket (or there is no curvature), the bracket is halved.
        moved = np.where((moved > low) & (moved < high), moved, np.sqrt(low * high))
        moved = np.where(slope == 0, inverse, moved)
        step = np.abs(moved / inverse - 1.0)
        inverse = np.where(done, inverse, moved)
        done |= step < _STEP
    tokens = inverse[columns[1:]]
    return float(inverse[0]), np.where(good, tokens, np.nan)


def _masked(given: TokenInput, good: npt.NDArray[np.bool_], ignored_id: int) -> TokenInput:
    """Return the input with every row that is not good ignored."""
    ids = np.where(good, 1 if ignored_id == 0 else 0, ignored_id).astype(np.int64).reshape(given.shape)
    tokens: Any = ids
    if given.kind == "torch":
        torch = token_inputs.need_torch("the logits are a torch tensor")
        tokens = torch.from_numpy(ids).to(given.logits.device)
    return TokenInput(given.kind, given.logits, tokens, given.shape, given.dtype, given.on_gpu)


def _cross(
    base: TokenInput, tuned: TokenInput, inverse: Floats, status: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Return KL(q | p) at 1 / T of every row, E_q[x], and the status, in float64 and in blocks of rows."""
    xp = token_backends.array_library(base)
    divergence, mean = np.full(inverse.size, np.nan), np.full(inverse.size, np.nan)
    status = status.copy()
    block = max(1, _BLOCK_BYTES // (base.vocabulary * 8 * _TEMPORARIES))
    rows = np.flatnonzero(status == 0)
    for begin in range(0, rows.size, block):
        index = rows[begin : begin + block]
        x, y = (_lines(given, index) for given in (base, tuned))
        scale = inverse[index][:, None]
        if base.kind == "torch":
            scale = xp.from_numpy(scale).to(x.device)
        found = [host(value) for value in _cross_block(xp, x, y, scale)]
        divergence[index], mean[index], status[index] = found
    bad = status != 0
    divergence[bad & (status != EXCLUDED)] = np.nan
    divergence[status == EXCLUDED] = np.inf
    mean[bad] = np.nan
    return divergence, mean, status


@np.errstate(all="ignore")  # NaN and infinities travel through on purpose
def _cross_block(xp: Any, x: Any, y: Any, inverse: Any) -> tuple[Any, Any, Any]:
    tops = [xp.amax(z, -1) for z in (x, y)]
    empty = (tops[0] <= -token_fields.LARGEST) | (tops[1] <= -token_fields.LARGEST)
    broken = ~(tops[0] <= token_fields.LARGEST) | ~(tops[1] <= token_fields.LARGEST)
    logq, logp = _log_softmax(xp, y), _log_softmax(xp, x * inverse)
    q, p = xp.exp(logq), xp.exp(logp)
    there = q > 0
    # sum q log(q / p) with sum p - sum q = 0 added term by term: no term is negative, so none cancel.
    terms = p - q + xp.where(there, q * (logq - logp), 0.0)
    # A probability that float64 holds, where the base is -inf.
    excluded = (there & (x <= -token_fields.LARGEST)).any(-1)
    status = xp.where(broken, token_fields.INVALID, xp.where(empty, token_fields.EMPTY, 0))
    status = xp.where((status == 0) & excluded, EXCLUDED, status)
    return xp.clip(xp.sum(terms, -1), 0.0, None), xp.sum(xp.where(there, q * x, 0.0), -1), status


def _log_softmax(xp: Any, z: Any) -> Any:
    centred = z - xp.amax(z, -1)[:, None]
    return centred - xp.log(xp.sum(xp.exp(centred), -1))[:, None]


def _lines(given: TokenInput, index: npt.NDArray[np.int64]) -> Any:
    """Return rows as float64 [rows, vocabulary]: a copy of these rows only."""
    logits = given.logits
    time = logits.shape[1] if logits.ndim == 3 else 1
    lines = logits[index // time, index % time] if logits.ndim == 3 else logits[index]
    if given.kind == "torch":
        return lines.double()
    if given.dtype == "bfloat16":
        lines = (lines.astype(np.uint32) << 16).view(np.float32)
    return lines.astype(np.float64)
