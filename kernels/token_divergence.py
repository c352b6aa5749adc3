"""Triton: one read of two rows of logits whose normalisers are known gives the sums of all divergences.

The layout is that of ``token_stats``: tiles of R lanes, each with J runs of 16 bytes, in pieces [R, 4]. No
sum is ever rescaled, so each stays apart in its place of a piece until the row ends. Both rows are read from
their first 16-byte boundary on, which has to be at the same logit in both: it is where their addresses agree
modulo 16. Rows that do not agree are read logit by logit.
"""
# Triton's own types exist only while it compiles, so its functions carry no annotations.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import triton
import triton.language as tl

from .token_fields import LARGEST
from .token_stats import _load_pieces

_LARGEST = tl.constexpr(LARGEST)
_LOG2E = tl.constexpr(1.4426950408889634)
# Up to here exp(-v) - 1 + v comes from its series, with a relative error of 3e-7.
_SERIES_END = tl.constexpr(0.35)
_EXPONENT_BITS = tl.constexpr(0x7F800000)


@triton.jit
def _below(x, high, low):
    """Return x less a level that is the sum of two floats."""
    return (x - high) - low


@triton.jit
def _power(x):
    """Return the largest power of two that |x| reaches, 0 for 0."""
    return (x.to(tl.int32, bitcast=True) & _EXPONENT_BITS).to(tl.float32, bitcast=True)


@triton.jit
def _add_pairs(x, y, p_high, p_low, q_high, q_low, gap_high, gap_low, scale, half,
               forward, backward, square, js, apart, more, noise, highest, lowest):  # fmt: skip
    """Add a piece of pairs to ``divergence_sums.SUMS`` in its places. Padding is -inf on both sides."""
    x = tl.maximum(x, -_LARGEST)
    y = tl.maximum(y, -_LARGEST)
    d = x - y
    highest = tl.maximum(highest, d)
    lowest = tl.minimum(lowest, d)
    w = _below(d, gap_high, gap_low)
    larger = tl.exp2(tl.maximum(_below(x, p_high, p_low), _below(y, q_high, q_low)) * scale)
    v = tl.abs(w) * half
    s = tl.exp2(v * -_LOG2E)
    series = v * v * (0.49999985 + v * (-0.16665292 + v * (0.04147028 + v * -0.0074212216)))
    near = v < _SERIES_END
    h = tl.where(near, v - series, 1.0 - s)
    f = tl.where(near, series, v - h)
    hh = h * h
    steep = f + f
    flat = (s + s) * (v * h - f)
    g = h * s + h
    z = 0.5 * g
    # z + (1 - z) log(1 - z) over z^2, up to z = 1/2.
    mean = 0.06592435 + z * (-0.020239018 + z * 0.09682397)
    mean = 0.4999993 + z * (0.16675955 + z * (0.08129741 + z * mean))
    above = w > 0.0
    forward = tl.fma(larger, tl.where(above, steep, flat), forward)
    backward = tl.fma(larger, tl.where(above, flat, steep), backward)
    square = tl.fma(larger, hh, square)
    js = tl.fma(larger, 0.5 * (flat + hh) - mean * (z * z), js)
    part = larger * g
    apart += part
    more += tl.where(above, part, 0.0)
    smaller = larger * s * s
    shared = smaller - smaller * smaller
    a = _power(x)
    b = _power(y)
    noise = tl.fma(shared * a, a, tl.fma(shared * b, b, noise))
    return forward, backward, square, js, apart, more, noise, highest, lowest


# As for state_kernel: nothing is specialised, one dtype is one piece of code.
@triton.jit(
    do_not_specialize=["p_logits", "q_logits", "levels", "status", "sums", "vocab", "split", "time", "rows"]
)
def divergence_kernel(
    p_logits, q_logits, levels, status, sums, vocab, split,
    p_batch: tl.int64, p_time: tl.int64, q_batch: tl.int64, q_time: tl.int64, time, rows, scale, half,
    J: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Write the sums of one split of one pair of rows: float32 [9, splits, rows]."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    begin = part * split
    # Of a row whose normalisers are no numbers, or that is ignored, nothing is read.
    length = tl.where(tl.load(status + row) == 0, tl.minimum(vocab - begin, split), 0)
    p_start = p_logits + (row // time) * p_batch + (row % time) * p_time + begin
    q_start = q_logits + (row // time) * q_batch + (row % time) * q_time + begin
    wide = rows.to(tl.int64)
    p_high = tl.load(levels + row)
    p_low = tl.load(levels + wide + row)
    q_high = tl.load(levels + 2 * wide + row)
    q_low = tl.load(levels + 3 * wide + row)
    gap_high = tl.load(levels + 4 * wide + row)
    gap_low = tl.load(levels + 5 * wide + row)

    W: tl.constexpr = 128 // p_start.dtype.element_ty.primitive_bitwidth
    TILE: tl.constexpr = J * R * W
    misfit = (p_start.to(tl.int64, bitcast=True) & 15).to(tl.int32)
    other_misfit = (q_start.to(tl.int64, bitcast=True) & 15).to(tl.int32)
    head = tl.minimum(((16 - misfit) & 15) * W // 16, length)
    head = tl.where(misfit == other_misfit, head, length)
    tiles = (length - head) // TILE
    p_body = tl.multiple_of(p_start + head, 16)
    q_body = tl.multiple_of(q_start + head, 16)

    forward = tl.zeros([R, 4], tl.float32)
    backward, square, js, apart, more, noise = forward, forward, forward, forward, forward, forward
    highest, lowest = forward, forward
    for _ in range(tiles):
        xs = _load_pieces(tl.multiple_of(p_body, 16), J, R)
        ys = _load_pieces(tl.multiple_of(q_body, 16), J, R)
        p_body += TILE
        q_body += TILE
        for piece in tl.static_range(len(xs)):
            forward, backward, square, js, apart, more, noise, highest, lowest = _add_pairs(
                xs[piece], ys[piece], p_high, p_low, q_high, q_low, gap_high, gap_low, scale, half,
                forward, backward, square, js, apart, more, noise, highest, lowest,
            )  # fmt: skip

    index = (tl.arange(0, R)[:, None] + tl.arange(0, 4)[None, :] * R).to(tl.int32)
    for i in range(0, length - tiles * TILE, 4 * R):
        # The head keeps its place; what follows it lies behind the whole tiles.
        place = index + i
        place = tl.where(place < head, place, place + tiles * TILE)
        x = tl.load(p_start + place, mask=place < length, other=float("-inf")).to(tl.float32)
        y = tl.load(q_start + place, mask=place < length, other=float("-inf")).to(tl.float32)
        forward, backward, square, js, apart, more, noise, highest, lowest = _add_pairs(
            x, y, p_high, p_low, q_high, q_low, gap_high, gap_low, scale, half,
            forward, backward, square, js, apart, more, noise, highest, lowest,
        )  # fmt: skip

    place = sums + part.to(tl.int64) * rows + row
    plane = tl.num_programs(1).to(tl.int64) * rows
    tl.store(place, tl.sum(tl.sum(forward, axis=1), axis=0))
    tl.store(place + plane, tl.sum(tl.sum(backward, axis=1), axis=0))
    tl.store(place + 2 * plane, tl.sum(tl.sum(square, axis=1), axis=0))
    tl.store(place + 3 * plane, tl.sum(tl.sum(js, axis=1), axis=0))
    tl.store(place + 4 * plane, tl.sum(tl.sum(apart, axis=1), axis=0))
    tl.store(place + 5 * plane, tl.sum(tl.sum(more, axis=1), axis=0))
    tl.store(place + 6 * plane, tl.sum(tl.sum(noise, axis=1), axis=0))
    tl.store(place + 7 * plane, tl.max(tl.max(highest, axis=1), axis=0))
    tl.store(place + 8 * plane, tl.min(tl.min(lowest, axis=1), axis=0))
