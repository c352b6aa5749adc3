"""Entropy, energy and heat capacity of token distributions over a grid of temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels.token_merge import finish
from crystal.ops import token_backends, token_inputs
from crystal.ops.core import load
from crystal.ops.token_backends import Backend

_LOG2E = 1.4426950408889634


@dataclass(frozen=True, slots=True)
class TemperatureCurve:
    """Thermodynamics of each token's distribution p_i ~ exp(x_i / T), float64 [..., temperatures].

    Attributes
    ----------
    temperatures : numpy.ndarray
        The grid, float64.
    entropy : array
        S(T) = -sum p log p, nats.
    energy : array
        E(T) = -sum p x, in units of the logits; it rises with T.
    heat_capacity : array
        C(T) = dE/dT = variance of x under p / T^2, in nats (k = 1); T dS/dT equals it.
    status : array
        As in :class:`crystal.ops.tokens.TokenStats`, [...]; where it is not 0 the curves are NaN.
    """

    temperatures: Any
    entropy: Any
    energy: Any
    heat_capacity: Any
    status: Any


def temperature_curve(
    logits: Any,
    temperatures: Sequence[float],
    *,
    backend: Backend = "auto",
    dtype: str | None = None,
    threads: int = 0,
) -> TemperatureCurve:
    """Return entropy, energy and heat capacity over a grid of temperatures.

    The "cpu" backend takes each row from memory once and keeps it in the cache for the other temperatures;
    "torch" works in blocks of rows. Triton has no form of this yet, so tensors on a GPU go to "torch".

    Parameters
    ----------
    logits : array
        [tokens, vocabulary] or [batch, time, vocabulary]; kinds and dtypes as in :func:`crystal.token_stats`.
    temperatures : sequence of float
        One or more, 1e-4 to 1e4, in any order.
    backend : {"auto", "cpu", "torch"}
        As in :func:`crystal.token_stats`.
    dtype, threads
        As in :func:`crystal.token_stats`.

    Returns
    -------
    TemperatureCurve
        In the library of `logits`.

    Raises
    ------
    SettingsError
        On wrong input, or for backend "triton".

    Examples
    --------
    Two levels, 0 and 1: E = -1 / (1 + exp(-1 / T)).

    >>> import numpy as np
    >>> curve = temperature_curve(np.array([[0.0, 1.0]], dtype=np.float32), [0.5, 1.0])
    >>> print(np.round(curve.energy, 4), np.round(curve.heat_capacity, 4))
    [[-0.8808 -0.7311]] [[0.42   0.1966]]
    """
    grid = [token_inputs.check_temperature(t) for t in temperatures]
    if not grid:
        raise SettingsError("no temperature given", where="temperatures")
    shape = tuple(getattr(logits, "shape", ()))
    given = token_inputs.check(logits, np.zeros(shape[:-1], np.int64), dtype=dtype)
    if backend == "auto" and given.on_gpu:
        backend = "torch"
    name = token_backends.choose(given, backend)
    if name == "triton":
        raise SettingsError("has no temperature curve", where="backend", fix='use backend="auto"')
    xp = token_backends.array_library(given)
    if name == "cpu":
        array, ids = token_backends.as_numpy(given), token_backends.ids_of(given)
        floats, counts = load().token_state(
            array, given.dtype, ids, None, grid, "standard", token_inputs.IGNORED_ID, 0, threads, "best"
        )
        states = [
            (token_backends.like(given, floats[:, k]), token_backends.like(given, counts[:, k]))
            for k in range(len(grid))
        ]
    else:
        states = [
            token_backends.state(given, t, name, level="standard", ignored_id=token_inputs.IGNORED_ID)
            for t in grid
        ]
    curves: list[Any] = []
    status: Any = None
    for t, (state_floats, state_counts) in zip(grid, states, strict=True):
        results, places = finish(xp, state_floats, state_counts, t)
        status = places[3]
        maximum, shift, s, first = state_floats[:4]
        with np.errstate(all="ignore"):
            # sum p x, from the centred sums: the maximum, and how far the mean lies below it.
            below = first / s - (maximum * (_LOG2E / t) - shift)
            energy = -(maximum + t * below / _LOG2E)
        energy = xp.where(status == 0, energy, results[2])  # NaN as the entropy is
        curves.append((results[2], energy, results[3]))
    entropy, energy, capacity = (
        xp.stack([curve[i] for curve in curves], -1).reshape((*given.shape, len(grid))) for i in range(3)
    )
    return TemperatureCurve(np.array(grid), entropy, energy, capacity, status.reshape(given.shape))
