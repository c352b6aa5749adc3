"""The scan of Arnold, Holtorf, Schaefer and Loerch (arXiv 2405.17088, 2024), with a null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.resampling import permute_counts, stream_key
from crystal.statistics.arrays import Counts, Floats, as_counts, as_probabilities

Dissimilarity = Literal["linear", "tv", "js"]
WINDOW = 5
_CELLS = 4_000_000
"""Cells of permuted tables that are held at once."""


@dataclass(frozen=True)
class ScanPeak:
    """A local maximum of the scan that noise does not explain."""

    position: int
    """The change lies between checkpoints ``position - 1`` and ``position``."""
    low: int
    high: int
    """First and last cut less than a window away: a change elsewhere does not reach this cut's windows."""
    p: float
    """That noise anywhere along the ladder reaches as high."""


@dataclass(frozen=True)
class ArnoldScan:
    """The dissimilarity of what is left and right of each cut, and what noise makes of it."""

    kind: Dissimilarity
    window: int
    curve: Floats
    """float64 [S - 1]: entry t - 1 is the plug-in dissimilarity at the cut before checkpoint t."""
    null: Floats | None
    """float64 [S - 1]: its mean under permuted labels, which is its bias; None if exact."""
    adjusted_p: Floats | None
    """float64 [S - 1]: p of each cut, adjusted by the maximum over all; None if exact."""
    p: float | None
    """That of the largest: does anything change? None if exact."""
    peaks: tuple[ScanPeak, ...]
    """In ladder order; without a test, there are none."""


def dissimilarity(p: npt.ArrayLike, q: npt.ArrayLike, kind: Dissimilarity = "linear") -> Floats:
    r"""Return how well one sample tells two equally likely distributions apart, by a score g.

    :math:`D_g = \frac12 \sum_x [p\, g(\frac{p}{p+q}) + q\, g(\frac{q}{p+q})]`, where the arguments of g are
    the posterior probabilities of the side that the sample is from. ``linear``: g(x) = 2 x - 1, so
    :math:`\frac12 \sum (p-q)^2/(p+q)`. ``tv``: g(x) = 1 - 2 min(x, 1 - x), so
    :math:`\frac12 \sum |p-q|`. ``js``: g(x) = 1 + log2 x, so the Jensen-Shannon divergence in bits.

    Parameters
    ----------
    p, q : array_like, float64 [..., K]
        Distributions.
    kind : {"linear", "tv", "js"}

    Returns
    -------
    ndarray, float64 [...]
        In [0, 1] each; ``linear`` and ``js`` are at most ``tv``.

    Raises
    ------
    SettingsError
        For another kind.

    Examples
    --------
    >>> [round(float(dissimilarity([0.5, 0.5], [1.0, 0.0], kind)), 4) for kind in ("linear", "tv", "js")]
    [0.3333, 0.5, 0.3113]
    """
    if kind not in get_args(Dissimilarity):
        raise SettingsError("no such dissimilarity", where="kind", expected="linear, tv, js", got=repr(kind))
    a, b = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if kind == "tv":
        return np.asarray(np.abs(a - b).sum(axis=-1) / 2)
    both = a + b
    if kind == "linear":
        terms = np.divide((a - b) ** 2, both, out=np.zeros_like(both), where=both > 0)
        return np.asarray(terms.sum(axis=-1) / 2)
    middle = np.where(both > 0, both, 1.0)
    total = sum(x * np.log2(np.where(x > 0, 2 * x / middle, 1.0)) for x in (a, b))
    return np.asarray(np.maximum(np.sum(total, axis=-1) / 2, 0.0))


def arnold_scan(
    ladder: npt.ArrayLike,
    kind: Dissimilarity = "linear",
    *,
    window: int = WINDOW,
    alpha: float = 0.05,
    permutations: int = 499,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> ArnoldScan:
    """Scan a ladder for changes, as Arnold et al. do, and say which peaks noise does not explain.

    At each cut, the average distribution of the `window` checkpoints left of it (fewer at the ladder's ends)
    is compared with that of as many right of it, by :func:`dissimilarity`; the mean over blocks is the
    curve. Peaks of the curve are the candidates. The plug-in curve is biased, most where the windows
    are cut short, and its maximum over many cuts more so. Here samples' checkpoint labels are permuted within
    each block; the curve, less its permutation mean and over its permutation standard deviation, is held
    against the largest such value of each permutation. The data's own curve counts among the permutations
    throughout, so ``p`` is exact under "nothing changes". Peaks are taken from the highest down,
    each shadowing the cuts less than a window away.

    Parameters
    ----------
    ladder : array_like, [B, S, K]
        Of B blocks (prompts) at S checkpoints: counts (an integer type), each row with a sample; or exact
        distributions (a floating type), for which there is a curve and no test.
    kind : {"linear", "tv", "js"}
        The dissimilarity.
    window : int
        Checkpoints on each side, at least 1.
    alpha : float
        Level of the peaks, over the whole scan.
    permutations : int
        Draws, at least 19.
    seed, key, threads
        The stream of random numbers, and the threads that make it (never changing a result).

    Returns
    -------
    ArnoldScan

    Raises
    ------
    InputError, SettingsError
        For arrays of another form, rows without samples, or settings out of range.

    Examples
    --------
    >>> counts = [[[40, 10]] * 6 + [[10, 40]] * 6]
    >>> scan = arnold_scan(counts, "js", window=3)
    >>> scan.peaks[0].position, int(scan.curve.argmax()) + 1, scan.p
    (6, 6, 0.002)
    """
    if window < 1:
        raise SettingsError(
            "no checkpoints to compare", where="window", expected="1 or more", got=str(window)
        )
    if permutations < 19:
        raise SettingsError("too few", where="permutations", expected="19 or more", got=str(permutations))
    values = np.asarray(ladder)
    if values.ndim == 3 and values.shape[1] < 2:
        raise SettingsError("nothing to cut", where="ladder", expected="2 checkpoints or more", got="1")
    if values.dtype.kind == "f":
        p = as_probabilities(values, "ladder", 3)
        return ArnoldScan(kind, window, _curves(p[None], kind, window)[0], None, None, None, ())
    n = as_counts(values, 3)
    if (n.sum(axis=2) == 0).any():
        raise SettingsError(
            "a block has no sample at a checkpoint", where="ladder", fix="leave the block out"
        )
    n = n[:, :, n.sum(axis=(0, 1)) > 0]
    curves = [_curves(_shares(n[None]), kind, window)]
    chunk = max(1, _CELLS // n.size)
    for number, start in enumerate(range(0, permutations, chunk)):
        drawn = permute_counts(
            n,
            draws=min(chunk, permutations - start),
            seed=seed,
            key=stream_key("scan", key, number),
            threads=threads,
        )
        curves.append(_curves(_shares(drawn), kind, window))
    every = np.concatenate(curves)
    spread = every.std(axis=0)
    # On a grid, so that a permutation that equals the data is not above or below it by rounding.
    scores = np.round(
        np.divide(every - every.mean(axis=0), spread, out=np.zeros_like(every), where=spread > 1e-12), 9
    )
    largest = scores.max(axis=1)
    adjusted = (largest[:, None] >= scores[0]).mean(axis=0)
    peaks = _peaks(scores[0], adjusted, window, alpha)
    return ArnoldScan(kind, window, every[0], every[1:].mean(axis=0), adjusted, float(adjusted.min()), peaks)


def _shares(counts: Counts) -> Floats:
    result: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return result


def _curves(p: Floats, kind: Dissimilarity, window: int) -> Floats:
    """Distributions [D, B, S, K] to curves [D, S - 1]."""
    size = p.shape[2]
    sums = np.concatenate([np.zeros_like(p[:, :, :1]), np.cumsum(p, axis=2)], axis=2)
    cut = np.arange(1, size)
    first, last = np.maximum(cut - window, 0), np.minimum(cut + window, size)
    left = (sums[:, :, cut] - sums[:, :, first]) / (cut - first)[:, None]
    right = (sums[:, :, last] - sums[:, :, cut]) / (last - cut)[:, None]
    return np.asarray(dissimilarity(np.maximum(left, 0.0), np.maximum(right, 0.0), kind).mean(axis=1))


def _peaks(scores: Floats, adjusted: Floats, window: int, alpha: float) -> tuple[ScanPeak, ...]:
    free = adjusted <= alpha
    found = []
    while free.any():
        top = int(np.where(free, scores, -np.inf).argmax())
        low, high = max(0, top - window + 1), min(len(scores) - 1, top + window - 1)
        # A cut in the shadow of a higher one is no peak, though it may be the highest that is free.
        if scores[top] == scores[low : high + 1].max():
            found.append(ScanPeak(top + 1, low + 1, high + 1, float(adjusted[top])))
        free[low : high + 1] = False
    return tuple(sorted(found, key=lambda peak: peak.position))
