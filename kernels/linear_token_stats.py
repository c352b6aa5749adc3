"""Triton: the state of every row of hidden @ weight.T, without the logits: the low-memory form.

A program holds M rows of hidden states and goes through its split of the vocabulary in tiles of N ids: a tile
of logits is a matrix product in float32 registers, is added to the state of its rows, and is gone. Memory is
the state; the price is that every M rows read the whole weight again, so the form that multiplies in large
chunks is the fast one.
"""
# Triton's own types exist only while it compiles, so its functions carry no annotations.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

from .token_fields import LARGEST
from .token_stats import clamp

_LARGEST = tl.constexpr(LARGEST)
_NO_INDEX = tl.constexpr(2**31 - 1)


@triton.jit
def _product(hidden, weight, row, real, ids, valid, stride_row, stride_id, width,
             M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, WIDEN: tl.constexpr):  # fmt: skip
    """Return logits [M, N] of some rows and ids in float32."""
    logits = tl.zeros([M, N], tl.float32)
    for begin in range(0, width, D):
        column = begin + tl.arange(0, D)
        inside = column < width
        h = tl.load(
            hidden + row[:, None] * stride_row + column[None, :],
            mask=real[:, None] & inside[None, :],
            other=0.0,
        )
        w = tl.load(
            weight + ids[:, None] * stride_id + column[None, :],
            mask=valid[:, None] & inside[None, :],
            other=0.0,
        )
        if WIDEN:  # the interpreter multiplies the bits of bfloat16, not its numbers
            h = h.to(tl.float32)
            w = w.to(tl.float32)
        logits = tl.dot(h, tl.trans(w), logits, input_precision="ieee")
    return logits


@triton.jit(do_not_specialize=["rows", "vocab", "split", "first_id"])
def linear_kernel(
    hidden, weight, bias, tokens, chosen_logits, floats, counts,
    rows, width, vocab, split, stride_row: tl.int64, stride_id: tl.int64, first_id, scale,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr,
    BIAS: tl.constexpr, GIVEN: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """Write the state of one split of M rows: floats [8, splits, rows] float32 and counts [4, ...] int32."""
    row = tl.program_id(0).to(tl.int64) * M + tl.arange(0, M)
    part = tl.program_id(1)
    real = row < rows
    begin = part * split
    end = tl.minimum(vocab, begin + split)
    # The token's place in these columns; it may lie in another part.
    local = tl.load(tokens + row, mask=real, other=0).to(tl.int64) - first_id
    inside = real & (local >= 0) & (local < vocab)
    if GIVEN:
        chosen = tl.load(chosen_logits + row, mask=real, other=0.0)
    else:
        # The diagonal of a product of the same make as the tiles', so that ties stay ties.
        own = _product(
            hidden, weight, row, real, tl.where(inside, local, 0), inside, stride_row, stride_id, width,
            M, M, D, WIDEN,
        )  # fmt: skip
        diagonal = tl.arange(0, M)[:, None] == tl.arange(0, M)[None, :]
        chosen = tl.sum(tl.where(diagonal, own, 0.0), axis=1)
        if BIAS:
            chosen += tl.load(bias + local, mask=inside, other=0.0).to(tl.float32)
        chosen = tl.where(inside, chosen, float("nan"))

    maximum = tl.full([M], -_LARGEST, tl.float32)
    shift = maximum * scale
    s = tl.zeros([M], tl.float32)
    t, u, q, greater, equal, above = s, s, s, s, s, s
    best = tl.full([M], _NO_INDEX, tl.int32)
    for first in range(begin, end, N):
        ids = first + tl.arange(0, N)
        valid = ids < end
        x = _product(
            hidden, weight, row, real, ids.to(tl.int64), valid, stride_row, stride_id, width, M, N, D, WIDEN
        )
        if BIAS:
            x += tl.load(bias + ids, mask=valid, other=0.0).to(tl.float32)[None, :]
        # The token's own column is what its logit was said to be: it equals itself, whatever was rounded.
        x = tl.where(ids[None, :] == local[:, None], chosen[:, None], x)
        x = tl.where(valid[None, :], x, float("-inf"))
        tile_peak = tl.max(x, axis=1)
        place = tl.min(tl.where(x == tile_peak[:, None], ids[None, :], _NO_INDEX), axis=1)
        best = tl.where(tile_peak > maximum, place, best)
        maximum = tl.maximum(maximum, tile_peak)
        new_shift = maximum * scale
        delta = clamp(shift - new_shift)
        keep = tl.exp2(delta)
        d = clamp(tl.fma(x, scale, -new_shift[:, None]))
        e = tl.exp2(d)
        ed = e * d
        beyond = tl.where(x > chosen[:, None], 1.0, 0.0)
        greater += tl.sum(beyond, axis=1)
        equal += tl.sum(tl.where((x == chosen[:, None]) & valid[None, :], 1.0, 0.0), axis=1)
        above = keep * above + tl.sum(beyond * e, axis=1)
        u = keep * (u + delta * (2.0 * t + delta * s)) + tl.sum(ed * d, axis=1)
        t = keep * (t + delta * s) + tl.sum(ed, axis=1)
        s = keep * s + tl.sum(e, axis=1)
        q = keep * keep * q + tl.sum(e * e, axis=1)
        shift = new_shift

    out = part.to(tl.int64) * rows + row
    plane = tl.num_programs(1).to(tl.int64) * rows
    tl.store(floats + out, maximum, mask=real)
    tl.store(floats + plane + out, shift, mask=real)
    tl.store(floats + 2 * plane + out, s, mask=real)
    tl.store(floats + 3 * plane + out, t, mask=real)
    tl.store(floats + 4 * plane + out, u, mask=real)
    tl.store(floats + 5 * plane + out, q, mask=real)
    tl.store(floats + 6 * plane + out, chosen, mask=real)
    tl.store(floats + 7 * plane + out, above, mask=real)
    tl.store(counts + out, tl.where(best == _NO_INDEX, -1, best + first_id.to(tl.int32)), mask=real)
    tl.store(counts + plane + out, greater.to(tl.int32), mask=real)
    tl.store(counts + 2 * plane + out, equal.to(tl.int32), mask=real)
    tl.store(counts + 3 * plane + out, tl.zeros([M], tl.int32), mask=real)
