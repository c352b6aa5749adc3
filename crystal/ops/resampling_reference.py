"""The plain reference of :mod:`crystal.ops.resampling`: float64, readable, slow.

Its random numbers come from a generator that is passed in, so permuted tables agree with the compiled code in
distribution only; statistics of given counts agree in value.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def statistic(counts: Counts, name: str, mass: float = 0.9) -> float:
    """Return the statistic of counts as :func:`crystal.ops.resampling.permutation_test` defines it.

    Parameters
    ----------
    counts : numpy.ndarray, int64 [B, G, K]
        Samples of blocks, groups and options.
    name : {"g", "js", "max_cut_g", "retention"}
        Which statistic.
    mass : float
        Share that a retention set holds.

    Returns
    -------
    float
        In nats for ``g`` and ``max_cut_g``, bits for ``js``, a difference of shares for ``retention``.

    Examples
    --------
    >>> round(statistic(np.array([[[4, 0], [0, 4]]]), "js"), 12)
    1.0
    """
    if name == "g":
        return sum(g_nats(block) for block in counts)
    if name == "max_cut_g":
        cuts = range(1, counts.shape[1])
        pooled = (np.stack([counts[:, :t].sum(axis=1), counts[:, t:].sum(axis=1)], axis=1) for t in cuts)
        return max((statistic(two, "g") for two in pooled), default=0.0)
    blocks = [block for block in counts if len(block) and (block.sum(axis=1) > 0).all()]
    if not blocks:
        return 0.0
    if name == "js":
        return sum(js_bits(block) for block in blocks) / len(blocks)
    return -sum(retention_change(block[0], block[1], mass) for block in blocks) / len(blocks)


def g_nats(table: Counts) -> float:
    """Return G = 2 sum n ln(n N / (row column)) of one table [G, K], in nats."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / max(table.sum(), 1)
    seen = table > 0
    return 2.0 * float((table[seen] * np.log(table[seen] / expected[seen])).sum())


def js_bits(table: Counts) -> float:
    """Return H(mean of the rows' shares) - mean of the rows' H of one table [G, K], in bits."""
    shares = table / table.sum(axis=1, keepdims=True)
    return entropy_bits(shares.mean(axis=0)) - sum(entropy_bits(row) for row in shares) / len(shares)


def entropy_bits(shares: npt.NDArray[np.float64]) -> float:
    """Return the entropy of a distribution in bits."""
    seen = shares[shares > 0]
    return float(-(seen * np.log2(seen)).sum())


def retention_change(before: Counts, after: Counts, mass: float = 0.9) -> float:
    """Return the mean over earlier samples i of the later share in S_-i less 1 where i lies in S_-i.

    S_-i is built for every option that has a sample, by taking one away: the options with the most earlier
    samples, as few as hold ``mass`` of what is left, with all that tie with the last one.
    """
    total = 0.0
    for option in np.flatnonzero(before):
        left = before.copy()
        left[option] -= 1
        need = math.ceil(mass * left.sum() - 1e-9)
        chosen = np.zeros(len(left), dtype=bool)
        for level in np.unique(left[left > 0])[::-1]:
            if left[chosen].sum() >= need:
                break
            chosen |= left == level
        share = after[chosen].sum() / after.sum()
        total += before[option] * (share - float(chosen[option]))
    return total / float(before.sum())


def permute_labels(table: Counts, generator: np.random.Generator) -> Counts:
    """Return one table [G, K] after a shuffle of its samples' labels."""
    groups = np.repeat(np.arange(table.shape[0]), table.sum(axis=1))
    options = np.repeat(np.tile(np.arange(table.shape[1]), table.shape[0]), table.ravel())
    cells = generator.permutation(groups) * table.shape[1] + options
    return np.bincount(cells, minlength=table.size).reshape(table.shape)
