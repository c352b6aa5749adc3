"""Token statistics of a vocabulary in parts: a state per part, one merge rule, and sums per sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields
from crystal.kernels.token_merge import finish, merge
from crystal.ops import token_backends, token_inputs
from crystal.ops.token_backends import Backend
from crystal.ops.tokens import TokenStats


@dataclass(frozen=True, slots=True)
class TokenState:
    """What one part of a vocabulary knows about each token; parts merge in any order.

    Attributes
    ----------
    floats : array
        [8, tokens], the fields of ``crystal.kernels.token_fields.STATE_FLOATS``.
    counts : array
        [4, tokens], the fields of ``STATE_COUNTS``.
    temperature : float
        Of all parts alike.
    shape : tuple of int
        The shape of the ids.
    """

    floats: Any
    counts: Any
    temperature: float
    shape: tuple[int, ...]

    @classmethod
    def of_part(cls, floats: Any, counts: Any, temperature: float, shape: tuple[int, ...]) -> TokenState:
        """Return the state of a part: what was counted without the token's logit stays unknown."""
        unknown = (floats[6] != floats[6]) & (counts[3] == 0)
        floats[7][unknown] = np.nan
        counts[1:3, unknown] = token_fields.UNKNOWN
        return cls(floats, counts, temperature, shape)

    def merge(self, other: TokenState) -> TokenState:
        """Return the state of both parts together; neither is changed.

        Raises
        ------
        SettingsError
            If temperatures, shapes or array libraries differ.
        """
        for name in ("temperature", "shape"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise SettingsError(
                    "states of different reads", where=name, expected=str(ours), got=str(theirs)
                )
        if type(self.floats) is not type(other.floats):
            raise SettingsError("states in different array libraries", where="other")
        xp = _library(self.floats)
        floats, counts = merge(xp, (self.floats, self.counts), (other.floats, other.counts))
        return TokenState(floats, counts, self.temperature, self.shape)

    def result(self) -> TokenStats:
        """Return the statistics, as float64: all ten of :class:`TokenStats`, as if read in one piece."""
        xp = _library(self.floats)
        floats, counts = finish(xp, self.floats, self.counts, self.temperature)
        named = dict(zip(token_fields.RESULT_FLOATS, floats, strict=True))
        named |= dict(zip(token_fields.RESULT_COUNTS, counts, strict=True))
        return TokenStats(**{name: value.reshape(self.shape) for name, value in named.items()})


def _library(array: Any) -> Any:
    return token_inputs.need_torch("the state holds tensors") if token_inputs.is_torch(array) else np


def token_state(
    part: Any,
    tokens: Any,
    first_id: int = 0,
    temperature: float = 1.0,
    *,
    chosen: Any = None,
    backend: Backend = "auto",
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> TokenState:
    """Return the state of one part of the vocabulary, such as a tensor-parallel rank holds.

    Parameters
    ----------
    part : array
        Logits of the ids from `first_id` on; kinds, shapes and dtypes as in :func:`crystal.token_stats`.
    tokens : array of integers
        Ids in the whole vocabulary, the same for every part.
    first_id : int
        The id of the first column.
    temperature : float
        Divides the logits; 1e-4 to 1e4.
    chosen : array, optional
        float32 logits of the tokens (in the shape of `tokens`), which only one part holds. Without them the
        ranks and `mass_above` of the whole are unknown (-1 and NaN) unless this part is the whole.
    backend, ignored_id, dtype, threads
        As in :func:`crystal.token_stats`.

    Returns
    -------
    TokenState
        ``.merge(other)`` joins parts, ``.result()`` gives the statistics.

    Raises
    ------
    SettingsError
        As :func:`crystal.token_stats` does; an id may lie outside the part, but not below zero.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[0.5, 0.25, 0.125, 0.125]], dtype=np.float32))
    >>> chosen = logits[:, 1]
    >>> parts = [token_state(logits[:, i : i + 2], [1], i, chosen=chosen) for i in (0, 2)]
    >>> stats = merge_token_states(parts).result()
    >>> print(np.round(stats.entropy / np.log(2), 4), stats.n_greater, stats.argmax)
    [1.75] [1] [0]
    """
    temperature = token_inputs.check_temperature(temperature)
    if first_id < 0:
        raise SettingsError("below zero", where="first_id", got=str(first_id))
    given = token_inputs.check(part, tokens, ignored_id=ignored_id, dtype=dtype, first_id=first_id)
    backend_name = token_backends.choose(given, backend)
    known = None if chosen is None else chosen_logits(chosen, given.shape)
    floats, counts = token_backends.state(
        given,
        temperature,
        backend_name,
        level="all",
        ignored_id=ignored_id,
        first_id=first_id,
        chosen=known,
        threads=threads,
    )
    return TokenState.of_part(floats, counts, temperature, given.shape)


def chosen_logits(chosen: Any, shape: tuple[int, ...]) -> Any:
    """Check the logits of the tokens and return them flat, as float32."""
    array = chosen.detach().cpu().numpy() if token_inputs.is_torch(chosen) else np.asarray(chosen)
    if array.dtype.kind != "f" or array.shape != shape:
        raise SettingsError(
            "does not fit the ids",
            where="chosen",
            expected=f"floats of shape {list(shape)}",
            got=f"{array.dtype} of shape {list(array.shape)}",
        )
    return np.ascontiguousarray(array.reshape(-1), dtype=np.float32)


def merge_token_states(states: Iterable[TokenState]) -> TokenState:
    """Merge the states of all parts of a vocabulary.

    Parameters
    ----------
    states : iterable of TokenState
        One or more; the order does not matter beyond the last digits.

    Returns
    -------
    TokenState
        Of all parts together.

    Raises
    ------
    SettingsError
        If there is none, or they are of different reads.

    Examples
    --------
    >>> import numpy as np
    >>> halves = [token_state(np.zeros((1, 4), np.float32), [1], i) for i in (0, 4)]
    >>> print(np.round(np.exp(merge_token_states(halves).result().entropy), 6))
    [8.]
    """
    whole: TokenState | None = None
    for state in states:
        whole = state if whole is None else whole.merge(state)
    if whole is None:
        raise SettingsError("no state to merge", where="states")
    return whole
