"""The interval of the best test that knows the truth's shape: what no method without that knowledge can beat.

For entropy and information: test inversion along the path through the *true* distributions (p^b, or
M^(1-t) P^t), with the plug-in statistic. For a difference of two sides: the root of the sum of their squared
widths. (The range of a plug-in difference is no measure: at 100 options and 50 samples it is .69 bit for H
where two oracles have 1.02, because the plug-in moves less than the truth.) For retention: the estimator's
central 95 % range, also of data drawn twice over (``interval_draws.expected_retention``).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import simulate
from crystal.statistics.divergence import js_information
from crystal.statistics.inversion import invert, upper_tail
from crystal.statistics.special import xlog2x

Floats = npt.NDArray[np.float64]

DRAWS, LOOKS, POINTS, REACH = 400, 24, 17, 5.0
_STEPS = np.concatenate([[0.0], np.geomspace(1e-2, 1e3, 200)])


def oracle_width(p: Floats, sizes: Floats, statistic: Literal["entropy", "js"], key: int) -> float:
    """Return the mean width of the oracle's interval for rows float64 [B, G, K] and sizes int64 [B, G]."""
    here = simulate(p[None], sizes, statistic, draws=LOOKS + DRAWS, key=key, threads=1)[0]
    looks, spread = here[:LOOKS], float(here[LOOKS:].std())
    path = _members(p, _STEPS, statistic)
    reached = _value(path, statistic)
    order = np.argsort(reached, kind="stable")
    truth = float(_value(p[None], statistic)[0])
    drift = abs(float(here.mean()) - truth)
    ends = np.clip([truth - REACH * spread - drift, truth + REACH * spread + drift], *reached[order[[0, -1]]])
    wanted = np.linspace(*ends, POINTS)
    members = _members(p, np.interp(wanted, reached[order], _STEPS[order]), statistic)
    targets = np.maximum.accumulate(_value(members, statistic))
    simulated = simulate(members, sizes, statistic, draws=DRAWS, key=key + 1, threads=1)
    limits = [invert(targets, upper_tail(simulated, float(x)), DRAWS, 0.05) for x in looks]
    return float(np.mean([high - low for low, _, high in limits]))


def central_range(values: Floats) -> float:
    """Return the central 95 % range of simulated values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(high - low)


def _value(members: Floats, statistic: str) -> Floats:
    if statistic == "js":
        return np.asarray(js_information(members).mean(axis=-1))
    return np.asarray(-xlog2x(members).sum(axis=-1).mean(axis=(-2, -1)))


def _members(p: Floats, steps: Floats, statistic: str) -> Floats:
    log = np.log(np.maximum(p, 1e-12))
    if statistic == "js":
        middle = np.log(np.maximum(p.mean(axis=-2, keepdims=True), 1e-12))
        log = middle + steps[:, None, None, None] * (log - middle)
    else:
        log = steps[:, None, None, None] * log
    weight = np.exp(log - log.max(axis=-1, keepdims=True))
    result: Floats = weight / weight.sum(axis=-1, keepdims=True)
    return result
