"""G of every cut of a ladder, all cuts in one pass: of data, of its checkpoints reordered, of simulated data.

``tests/ops/test_cuts.py`` holds them against :mod:`crystal.ops.resampling_reference`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError
from crystal.ops import resampling_inputs as inputs
from crystal.ops.core import load

Floats = npt.NDArray[np.float64]

_LADDER = "[blocks, checkpoints, options]"


def cut_g(counts: npt.ArrayLike, *, threads: int = 0) -> Floats:
    r"""Return :math:`G = 2 \sum n \ln (n N / (row\ column))` of every cut, checkpoints before against after.

    Parameters
    ----------
    counts : array_like, int64 [..., B, S, K]
        Counts of B blocks (prompts) at S checkpoints, at least one; at most 2^24 samples in a block.
    threads : int
        0 means CRYSTAL_THREADS, else all cores. Never changes the result.

    Returns
    -------
    numpy.ndarray, float64 [..., S - 1]
        Nats, summed over blocks; entry t - 1 cuts before checkpoint t.

    Raises
    ------
    InputError
        If the counts are no such array.

    Examples
    --------
    >>> cut_g([[[10, 0], [10, 0], [0, 10]]]).round(2).tolist()
    [10.46, 38.19]
    """
    table = inputs.read_counts(counts, None, f"[..., {_LADDER[1:]}")
    _require_ladders(table.shape)
    many = table.shape[:-3]
    flat = table.reshape(math.prod(many), *table.shape[-3:])
    values: Floats = load().cut_g(flat, inputs.whole(threads, "threads", 0, 2**16))
    return values.reshape(*many, values.shape[1])


def ordered_cut_g(counts: npt.ArrayLike, orders: npt.ArrayLike, *, threads: int = 0) -> Floats:
    """Return :func:`cut_g` of one ladder with its checkpoints in each of several orders.

    Parameters
    ----------
    counts : array_like, int64 [B, S, K]
        As for :func:`cut_g`.
    orders : array_like, int64 [D, S]
        In each row, the numbers of the checkpoints from first to last.
    threads : int
        As for :func:`cut_g`.

    Returns
    -------
    numpy.ndarray, float64 [D, S - 1]

    Raises
    ------
    InputError
        If an array is not of its form, or a row of ``orders`` is no permutation of 0 to S - 1.

    Examples
    --------
    >>> ordered_cut_g([[[10, 0], [10, 0], [0, 10]]], [[0, 1, 2], [2, 1, 0]]).round(2).tolist()
    [[10.46, 38.19], [38.19, 10.46]]
    """
    table = inputs.read_counts(counts, 3, _LADDER)
    _require_ladders(table.shape)
    places, size = np.asarray(orders), table.shape[1]
    if (
        places.dtype.kind not in "iu"
        or places.ndim != 2
        or places.shape[1] != size
        or (np.sort(places, axis=1) != np.arange(size)).any()
    ):
        raise InputError(
            "not orders of the checkpoints",
            where="orders",
            expected=f"int64 [draws, {size}], each row a permutation of 0 to {size - 1}",
            got=f"{places.dtype} {list(places.shape)}",
        )
    values: Floats = load().ordered_cut_g(
        table, np.ascontiguousarray(places, dtype=np.int64), inputs.whole(threads, "threads", 0, 2**16)
    )
    return values


def simulate_cut_g(
    probabilities: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    draws: int,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> Floats:
    """Return :func:`cut_g` of ladders of multinomial samples, none of which is kept.

    They are the ladders that :func:`crystal.ops.resampling.simulate_counts` draws from the same rows, so
    fewer draws are the first of more.

    Parameters
    ----------
    probabilities : array_like, float64 [B, S, K]
        Rows over K options, finite and not negative, with sum 1 within 1e-6.
    sizes : array_like, int64 [B, S]
        Samples to draw; at most 2^24 in a block.
    draws : int
        Replicates, at least 1.
    seed, key : int
        Name the random numbers, in [0, 2^64).
    threads : int
        As for :func:`cut_g`.

    Returns
    -------
    numpy.ndarray, float64 [draws, S - 1]

    Raises
    ------
    InputError
        If an array is not of its form.
    SettingsError
        If a setting is outside its range.

    Examples
    --------
    >>> simulate_cut_g([[[1.0, 0.0], [0.0, 1.0]]], [[10, 10]], draws=2).round(2).tolist()
    [[27.73], [27.73]]
    """
    number = inputs.read_counts(sizes, 2, "[blocks, checkpoints]", where="sizes", limit_axes=1)
    rows = inputs.read_probabilities(probabilities, 3, number)
    _require_ladders(rows.shape)
    values: Floats = load().simulate_cut_g(
        rows, number, inputs.positive(draws, "draws"), *inputs.randomness(seed, key, threads)
    )
    return values


def _require_ladders(shape: tuple[int, ...]) -> None:
    if len(shape) < 3 or shape[-2] < 1:
        raise InputError("not ladders", where="counts", expected=f"int64 {_LADDER}", got=str(list(shape)))
