"""Shift classes: where a tuned model's tokens rank in the base model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.ops import token_inputs
from crystal.ops.token_backends import Backend
from crystal.ops.token_fold import borders, host
from crystal.ops.tokens import TokenStats, token_stats

CLASSES = ("unshifted", "marginal", "shifted")
_MARGINAL_RANK, _SHIFTED_RANK = 2, 4


@dataclass(frozen=True, slots=True)
class ShiftClasses:
    """The class of every token, and how many of each class a sequence has.

    Attributes
    ----------
    classes : array
        int64 in the shape of the tokens: 0 unshifted (rank 1 in the base), 1 marginal (rank 2 or 3),
        2 shifted (rank 4 or more), -1 where the base has no rank for the token (masked or broken rows).
    counts : array
        int64 [sequences, 3]; one sequence of all tokens where neither offsets nor a batch divide them.
    fractions : array
        float64 [sequences, 3]: counts divided by the classified tokens; NaN for a sequence without any.
    """

    classes: Any
    counts: Any
    fractions: Any


def shift_classes(
    base: Any,
    tokens: Any = None,
    *,
    offsets: Any = None,
    backend: Backend = "auto",
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> ShiftClasses:
    """Classify the tokens of a tuned model by their rank in the base: unshifted, marginal, shifted.

    The three classes, with borders after rank 1 and rank 3, are those of Lin et al. 2023 ("The Unlocking
    Spell on Base LLMs", arXiv 2312.01552), where the tokens are the tuned model's greedy choices in its own
    reply. A rank is 1 + the number of strictly larger logits, so ties count for the token; logits in bfloat16
    have more ties than the model has.

    Parameters
    ----------
    base : TokenStats or array
        The base model's statistics *of the tuned model's tokens* with `n_greater`, or its logits, as in
        :func:`crystal.token_stats`, at the tuned model's contexts.
    tokens : array of integers
        The tuned model's tokens; only where `base` is an array of logits.
    offsets : array of integers, optional
        [sequences + 1], as in :func:`crystal.fold`. Without them every row of [batch, time] is a sequence,
        and tokens of shape [tokens] are one.
    backend, ignored_id, dtype, threads
        As in :func:`crystal.token_stats`.

    Returns
    -------
    ShiftClasses
        In the library of `base`.

    Raises
    ------
    SettingsError
        On wrong input; if statistics come without `n_greater` or with tokens, or logits without tokens.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.tile(np.float32([5, 4, 3, 2, 1]), (5, 1))
    >>> found = shift_classes(logits, [0, 1, 2, 3, 4])
    >>> print(found.classes, found.fractions)
    [0 1 1 2 2] [[0.2 0.4 0.4]]
    """
    if isinstance(base, TokenStats):
        if tokens is not None:
            raise SettingsError("statistics have their tokens already", where="tokens", fix="leave them out")
        if base.n_greater is None:
            raise SettingsError("statistics without ranks", where="base", expected="the field n_greater")
        stats = base
    elif tokens is None:
        raise SettingsError("needed beside logits", where="tokens")
    else:
        stats = token_stats(
            base,
            tokens,
            backend=backend,
            metrics=["n_greater"],
            ignored_id=ignored_id,
            dtype=dtype,
            threads=threads,
        )
    greater = host(stats.n_greater)
    edges = np.array([0, greater.size]) if offsets is None and greater.ndim == 1 else None
    edges = borders(greater.shape, offsets) if edges is None else edges
    rank = greater + 1
    classes = (rank >= _MARGINAL_RANK).astype(np.int64) + (rank >= _SHIFTED_RANK)
    classes[(greater < 0) | (host(stats.status) != 0)] = -1
    owner = np.repeat(np.arange(edges.size - 1), np.diff(edges))
    known = classes.ravel() >= 0
    cell = 3 * owner[known] + classes.ravel()[known]
    counts = np.bincount(cell, minlength=3 * (edges.size - 1)).reshape(-1, 3).astype(np.int64)
    total = counts.sum(axis=1, keepdims=True)
    fractions = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    if token_inputs.is_torch(stats.n_greater):
        torch, device = token_inputs.need_torch("the ranks are tensors"), stats.n_greater.device
        return ShiftClasses(*(torch.from_numpy(x).to(device) for x in (classes, counts, fractions)))
    return ShiftClasses(classes, counts, fractions)
