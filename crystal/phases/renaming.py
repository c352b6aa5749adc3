"""How near two distributions over named options lie, and how near they would if names meant nothing."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.phases.rows import proportions
from crystal.phases.settings import Settings
from crystal.states.tables import Counts, Floats

RENAMINGS = 999
"""Random renamings of the options, where there are more than so many."""


@dataclass(frozen=True)
class Pair:
    """Two models on one task: a block a family of prompts."""

    task: str
    options: tuple[str, ...]
    """Those that either side has shown."""
    values: Counts | Floats
    """[F, 2, K]: counts, or exact probabilities."""

    @property
    def exact(self) -> bool:
        """Whether both sides are exact."""
        return self.values.dtype.kind == "f"

    @property
    def p(self) -> Floats:
        """float64 [F, 2, K]."""
        return proportions(self.values)


class Names(NamedTuple):
    """Renamings of K options."""

    orders: npt.NDArray[np.intp]
    """[R, K]: option k of the first side is compared with ``orders[r, k]`` of the second."""
    complete: bool
    """These are all that there are, the true names among them."""

    def control(self, renamed: Floats, observed: Floats) -> Floats:
        """Return the mean divergence under other names: renamed float64 [..., R], observed [...]."""
        if not self.complete:
            return np.asarray(renamed.mean(axis=-1))
        return np.asarray((renamed.sum(axis=-1) - observed) / (len(self.orders) - 1))

    def share(self, renamed: Floats, observed: Floats) -> Floats:
        """Return the share of renamings that lie as near as the true names."""
        near = (renamed <= observed[..., None]).sum(axis=-1)
        return np.asarray(near / len(self.orders) if self.complete else (near + 1) / (len(self.orders) + 1))


@dataclass(frozen=True)
class Renamed:
    """Plug-in JSD of one task, as it is and under renamed options."""

    observed: float
    renamed: Floats
    """float64 [R]."""
    names: Names


def names_of(options: int, settings: Settings, key: int) -> Names:
    """Rename so many options in all ways where these are few, else at random."""
    if math.factorial(min(options, 8)) <= RENAMINGS:
        return Names(np.array(list(itertools.permutations(range(options))), dtype=np.intp), complete=True)
    words = np.random.Philox(key=[settings.seed, key]).random_raw(RENAMINGS * options)
    return Names(np.argsort(words.reshape(RENAMINGS, options), axis=1, kind="stable"), complete=False)


def rename(pair: Pair, settings: Settings, key: int) -> Renamed:
    """Rename the second side's options."""
    names = names_of(len(pair.options), settings, key)
    observed, renamed = divergences(pair.p, names.orders)
    return Renamed(float(observed), renamed, names)


def divergences(p: Floats, orders: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return the plug-in JSD in bits, the mean over blocks, as it is [...] and renamed [..., R].

    It is a sum over pairs of options of one term each, so all K^2 terms are made once and then looked up.

    Parameters
    ----------
    p : ndarray, float64 [..., F, 2, K]
        Two sides of F blocks.
    orders : ndarray, intp [R, K]
        Renamings.
    """
    a, b = p[..., 0, :, None], p[..., 1, None, :]
    table = (0.5 * (_xlog2x(a) + _xlog2x(b)) - _xlog2x(0.5 * (a + b))).mean(axis=-3)
    renamed = np.zeros((*table.shape[:-2], len(orders)))
    for option in range(table.shape[-1]):
        renamed += table[..., option, orders[:, option]]
    observed = np.trace(table, axis1=-2, axis2=-1)
    # Rounded, so that renamings among options of equal probability tie with the true names.
    return np.maximum(observed, 0.0).round(12), np.maximum(renamed, 0.0).round(12)


def _xlog2x(x: Floats) -> Floats:
    return np.asarray(x * np.log2(np.where(x > 0, x, 1.0)))
