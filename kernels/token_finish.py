"""Triton: merge the vocabulary splits of every row and write its results; tiny beside the read."""
# Triton's own types exist only while it compiles, so its functions carry no annotations.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import triton
import triton.language as tl

from .token_fields import EMPTY, INVALID, LARGEST
from .token_stats import clamp

_LARGEST = tl.constexpr(LARGEST)
_EMPTY = tl.constexpr(EMPTY)
_INVALID = tl.constexpr(INVALID)
_LN2 = tl.constexpr(0.6931471805599453)


@triton.jit(do_not_specialize=["floats", "counts", "results", "places", "rows", "splits"])
def finish_kernel(
    floats, counts, results, places, rows, splits, temperature, scale,
    ROWS: tl.constexpr, STANDARD: tl.constexpr, ALL: tl.constexpr,
):  # fmt: skip
    """Merge the splits of every row in ascending order and write results [7, rows], places [4, rows]."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = row < rows
    plane = splits.to(tl.int64) * rows
    maximum = tl.full([ROWS], -_LARGEST, tl.float32)
    shift = maximum * scale
    s = tl.zeros([ROWS], tl.float32)
    t, u, q, above = s, s, s, s
    best = tl.full([ROWS], -1, tl.int32)
    greater = tl.zeros([ROWS], tl.int32)
    equal = tl.zeros([ROWS], tl.int32)
    for part in range(splits):
        place = row + part * rows.to(tl.int64)
        peak = tl.load(floats + place, mask=real, other=0.0)
        part_shift = tl.load(floats + plane + place, mask=real, other=0.0)
        part_s = tl.load(floats + 2 * plane + place, mask=real, other=1.0)
        part_t = tl.load(floats + 3 * plane + place, mask=real, other=0.0)
        new_shift = tl.maximum(shift, part_shift)
        ours, theirs = clamp(shift - new_shift), clamp(part_shift - new_shift)
        keep, part_keep = tl.exp2(ours), tl.exp2(theirs)
        if STANDARD:
            part_u = tl.load(floats + 4 * plane + place, mask=real, other=0.0)
            part_q = tl.load(floats + 5 * plane + place, mask=real, other=1.0)
            u = keep * (u + ours * (2.0 * t + ours * s))
            u += part_keep * (part_u + theirs * (2.0 * part_t + theirs * part_s))
            q = keep * keep * q + part_keep * part_keep * part_q
            part_best = tl.load(counts + place, mask=real, other=0)
            # Parts come in ascending order of ids, so only a strictly larger maximum takes over.
            best = tl.where((peak > maximum) & (part_best >= 0), part_best, best)
            greater += tl.load(counts + plane + place, mask=real, other=0)
        if ALL:
            equal += tl.load(counts + 2 * plane + place, mask=real, other=0)
            above = keep * above + part_keep * tl.load(floats + 7 * plane + place, mask=real, other=0.0)
        t = keep * (t + ours * s) + part_keep * (part_t + theirs * part_s)
        s = keep * s + part_keep * part_s
        maximum = tl.maximum(maximum, peak)
        shift = new_shift
    chosen = tl.load(floats + 6 * plane + row, mask=real, other=0.0)
    status = tl.load(counts + 3 * plane + row, mask=real, other=0)
    broken = (s != s) | (maximum > _LARGEST)
    status = tl.where(status == 0, tl.where(broken, _INVALID, tl.where(s == 0.0, _EMPTY, 0)), status)
    good = status == 0
    nan = float("nan")
    # The largest logit's own exponent is the rounding of the shift; without it top1 is exact at any offset.
    spread = tl.log2(s) - tl.fma(maximum, scale, -shift)
    mean = t / s
    logsumexp = maximum / temperature + _LN2 * spread
    logsumexp = tl.where(good, logsumexp, tl.where(status == _EMPTY, float("-inf"), nan))
    tl.store(results + row, logsumexp, mask=real)
    # Rounding may push a certain token's log-probability above zero, or a sure row's entropy below it.
    logprob = (chosen - maximum) / temperature - _LN2 * spread
    logprob = tl.minimum(logprob, 0.0, propagate_nan=tl.PropagateNan.ALL)
    tl.store(results + rows + row, tl.where(good, logprob, nan), mask=real)
    entropy = tl.maximum(_LN2 * (tl.log2(s) - mean), 0.0, propagate_nan=tl.PropagateNan.ALL)
    tl.store(results + 2 * rows + row, tl.where(good, entropy, nan), mask=real)
    tl.store(places + 3 * rows + row, status, mask=real)
    if STANDARD:
        known = good & (chosen == chosen)
        varentropy = _LN2 * _LN2 * tl.maximum(u / s - mean * mean, 0.0, propagate_nan=tl.PropagateNan.ALL)
        tl.store(results + 3 * rows + row, tl.where(good, varentropy, nan), mask=real)
        tl.store(results + 4 * rows + row, tl.where(good, q / (s * s), nan), mask=real)
        tl.store(results + 5 * rows + row, tl.where(good, tl.exp2(-spread), nan), mask=real)
        tl.store(places + row, tl.where(good, best, -1), mask=real)
        tl.store(places + rows + row, tl.where(known, greater, -1), mask=real)
        if ALL:
            tl.store(results + 6 * rows + row, tl.where(known, above / s, nan), mask=real)
            tl.store(places + 2 * rows + row, tl.where(known, equal, -1), mask=real)
