"""What the two sides of a comparison may be, given their samples."""

from __future__ import annotations

import math

import numpy as np

from crystal.states.tables import Counts, Floats

EVENNESS = np.geomspace(0.1, 3.0, 8)
"""Dirichlet weights of an option that are thought possible."""
_CHAINS = 144
_SWEEPS = 60
_KEPT = (40, 60)
"""Sweeps after which every chain's state is taken."""
_LEAST = 1e-200


def truths(counts: Counts, random: np.random.Generator) -> Floats:
    """Draw pairs of distributions from their posterior, options that nobody has shown yet among them.

    Side s of block f is (1 - u) M_f + u A_fs: a share u of its samples comes from a distribution of its own,
    the rest from one that both sides have. M and A are Dirichlet with one weight an option, u is Beta(1/2,
    1/2), so anything between the same and unrelated is thought possible beforehand. Gibbs sampling: which
    part a sample came from, then the parts, u and the weight. How many options there are is drawn first, by
    the Dirichlet-multinomial evidence of all samples, small numbers first (1 / K).

    Parameters
    ----------
    counts : ndarray, int64 [F, 2, K]
        Samples of two sides in F blocks; every option was shown.
    random : Generator

    Returns
    -------
    ndarray, float64 [T, F, 2, L]
        Distributions over L >= K options, the shown ones first.

    Examples
    --------
    >>> drawn = truths(np.array([[[60, 20], [20, 60]]]), np.random.default_rng(0))
    >>> bool((drawn[:, 0, 0, 0] > drawn[:, 0, 1, 0]).all())
    True
    """
    there = counts.shape[2]
    lengths = _lengths(counts.sum(axis=(0, 1)), random)
    longest = int(lengths.max())
    n = np.broadcast_to(
        np.pad(counts, ((0, 0), (0, 0), (0, longest - there))), (_CHAINS, *counts.shape[:2], longest)
    )
    exists = (np.arange(longest) < lengths[:, None]).astype(np.float64)
    weight = random.choice(EVENNESS, _CHAINS)
    prior = (weight[:, None] * exists)[:, None]
    own, shared, apart = _start(_dirichlet(n + prior[:, None], random), random)
    density = np.array([[_log_density(k, a) for a in EVENNESS] for k in range(longest + 1)])[lengths]
    rows = 3 * len(counts)
    taken = []
    for sweep in range(1, _SWEEPS + 1):
        u = own[:, None, None, None]
        common, other = (1 - u) * shared[:, :, None], u * apart
        common_n = random.binomial(n, common / np.maximum(common + other, _LEAST))
        other_n = n - common_n
        prior = (weight[:, None] * exists)[:, None]
        shared = _dirichlet(common_n.sum(axis=2) + prior, random)
        apart = _dirichlet(other_n + prior[:, None], random)
        own = random.beta(0.5 + other_n.sum(axis=(1, 2, 3)), 0.5 + common_n.sum(axis=(1, 2, 3)))
        logs = (np.log(shared) * exists[:, None]).sum(axis=(1, 2))
        logs += (np.log(apart) * exists[:, None, None]).sum(axis=(1, 2, 3))
        weight = EVENNESS[_choice(rows * density + (EVENNESS - 1) * logs[:, None], random)]
        if sweep in _KEPT:
            u = own[:, None, None, None]
            taken.append((1 - u) * shared[:, :, None] + u * apart)
    result: Floats = np.concatenate(taken)
    return result


def _start(sides: Floats, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Take sides float64 [C, F, 2, L] apart into u [C], M [C, F, L] and A [C, F, 2, L] that make them up.

    With many samples the parts move slowly, so chains begin where the samples are.
    """
    overlap = sides.min(axis=2)
    most = overlap.sum(axis=2)
    own = 1 - random.beta(1.0, 0.5, len(sides)) * most.min(axis=1)
    shared = overlap / most[..., None]
    rest = np.maximum(sides - (1 - own)[:, None, None, None] * shared[:, :, None], _LEAST)
    return own, shared, rest / rest.sum(axis=3, keepdims=True)


def _lengths(pooled: Counts, random: np.random.Generator) -> Counts:
    """Draw how many options there are, for each chain."""
    shown, total = len(pooled), int(pooled.sum())
    lengths = shown + np.arange(shown + 3)
    evidence = np.array(
        [
            [
                math.lgamma(k * a)
                - math.lgamma(total + k * a)
                + math.lgamma(k + 1)
                - math.lgamma(k - shown + 1)
                - math.log(k)
                for a in EVENNESS
            ]
            for k in lengths.tolist()
        ]
    )
    evidence += [sum(math.lgamma(x + a) - math.lgamma(a) for x in pooled.tolist()) for a in EVENNESS]
    of_length = np.log(np.exp(evidence - evidence.max()).sum(axis=1) + _LEAST)
    return lengths[_choice(np.broadcast_to(of_length, (_CHAINS, len(lengths))), random)]


def _log_density(options: int, weight: float) -> float:
    return math.lgamma(options * weight) - options * math.lgamma(weight) if options else 0.0


def _choice(logs: Floats, random: np.random.Generator) -> Counts:
    """Choose a column of each row by its weight."""
    weight = np.exp(logs - logs.max(axis=1, keepdims=True)).cumsum(axis=1)
    result: Counts = (random.random((len(logs), 1)) * weight[:, -1:] > weight[:, :-1]).sum(axis=1)
    return result


def _dirichlet(weights: Floats, random: np.random.Generator) -> Floats:
    drawn = np.maximum(random.standard_gamma(weights), _LEAST)
    result: Floats = drawn / drawn.sum(axis=-1, keepdims=True)
    return result
