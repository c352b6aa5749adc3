"""Triton: one read of the logits gives the state of every row, or of every vocabulary split of it.

Layout. A program reads one row (or one split of it) in tiles: R lanes, each with J runs of 16 bytes. A lane
holds its logits in pieces of four and reduces them inside a thread: no barrier, no shuffle until the row
ends. Two 16-bit logits come in one 32-bit word, so a lane loads 128 bits at once, from the first 16-byte
boundary of the row on, whatever the row's stride is. What lies before that boundary and after the last whole
tile is read by element, masked, once: no load leaves the row. Lanes and tiles are combined in one fixed
order: equal input, equal bytes.
"""
# Triton's own types exist only while it compiles, so its functions carry no annotations.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, disable-error-code=assignment
# ruff: noqa: RUF005 - Triton does not unpack tuples.

from __future__ import annotations

import triton
import triton.language as tl

from .token_fields import IGNORED, LARGEST, LOWEST_EXPONENT

_LARGEST = tl.constexpr(LARGEST)
_LOWEST = tl.constexpr(LOWEST_EXPONENT)
_IGNORED = tl.constexpr(IGNORED)
_NO_INDEX = tl.constexpr(2**31 - 1)


@triton.jit
def clamp(exponent):
    """Keep -inf out of products with 0; a bare maximum would also drop NaN, on a GPU."""
    return tl.maximum(exponent, _LOWEST, propagate_nan=tl.PropagateNan.ALL)


# A tile as one tensor [J, R, 4 or 8]: for kernels with little to sum.
@triton.jit
def _fold(tile):
    return tl.sum(tl.sum(tile, axis=2), axis=0)


@triton.jit
def _peak(tile):
    return tl.max(tl.max(tile, axis=2), axis=0)


@triton.jit
def _load_tile(start, J: tl.constexpr, R: tl.constexpr):
    """Load a tile as float32 [J, R, 4 or 8] from a 16-byte boundary, 128 bits a load."""
    runs = (tl.arange(0, J)[:, None, None] * R + tl.arange(0, R)[None, :, None]).to(tl.int32)
    if start.dtype.element_ty == tl.float32:
        tile = tl.load(start + runs * 4 + tl.arange(0, 4)[None, None, :])
    else:
        words = start.to(tl.pointer_type(tl.int32))
        pair = tl.load(words + runs * 4 + tl.arange(0, 4)[None, None, :])
        if start.dtype.element_ty == tl.bfloat16:
            low = (pair << 16).to(tl.float32, bitcast=True)
            high = (pair & -65536).to(tl.float32, bitcast=True)
        else:
            low = pair.to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
            high = (pair >> 16).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
        tile = tl.reshape(tl.join(low, high), [J, R, 8])
    return tile


@triton.jit
def _largest(tile):
    """Return the largest logit of each lane of a tile in pieces."""
    peak = tile[0]
    for piece in tl.static_range(1, len(tile)):
        peak = tl.maximum(peak, tile[piece])
    return tl.max(peak, axis=1)


@triton.jit
def _load_pieces(start, J: tl.constexpr, R: tl.constexpr):
    """Load a tile from a 16-byte boundary, 128 bits a load, as float32 pieces [R, 4]: one or two a run."""
    words = start.to(tl.pointer_type(tl.int32)) + (tl.arange(0, R)[:, None] * 4 + tl.arange(0, 4)[None, :])
    tile = ()
    for run in tl.static_range(J):
        word = tl.load(words + run * (4 * R))
        if start.dtype.element_ty == tl.float32:
            tile = tile + (word.to(tl.float32, bitcast=True),)
        elif start.dtype.element_ty == tl.bfloat16:
            tile = tile + (
                (word << 16).to(tl.float32, bitcast=True),
                (word & -65536).to(tl.float32, bitcast=True),
            )
        else:
            low = word.to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
            high = (word >> 16).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
            tile = tile + (low, high)
    return tile


@triton.jit
def _add_tile(x, scale, chosen, maximum, shift, s, t, u, q, greater, equal, above,
              STANDARD: tl.constexpr, ALL: tl.constexpr, mask=None):  # fmt: skip
    """Add a tile to the state of its lanes. Padding (where a mask is given) holds -inf and counts nowhere.

    The sums over a tile go from piece to piece, not up a tree: so each product is added by the instruction
    that makes it.
    """
    peak = tl.maximum(maximum, _largest(x))
    new_shift = peak * scale
    delta = clamp(shift - new_shift)
    keep = tl.exp2(delta)
    es = tl.zeros_like(x[0])
    ts, us, qs, aboves = es, es, es, es
    for piece in tl.static_range(len(x)):
        d = clamp(tl.fma(x[piece], scale, -new_shift[:, None]))
        e = tl.exp2(d)
        ed = e * d
        es += e
        ts = tl.fma(e, d, ts)
        if STANDARD:
            us = tl.fma(ed, d, us)
            qs = tl.fma(e, e, qs)
            beyond = x[piece] > chosen
            if mask is not None:
                beyond = beyond & mask
            beyond = tl.where(beyond, 1.0, 0.0)
            greater += beyond
            if ALL:
                same = x[piece] == chosen
                if mask is not None:
                    same = same & mask
                equal += tl.where(same, 1.0, 0.0)
                aboves = tl.fma(beyond, e, aboves)
    if STANDARD:
        u = keep * (u + delta * (2.0 * t + delta * s)) + tl.sum(us, axis=1)
        q = keep * keep * q + tl.sum(qs, axis=1)
        if ALL:
            above = keep * above + tl.sum(aboves, axis=1)
    t = keep * (t + delta * s) + tl.sum(ts, axis=1)
    s = keep * s + tl.sum(es, axis=1)
    return peak, new_shift, s, t, u, q, greater, equal, above


# Nothing is specialised, and strides are 64 bits wide: one dtype and level is one piece of code, whatever the
# sizes, strides and alignment are, and the code that is compiled ahead of time is the code that runs.
@triton.jit(
    do_not_specialize=[
        "logits", "tokens", "chosen_logits", "floats", "counts",
        "vocab", "split", "stride_batch", "stride_time", "time", "rows", "ignored_id", "first_id",
    ]
)  # fmt: skip
def state_kernel(
    logits, tokens, chosen_logits, floats, counts,
    vocab, split, stride_batch: tl.int64, stride_time: tl.int64, time, rows, ignored_id, first_id, scale,
    J: tl.constexpr, R: tl.constexpr,
    STANDARD: tl.constexpr, ALL: tl.constexpr, GIVEN: tl.constexpr,
):  # fmt: skip
    """Write the state of one split of one row: floats [8, splits, rows] float32 and counts [4, ...] int32."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    token = tl.load(tokens + row).to(tl.int64)
    ignored = token == ignored_id
    begin = part * split
    # An ignored row has no logits: nothing of it is read, and its state is the empty one.
    length = tl.where(ignored, 0, tl.minimum(vocab - begin, split))
    line = logits + (row // time) * stride_batch + (row % time) * stride_time
    local = token - first_id
    inside = (local >= 0) & (local < vocab)
    if GIVEN:
        chosen = tl.load(chosen_logits + row)
    else:
        chosen = tl.load(line + local, mask=inside & (token != ignored_id), other=float("nan")).to(tl.float32)
        # Adding a zero that the compiler cannot see keeps it from comparing in 16 bits, which takes more.
        chosen = tl.fma(scale, 0.0, chosen)

    start = line + begin
    W: tl.constexpr = 128 // start.dtype.element_ty.primitive_bitwidth
    TILE: tl.constexpr = J * R * W
    misfit = (start.to(tl.int64, bitcast=True) & 15).to(tl.int32)
    head = tl.minimum(((16 - misfit) & 15) * W // 16, length)
    tiles = (length - head) // TILE
    body = tl.multiple_of(start + head, 16)

    maximum = tl.full([R], -_LARGEST, tl.float32)
    shift = maximum * scale
    s = tl.zeros([R], tl.float32)
    t, u, q, above = s, s, s, s
    # Counts need no rescaling, so they stay apart until the row ends.
    greater = tl.zeros([R, 4], tl.float32)
    equal = greater
    where_best = tl.full([R], _NO_INDEX, tl.int32)
    tile = body
    for i in range(tiles):
        x = _load_pieces(tl.multiple_of(tile, 16), J, R)
        tile += TILE
        if STANDARD:
            # Which tile holds the first largest logit is enough: that tile is read again after the loop.
            where_best = tl.where(_largest(x) > maximum, i, where_best)
        maximum, shift, s, t, u, q, greater, equal, above = _add_tile(
            x, scale, chosen, maximum, shift, s, t, u, q, greater, equal, above, STANDARD, ALL
        )

    tile_maximum = maximum
    index = (tl.arange(0, R)[:, None] + tl.arange(0, 4)[None, :] * R).to(tl.int32)
    rest_maximum = tl.full([R], -_LARGEST, tl.float32)
    rest_best = tl.full([R], _NO_INDEX, tl.int32)
    for i in range(0, length - tiles * TILE, 4 * R):
        # The head keeps its place; what follows it lies behind the whole tiles.
        place = index + i
        place = tl.where(place < head, place, place + tiles * TILE)
        inside_row = place < length
        x = tl.load(start + place, mask=inside_row, other=float("-inf")).to(tl.float32)
        if STANDARD:
            peak = _largest((x,))
            first = tl.min(tl.where(x == peak[:, None], place, _NO_INDEX), axis=1)
            rest_best = tl.where(peak > rest_maximum, first, rest_best)
            rest_maximum = tl.maximum(rest_maximum, peak)
        maximum, shift, s, t, u, q, greater, equal, above = _add_tile(
            (x,), scale, chosen, maximum, shift, s, t, u, q, greater, equal, above, STANDARD, ALL, inside_row
        )

    # The lanes become one: all move to the largest maximum and are added.
    row_maximum = tl.max(maximum, axis=0)
    row_shift = row_maximum * scale
    delta = clamp(shift - row_shift)
    keep = tl.exp2(delta)
    place = part.to(tl.int64) * rows + row
    plane = tl.num_programs(1).to(tl.int64) * rows
    tl.store(floats + place, row_maximum)
    tl.store(floats + plane + place, row_shift)
    tl.store(floats + 2 * plane + place, tl.sum(keep * s, axis=0))
    tl.store(floats + 3 * plane + place, tl.sum(keep * (t + delta * s), axis=0))
    tl.store(floats + 6 * plane + place, chosen)
    tl.store(counts + 3 * plane + place, tl.where(ignored, _IGNORED, 0))
    if STANDARD:
        tl.store(floats + 4 * plane + place, tl.sum(keep * (u + delta * (2.0 * t + delta * s)), axis=0))
        tl.store(floats + 5 * plane + place, tl.sum(keep * keep * q, axis=0))
        best = tl.min(tl.where(rest_maximum == row_maximum, rest_best, _NO_INDEX), axis=0)
        best_tile = tl.min(tl.where(tile_maximum == row_maximum, where_best, _NO_INDEX), axis=0)
        if best_tile != _NO_INDEX:
            x = _load_pieces(tl.multiple_of(body + best_tile * TILE, 16), J, R)
            lane = (tl.arange(0, R)[:, None] * W + tl.arange(0, 4)[None, :] * (W // 4)).to(tl.int32)
            nearest = tl.full([R], _NO_INDEX, tl.int32)
            for piece in tl.static_range(len(x)):
                again = lane + (piece // (W // 4)) * (R * W) + piece % (W // 4)
                again = tl.where(x[piece] == row_maximum, again, _NO_INDEX)
                nearest = tl.minimum(nearest, tl.min(again, axis=1))
            best = tl.minimum(best, head + best_tile * TILE + tl.min(nearest, axis=0))
        tl.store(counts + place, tl.where(best == _NO_INDEX, -1, best + begin + first_id.to(tl.int32)))
        tl.store(counts + plane + place, tl.sum(tl.sum(greater, axis=1), axis=0).to(tl.int32))
        if ALL:
            tl.store(floats + 7 * plane + place, tl.sum(keep * above, axis=0))
            tl.store(counts + 2 * plane + place, tl.sum(tl.sum(equal, axis=1), axis=0).to(tl.int32))
