"""Triton: entropy, energy and heat capacity at several temperatures from one read of the logits.

The layout is that of ``token_stats``: a program reads one row, or one split of it, in tiles [J, R, W] that
are reduced inside a thread. With m a lane's largest logit and d = x - m, every temperature keeps s = sum e,
t = sum e d and u = sum e d^2 of e = 2^(d c), c = log2(e) / T, in registers: the logits are read, converted
and subtracted once for all of them. Temperatures T, T/2, T/4 are a chain: the exponential is taken at T, and
its square and fourth power serve the others, because a GPU has an eighth as many units for exponentials as
for products.
"""
# Triton's own types exist only while it compiles, so its functions carry no annotations.
# mypy: ignore-errors
# Nor does its compiler unpack with a star.
# ruff: noqa: RUF005

from __future__ import annotations

import triton
import triton.language as tl

from .token_fields import LARGEST
from .token_stats import _fold, _load_tile, _peak

_LARGEST = tl.constexpr(LARGEST)
# Exponents of the lowest are 0 at every temperature, and its square is finite.
_LOWEST = tl.constexpr(-1e15)


@triton.jit
def _difference(x, maximum):
    """Return x - maximum, kept out of products of 0 with -inf; NaN goes on."""
    return tl.maximum(x - maximum, _LOWEST, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _add_tile(x, scales, maximum, sums, LINKED: tl.constexpr):
    """Add a tile to the sums of its lanes; padding is -inf."""
    peak = tl.maximum(maximum, _peak(x))
    delta = _difference(maximum, peak)
    d = _difference(x, peak[None, :, None])
    square = d * d
    keep = delta
    e = d
    moved = ()
    for k in tl.static_range(len(LINKED)):
        if LINKED[k]:
            keep = keep * keep
            e = e * e
        else:
            keep = tl.exp2(delta * scales[k])
            e = tl.exp2(d * scales[k])
        s, t, u = sums[k]
        u = keep * (u + delta * (2.0 * t + delta * s)) + _fold(e * square)
        t = keep * (t + delta * s) + _fold(e * d)
        s = keep * s + _fold(e)
        moved = moved + ((s, t, u),)
    return peak, moved


# Nothing is specialised and strides are 64 bits wide, as in token_stats.
@triton.jit(
    do_not_specialize=[
        "logits", "tokens", "scales", "maxima", "sums_out",
        "vocab", "split", "stride_batch", "stride_time", "time", "rows", "ignored_id",
        "scale_step", "scale_row",
    ]
)  # fmt: skip
def curve_kernel(
    logits, tokens, scales, maxima, sums_out,
    vocab, split, stride_batch: tl.int64, stride_time: tl.int64, time, rows, ignored_id,
    scale_step: tl.int64, scale_row: tl.int64,
    J: tl.constexpr, R: tl.constexpr, K: tl.constexpr, LINKED: tl.constexpr,
):  # fmt: skip
    """Write maxima [splits, rows] and sums [temperatures, 3, splits, rows] of one split of a row, float32."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    ignored = tl.load(tokens + row).to(tl.int64) == ignored_id
    begin = part * split
    # An ignored row has no logits: nothing of it is read, and its sums are zero.
    length = tl.where(ignored, 0, tl.minimum(vocab - begin, split))
    start = logits + (row // time) * stride_batch + (row % time) * stride_time + begin
    W: tl.constexpr = 128 // start.dtype.element_ty.primitive_bitwidth
    TILE: tl.constexpr = J * R * W
    misfit = (start.to(tl.int64, bitcast=True) & 15).to(tl.int32)
    head = tl.minimum(((16 - misfit) & 15) * W // 16, length)
    tiles = (length - head) // TILE
    body = tl.multiple_of(start + head, 16)

    scale = ()
    sums = ()
    for k in tl.static_range(len(LINKED)):
        zero = tl.zeros([R], tl.float32)
        scale = scale + (tl.load(scales + k * scale_step + row * scale_row),)
        sums = sums + ((zero, zero, zero),)
    maximum = tl.full([R], -_LARGEST, tl.float32)
    for i in range(tiles):
        x = _load_tile(tl.multiple_of(body + i * TILE, 16), J, R)
        maximum, sums = _add_tile(x, scale, maximum, sums, LINKED)
    index = (tl.arange(0, K)[:, None, None] * R + tl.arange(0, R)[None, :, None]).to(tl.int32)
    for i in range(0, length - tiles * TILE, K * R):
        # The head keeps its place; what follows it lies behind the whole tiles.
        place = index + i
        place = tl.where(place < head, place, place + tiles * TILE)
        x = tl.load(start + place, mask=place < length, other=float("-inf")).to(tl.float32)
        maximum, sums = _add_tile(x, scale, maximum, sums, LINKED)

    # The lanes become one: all move to the largest maximum and are added.
    largest = tl.max(maximum, axis=0)
    delta = _difference(maximum, largest)
    plane = tl.num_programs(1).to(tl.int64) * rows
    out = part.to(tl.int64) * rows + row
    tl.store(maxima + out, largest)
    keep = delta
    for k in tl.static_range(len(LINKED)):
        if LINKED[k]:
            keep = keep * keep
        else:
            keep = tl.exp2(delta * scale[k])
        s, t, u = sums[k]
        at = sums_out + 3 * k * plane + out
        tl.store(at, tl.sum(keep * s, axis=0))
        tl.store(at + plane, tl.sum(keep * (t + delta * s), axis=0))
        tl.store(at + 2 * plane, tl.sum(keep * (u + delta * (2.0 * t + delta * s)), axis=0))
