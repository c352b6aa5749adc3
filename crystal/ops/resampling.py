"""Permutation tests, simulated counts and random halves, from counter-based random numbers.

Every replicate's random numbers are a function of ``(seed, replicate, key)`` alone (Philox 4x32-10, Salmon et
al. 2011), so a result is the same bytes for any number of threads, and a longer run begins with the shorter.
``crystal.ops.resampling_reference`` says in plain NumPy what is computed here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops import resampling_inputs as inputs
from crystal.ops.core import load

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Statistic = Literal["g", "js", "max_cut_g", "retention"]
Simulated = Literal["entropy", "js", "g"]


@dataclass(frozen=True)
class PermutationResult:
    """What :func:`permutation_test` found."""

    observed: float
    """The statistic of the data."""
    p: float
    """(greater + equal + 1) / (draws + 1)."""
    greater: int
    """Draws whose statistic exceeds the observed one."""
    equal: int
    """Draws whose statistic equals the observed one exactly."""
    draws: int
    """Draws made before the test stopped."""
    null_mean: float
    """Mean of the statistic over the draws made."""
    null_sd: float
    """Its standard deviation (divisor ``draws - 1``)."""
    position: int
    """For ``max_cut_g`` the first cut t with the largest G, in [1, G - 1]; else -1."""


def stream_key(*words: str | int) -> int:
    """Return a 64-bit key that names a stream of random numbers: BLAKE2b of the words and their types.

    Parameters
    ----------
    *words : str or int
        What the stream is for, such as a ladder, a task and two checkpoints.

    Returns
    -------
    int
        In [0, 2^64); the same on every machine and in every run.

    Raises
    ------
    SettingsError
        If a word is neither text nor a whole number.

    Examples
    --------
    >>> stream_key("gate", "coin", 1) == stream_key("gate", "coin", 1)
    True
    >>> stream_key("gate", "coin", 1) == stream_key("gate", "coin", "1")
    False
    """
    digest = hashlib.blake2b(digest_size=8)
    for word in words:
        if isinstance(word, bool) or not isinstance(word, (str, int, np.integer)):
            raise SettingsError("a stream is named by texts and whole numbers", where="words", got=repr(word))
        # A lone surrogate, which a log may hold, has bytes too.
        text = word.encode("utf-8", "surrogatepass") if isinstance(word, str) else str(int(word)).encode()
        digest.update(f"{'s' if isinstance(word, str) else 'i'}{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest(), "little")


def permutation_test(
    counts: npt.ArrayLike,
    statistic: Statistic,
    *,
    draws: int = 19_999,
    exceedances: int = 20,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
    mass: float = 0.9,
) -> PermutationResult:
    r"""Test whether the groups of every block have the same distribution, by permuting labels within blocks.

    Permuting the labels of a block's samples draws a random table with the block's margins. A statistic is
    compared as a whole number on a grid of :math:`2^{-40}`, so a draw that equals the data counts as equal.
    Draws end as soon as ``exceedances`` of them are as large as the data (Besag and Clifford, Biometrika 78,
    1991). The p-value is ``(greater + equal + 1) / (draws + 1)``, never below ``1 / (draws + 1)``.

    Statistics
    ----------
    ``g``
        :math:`\sum_b G_b` in nats, :math:`G = 2 \sum n_{gk} \ln (n_{gk} N / (n_{g.} n_{.k}))`; a group
        without samples adds nothing.
    ``js``
        Equal-weight Jensen-Shannon information :math:`H(\bar P) - \overline{H(P_g)}` in bits, groups weighted
        equally whatever their sizes; the mean over blocks. A block with an empty group is left out.
    ``max_cut_g``
        :math:`\max_t \sum_b` G of the groups before t, pooled, against those from t on, pooled;
        ``position`` is t.
    ``retention``
        Two groups, before and after: :math:`-\Delta R` averaged over blocks, with :math:`\Delta R` the mean
        over the earlier samples i of (later share in :math:`S_{-i}`, less 1 where i lies in it), and
        :math:`S_{-i}` the smallest option set that holds ``mass`` of the earlier samples without i, ties at
        its edge all in; rebuilt in every draw. Large where mass escapes. A block with an empty group is left
        out.

    Parameters
    ----------
    counts : array_like, int64 [B, G, K]
        Samples of B blocks (prompts), G groups (checkpoints, or the prompts of one block) and K options; not
        negative, at most 2^24 in a block.
    statistic : {"g", "js", "max_cut_g", "retention"}
        What is compared.
    draws, exceedances : int
        Most draws, and the number of draws at least as large as the data that ends the test; both at least 1.
        With ``exceedances > draws`` all draws are made.
    seed, key : int
        Name the random numbers, in [0, 2^64).
    threads : int
        0 means CRYSTAL_THREADS, else all cores. Never changes the result.
    mass : float
        Share that a retention set holds, in (0, 1].

    Returns
    -------
    PermutationResult
        With nothing to permute (one option, one group, no samples) every draw ties and p is 1.

    Raises
    ------
    InputError
        If the counts are no int64 array of three axes, negative or too many.
    SettingsError
        If a setting is outside its range, or ``retention`` is asked of other than two groups.

    Examples
    --------
    >>> result = permutation_test([[[18, 2], [3, 17]]], "g", seed=1)
    >>> round(result.observed, 3), result.p < 0.001
    (25.44, True)
    """
    table = inputs.read_counts(counts, 3, "[blocks, groups, options]")
    inputs.require_choice(statistic, ("g", "js", "max_cut_g", "retention"))
    if not 0.0 < mass <= 1.0:
        raise SettingsError("not a share of the samples", where="mass", expected="in (0, 1]", got=str(mass))
    if statistic == "retention" and table.shape[1] != 2:
        raise SettingsError(
            "retention compares an earlier with a later group",
            where="counts",
            expected="2 groups",
            got=f"{table.shape[1]}",
        )
    return PermutationResult(
        *load().permutation_test(
            table,
            statistic,
            float(mass),
            inputs.positive(draws, "draws"),
            inputs.positive(exceedances, "exceedances"),
            *inputs.randomness(seed, key, threads),
        )
    )


def simulate(
    probabilities: npt.ArrayLike,
    sizes: npt.ArrayLike,
    statistic: Simulated,
    *,
    draws: int,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> Floats:
    """Return a statistic of multinomial samples at each of T points.

    A replicate has the same random numbers at every point, so a curve over the points is smooth, and one
    point alone gives its row of the whole.

    Parameters
    ----------
    probabilities : array_like, float64 [T, B, G, K]
        Rows over K options, finite and not negative, with sum 1 within 1e-6.
    sizes : array_like, int64 [B, G]
        Samples to draw for each block and group; at most 2^24 in a block.
    statistic : {"entropy", "js", "g"}
        ``entropy`` is the plug-in entropy in bits, averaged over all groups that have samples; ``js`` and
        ``g`` as :func:`permutation_test` has them.
    draws : int
        Replicates, at least 1.
    seed, key, threads : int
        As for :func:`permutation_test`.

    Returns
    -------
    numpy.ndarray, float64 [T, draws]
        0 where there is nothing to average.

    Raises
    ------
    InputError
        If an array is not of the form above.
    SettingsError
        If a setting is outside its range.

    Examples
    --------
    >>> simulate([[[[0.5, 0.5]]], [[[1.0, 0.0]]]], [[50]], "entropy", draws=3).shape
    (2, 3)
    """
    number = inputs.read_counts(sizes, 2, "[blocks, groups]", where="sizes", limit_axes=1)
    rows = inputs.read_probabilities(probabilities, 4, number)
    inputs.require_choice(statistic, ("entropy", "js", "g"))
    values: Floats = load().simulate(
        rows, number, statistic, inputs.positive(draws, "draws"), *inputs.randomness(seed, key, threads)
    )
    return values


def simulate_counts(
    probabilities: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    draws: int,
    seed: int = 0,
    key: int = 0,
    threads: int = 0,
) -> Counts:
    """Return multinomial samples of G groups.

    Parameters
    ----------
    probabilities : array_like, float64 [G, K]
        Rows as for :func:`simulate`.
    sizes : array_like, int64 [G]
        Samples to draw of each group.
    draws, seed, key, threads : int
        As for :func:`simulate`.

    Returns
    -------
    numpy.ndarray, int64 [draws, G, K]
        Counts.

    Raises
    ------
    InputError, SettingsError
        As :func:`simulate`.

    Examples
    --------
    >>> simulate_counts([[0.2, 0.8], [1.0, 0.0]], [10, 5], draws=4).sum(axis=2)[0].tolist()
    [10, 5]
    """
    number = inputs.read_counts(sizes, 1, "[groups]", where="sizes", limit_axes=1)
    rows = inputs.read_probabilities(probabilities, 2, number)
    values: Counts = load().simulate_counts(
        rows, number, inputs.positive(draws, "draws"), *inputs.randomness(seed, key, threads)
    )
    return values


def permute_counts(
    counts: npt.ArrayLike, *, draws: int, seed: int = 0, key: int = 0, threads: int = 0
) -> Counts:
    """Return the counts after permuting labels within every block, both margins of a block kept.

    Parameters
    ----------
    counts : array_like, int64 [B, G, K]
        As for :func:`permutation_test`.
    draws, seed, key, threads : int
        As for :func:`simulate`.

    Returns
    -------
    numpy.ndarray, int64 [draws, B, G, K]
        Counts.

    Raises
    ------
    InputError, SettingsError
        As :func:`permutation_test`.

    Examples
    --------
    >>> permute_counts([[[3, 1], [2, 4]]], draws=5).sum(axis=2)[4].tolist()
    [[5, 5]]
    """
    table = inputs.read_counts(counts, 3, "[blocks, groups, options]")
    values: Counts = load().permute_counts(
        table, inputs.positive(draws, "draws"), *inputs.randomness(seed, key, threads)
    )
    return values


def split_counts(
    counts: npt.ArrayLike, *, splits: int, seed: int = 0, key: int = 0, threads: int = 0
) -> Counts:
    """Return a random half of every row of counts, drawn without replacement; the other half is what is left.

    Parameters
    ----------
    counts : array_like, int64 [..., K]
        Samples of each row over K options; not negative, at most 2^24 in a row.
    splits, seed, key, threads : int
        As ``draws`` and the others for :func:`simulate`.

    Returns
    -------
    numpy.ndarray, int64 [splits, ..., K]
        ``n // 2`` samples of a row of n; a fair coin gives an odd one to this half or the other.

    Raises
    ------
    InputError, SettingsError
        As :func:`permutation_test`.

    Examples
    --------
    >>> halves = split_counts([[6, 4], [0, 0]], splits=3)
    >>> halves.sum(axis=-1).tolist()
    [[5, 0], [5, 0], [5, 0]]
    """
    table = inputs.read_counts(counts, None, "[..., options]", limit_axes=1)
    rows = table.reshape(-1, table.shape[-1]) if table.size else np.zeros((0, 0), dtype=np.int64)
    values: Counts = load().split_counts(
        rows, inputs.positive(splits, "splits"), *inputs.randomness(seed, key, threads)
    )
    return values.reshape((int(splits), *table.shape))
