"""A gradual drift of answer distributions: a multinomial logit that is linear in one covariate."""

from __future__ import annotations

import numpy as np

from crystal.statistics.arrays import Counts, Floats

_RIDGE = 1e-3
"""Keeps the fit finite where options separate perfectly; it costs a drift a hair against a clean cut."""
_STEPS = 40


def drift_gain(counts: Counts, places: Floats) -> float:
    """Return G of the drift: twice the gain in log-likelihood over no change, summed over blocks.

    ln p_sk = a_k + b_k x_s less its normaliser, fitted to each block by Newton's method with step halving.

    Parameters
    ----------
    counts : ndarray, int64 [B, S, K]
        Counts of B blocks at S checkpoints.
    places : ndarray, float64 [S]
        The covariate x, ascending.

    Returns
    -------
    float
        Nats, 0 or more.

    Examples
    --------
    >>> n = np.array([[[30, 10], [20, 20], [10, 30]]])
    >>> round(drift_gain(n, np.arange(3.0)), 1)
    20.9
    """
    x = places - places.mean()
    scale = float(np.abs(x).max())
    if scale == 0:
        return 0.0
    design = np.stack([np.ones_like(x), x / scale], axis=1)
    gain = 0.0
    for block in counts:
        shown = block[:, block.sum(axis=0) > 0].astype(np.float64)
        if shown.shape[1] > 1:
            gain += _fit(shown, design)
    return 2 * gain


def _fit(counts: Floats, design: Floats) -> float:
    """Gain in log-likelihood of one block: counts [S, K], design [S, 2]."""
    size = counts.sum(axis=1)
    share = counts.sum(axis=0) / counts.sum()
    start = float((counts * np.log(share)).sum())
    options = counts.shape[1]
    weights = np.zeros((2, options))
    weights[0] = np.log(share)
    best = _likelihood(counts, design, weights)
    anchor = weights.copy()
    for _ in range(_STEPS):
        p = _softmax(design @ weights)
        slope = design.T @ (counts - size[:, None] * p) - _RIDGE * (weights - anchor)
        inner = np.einsum("s,si,sj,sk->ijk", size, design, design, p)
        outer = np.einsum("s,si,sj,sk,sl->ikjl", size, design, design, p, p)
        curve = -outer
        index = np.arange(options)
        curve[:, index, :, index] += inner.transpose(2, 0, 1)
        matrix = curve.reshape(2 * options, 2 * options) + _RIDGE * np.eye(2 * options)
        move = np.linalg.solve(matrix, slope.ravel()).reshape(2, options)
        length = 1.0
        while length > 1e-6:
            trial = _likelihood(counts, design, weights + length * move) - _penalty(
                weights + length * move, anchor
            )
            if trial >= best - 1e-12:
                break
            length *= 0.5
        else:
            break
        weights = weights + length * move
        gained, best = trial - best, trial
        if gained < 1e-9:
            break
    return max(0.0, best - start)


def _likelihood(counts: Floats, design: Floats, weights: Floats) -> float:
    value = design @ weights
    top = value.max(axis=1, keepdims=True)
    log = value - top - np.log(np.exp(value - top).sum(axis=1, keepdims=True))
    return float((counts * log).sum())


def _penalty(weights: Floats, anchor: Floats) -> float:
    return 0.5 * _RIDGE * float(((weights - anchor) ** 2).sum())


def _softmax(value: Floats) -> Floats:
    weight = np.exp(value - value.max(axis=1, keepdims=True))
    result: Floats = weight / weight.sum(axis=1, keepdims=True)
    return result
