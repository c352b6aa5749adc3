"""Entropy, energy and heat capacity of token distributions over a grid of temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.kernels.curve_merge import finish_curves
from crystal.ops import token_backends, token_inputs
from crystal.ops.core import load
from crystal.ops.token_backends import Backend
from crystal.ops.token_inputs import TokenInput


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
    tokens: Any = None,
    backend: Backend = "auto",
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> TemperatureCurve:
    """Return entropy, energy and heat capacity over a grid of temperatures, from one read of the logits.

    With m the largest logit of a row and d = x - m, every temperature keeps s = sum e, t = sum e d and
    u = sum e d^2 of e = exp(d / T): S = log s - t / (T s), E = -(m + t / s), C = (u / s - (t / s)^2) / T^2.
    Temperatures T, T/2 and T/4 of one grid share an exponential, so grids with such pairs cost less. "cpu"
    reads the logits once, whatever the grid is; "triton" once for every sixteen temperatures; "torch" works
    in blocks of 64 MiB.

    Parameters
    ----------
    logits : array
        [tokens, vocabulary] or [batch, time, vocabulary]; kinds and dtypes as in :func:`crystal.token_stats`.
    temperatures : sequence of float
        One or more, 1e-4 to 1e4, in any order.
    tokens : array of integers, optional
        Ids of the leading shape; only `ignored_id` among them matters: such rows are not read (status 4).
    backend, ignored_id, dtype, threads
        As in :func:`crystal.token_stats`.

    Returns
    -------
    TemperatureCurve
        In the library of `logits`.

    Raises
    ------
    SettingsError
        On wrong input, before any work.

    Examples
    --------
    Two levels, 0 and 1: E = -1 / (1 + exp(-1 / T)).

    >>> import numpy as np
    >>> curve = temperature_curve(np.array([[0.0, 1.0]], dtype=np.float32), [0.5, 1.0])
    >>> print(np.round(curve.energy, 4), np.round(curve.heat_capacity, 4))
    [[-0.8808 -0.7311]] [[0.42   0.1966]]
    """
    grid = np.array([token_inputs.check_temperature(t) for t in temperatures], np.float64)
    if not grid.size:
        raise SettingsError("no temperature given", where="temperatures")
    given = check_rows(logits, tokens, ignored_id=ignored_id, dtype=dtype)
    name = token_backends.choose(given, backend)
    *curves, status = curves_at(given, grid[:, None], name, ignored_id=ignored_id, threads=threads)
    entropy, energy, capacity = (curve.T.reshape((*given.shape, grid.size)) for curve in curves)
    return TemperatureCurve(grid, entropy, energy, capacity, status.reshape(given.shape))


def check_rows(logits: Any, tokens: Any, *, ignored_id: int, dtype: str | None) -> TokenInput:
    """Check logits whose tokens only say which rows are ignored: none where they are absent."""
    if tokens is None:
        shape = tuple(getattr(logits, "shape", ()))[:-1]
        tokens = np.full(shape, 1 if ignored_id == 0 else 0, np.int64)
    return token_inputs.check(logits, tokens, ignored_id=ignored_id, dtype=dtype, first_id=0)


def curves_at(
    given: TokenInput,
    temperatures: npt.NDArray[np.float64],
    backend: str,
    *,
    ignored_id: int,
    threads: int = 0,
) -> tuple[Any, Any, Any, Any]:
    """Return entropy, energy, heat capacity [temperatures, tokens] and status [tokens] of checked logits.

    `temperatures` is [temperatures, 1] for all tokens, or [temperatures, tokens].
    """
    grid = np.ascontiguousarray(temperatures, np.float64)
    if backend == "cpu":
        ids = token_backends.ids_of(given)
        maximum, sums = load().token_curve(
            token_backends.as_numpy(given), given.dtype, ids, grid, ignored_id, threads, "best"
        )
        curves = finish_curves(np, maximum, sums, grid, ids.reshape(-1) == ignored_id)
        return tuple(token_backends.like(given, curve) for curve in curves)
    torch = token_inputs.need_torch("this backend computes with torch")
    logits, tokens = token_backends.as_torch(given)
    ignored = tokens.reshape(-1) == ignored_id
    known = torch.from_numpy(grid)
    if backend == "triton":
        from crystal.kernels.curve_launch import launch_curves

        maximum, sums = launch_curves(logits, tokens, known, ignored_id=ignored_id)
    else:
        from crystal.kernels.curve_reference import reference_curves

        precision = torch.float64 if given.dtype == "float64" else torch.float32
        maximum, sums = reference_curves(logits, ignored, known.to(logits.device), precision)
    curves = finish_curves(torch, maximum, sums, known.to(logits.device), ignored)
    return tuple(c.numpy() for c in curves) if given.kind == "numpy" else curves
