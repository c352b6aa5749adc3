"""Sums of token statistics per sequence, by (values, offsets)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.ops import token_inputs
from crystal.ops.tokens import TokenStats

_SUMS = ("logsumexp", "logprob", "entropy", "varentropy", "collision", "top1", "mass_above")


@dataclass(frozen=True, slots=True)
class SequenceSums:
    """Sums over the good tokens of each sequence: float64 [sequences], None where the statistic was absent.

    Attributes
    ----------
    tokens : array
        int64, how many tokens were summed (status 0).
    broken : array
        int64, how many were left out because their row had no finite logit, a NaN or +inf; ignored ids are in
        neither number.
    greedy : array
        int64, how many tokens were among the most probable (n_greater = 0).
    logsumexp, logprob, entropy, varentropy, collision, top1, mass_above : array
        Sums of the fields of :class:`TokenStats`; divide by `tokens` for means.
    """

    tokens: Any
    broken: Any
    greedy: Any = None
    logsumexp: Any = None
    logprob: Any = None
    entropy: Any = None
    varentropy: Any = None
    collision: Any = None
    top1: Any = None
    mass_above: Any = None


def fold(stats: TokenStats, offsets: Any = None) -> SequenceSums:
    """Sum token statistics over sequences, in float64 and in the order of the tokens.

    Parameters
    ----------
    stats : TokenStats
        Of shape [tokens], or [batch, time].
    offsets : array of integers, optional
        [sequences + 1], ascending from 0 to the number of tokens: sequence i is offsets[i] to offsets[i + 1].
        Without them every row of a [batch, time] result is a sequence.

    Returns
    -------
    SequenceSums
        In the library of `stats`.

    Raises
    ------
    SettingsError
        If the offsets do not ascend from 0 to the number of tokens, or are needed and absent.

    Examples
    --------
    >>> import numpy as np
    >>> from crystal import token_stats
    >>> sums = fold(token_stats(np.zeros((3, 2), np.float32), [0, 1, -100]), [0, 1, 3])
    >>> print(sums.tokens, np.round(sums.entropy / np.log(2), 6))
    [1 1] [1. 1.]
    """
    status = host(stats.status)
    edges = borders(status.shape, offsets)
    sequences = edges.size - 1
    owner = np.repeat(np.arange(sequences), np.diff(edges))
    good = status.ravel() == 0

    def total(values: Any, where: Any) -> Any:
        # bincount adds one token after the other, so the sums do not depend on the machine.
        return np.bincount(owner[where], weights=values, minlength=sequences)

    def count(where: Any) -> Any:
        return np.bincount(owner[where], minlength=sequences).astype(np.int64)

    sums: dict[str, Any] = {"tokens": count(good), "broken": count(np.isin(status.ravel(), (1, 2)))}
    for name in _SUMS:
        values = getattr(stats, name)
        if values is not None:
            sums[name] = total(host(values).ravel()[good].astype(np.float64), good)
    if stats.n_greater is not None:
        sums["greedy"] = count(host(stats.n_greater).ravel() == 0)
    if token_inputs.is_torch(stats.status):
        torch = token_inputs.need_torch("the statistics are tensors")
        sums = {name: torch.from_numpy(array).to(stats.status.device) for name, array in sums.items()}
    return SequenceSums(**sums)


def borders(shape: tuple[int, ...], offsets: Any) -> Any:
    """Return where sequences begin and end, int64 [sequences + 1], for statistics of a shape.

    Raises
    ------
    SettingsError
        If the offsets do not ascend from 0 to the number of tokens, or are needed and absent.
    """
    if offsets is None:
        if len(shape) != 2:
            raise SettingsError("needed for stats of shape [tokens]", where="offsets")
        return np.arange(shape[0] + 1, dtype=np.int64) * shape[1]
    size = math.prod(shape)
    edges = host(offsets)
    if edges.dtype.kind not in "iu" or edges.ndim != 1 or edges.size == 0:
        raise SettingsError(
            "wrong kind", where="offsets", expected="integers of shape [sequences + 1]", got=repr(offsets)
        )
    edges = edges.astype(np.int64)
    if edges[0] != 0 or edges[-1] != size or (np.diff(edges) < 0).any():
        raise SettingsError("not the borders of sequences", where="offsets", expected=f"0, ascending, {size}")
    return edges


def host(array: Any) -> Any:
    """Return a tensor or array as a NumPy array in CPU memory."""
    return array.detach().cpu().numpy() if token_inputs.is_torch(array) else np.asarray(array)
