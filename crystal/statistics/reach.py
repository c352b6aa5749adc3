"""How likely permuted labels are to give a G as large as the data's: a bound, in closed form."""

from __future__ import annotations

import math

import numpy as np

from crystal.statistics.arrays import Counts

NEVER = 1e-9
"""A probability so small that what has it is taken not to happen."""


def unreached(draws: int, log_probability: float) -> bool:
    """Whether none of so many draws would do what one of them does with a probability, given its logarithm.

    Examples
    --------
    >>> unreached(19_999, -40.0), unreached(19_999, -20.0)
    (True, False)
    """
    return math.log(draws) + log_probability < math.log(NEVER)


def log_reach(counts: Counts) -> float:
    """Bound the logarithm of the probability that permuted labels give a G as large as the data's.

    With c = G / (2 groups), where G/2 = sum n_g KL(p_g || p), and v the options seen less 1, summed over
    blocks: v - c + v ln(c / v). A group's samples are drawn from its block's without replacement, so E exp(t
    n KL) is at most what it is with replacement (Hoeffding 1963, theorem 4: KL is convex), and that is at
    most (1 - t)^-(K - 1) (Agrawal 2020, "Finite-sample concentration of the multinomial in relative
    entropy"). Holder's inequality puts the groups together; Markov's, with the best t, gives the bound.

    Examples
    --------
    >>> log_reach(np.array([[[900, 100], [100, 900]]])) < -300
    True
    >>> log_reach(np.array([[[50, 50], [51, 49]]]))
    0.0
    """
    table = counts[counts.sum(axis=(1, 2)) > 0].astype(np.float64)
    groups = counts.shape[1]
    whole = table.sum(axis=(1, 2), keepdims=True)
    options = table.sum(axis=1, keepdims=True)
    expected = table.sum(axis=2, keepdims=True) * options / whole
    ratio = np.divide(table, expected, out=np.ones_like(table), where=table > 0)
    reached = float((table * np.log(ratio)).sum()) / groups
    freedom = float((options > 0).sum() - len(table))
    if reached <= freedom or freedom <= 0:
        return 0.0
    bound: float = freedom - reached + freedom * math.log(reached / freedom)
    return bound
