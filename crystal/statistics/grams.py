"""N-grams of many texts at once, numbered over all of them and counted in each group of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grams:
    """How often each n-gram is in each group of texts; rows ascend by group, then n-gram."""

    group: Integers
    gram: Integers
    count: Integers
    distinct: int
    """Different n-grams in all groups together."""
    totals: Integers
    """int64 [groups]: n-grams of each group."""


def grams(codes: Any, offsets: Integers, group: Integers, weight: Integers, groups: int, n: int) -> Grams:
    """Count the n-grams of each group of texts. No n-gram crosses the end of a text.

    Parameters
    ----------
    codes : int64 [N]
        Words of all texts behind one another, as numbers from 0 on.
    offsets : int64 [texts + 1]
    group, weight : int64 [texts]
        The group of each text, from 0 to ``groups - 1``, and how often it counts.
    groups, n : int

    Examples
    --------
    >>> found = grams(np.array([0, 1, 0, 1]), np.array([0, 3, 4]), np.array([0, 0]), np.array([2, 1]), 1, 1)
    >>> found.gram.tolist(), found.count.tolist(), found.totals.tolist()
    ([0, 1], [4, 3], [7])
    """
    words = np.asarray(codes, np.int64)
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    place = np.arange(len(words))
    kinds, keys = np.unique(words, return_inverse=True)
    keys = words = keys.reshape(-1)
    base = max(len(kinds), 1)
    for more in range(1, n):
        inside = place + more < offsets[1:][text]
        place, text, keys = place[inside], text[inside], keys[inside]
        # Both factors are below 2^31: numbers of distinct things that are in memory.
        keys = np.unique(keys * base + words[place + more], return_inverse=True)[1].reshape(-1)
    return count_kinds(keys, group[text], weight[text], groups)


def count_kinds(kinds: Integers, group: Integers, weight: Integers, groups: int) -> Grams:
    """Count things of several kinds in each group."""
    distinct = int(kinds.max(initial=-1)) + 1
    pairs, inverse = np.unique(group * max(distinct, 1) + kinds, return_inverse=True)
    count = np.zeros(len(pairs), np.int64)
    np.add.at(count, inverse.reshape(-1), weight)
    own, gram = np.divmod(pairs, max(distinct, 1))
    totals = np.zeros(groups, np.int64)
    np.add.at(totals, own, count)
    return Grams(own, gram, count, distinct, totals)
