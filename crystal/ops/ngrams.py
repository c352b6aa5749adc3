"""N-gram counts of texts and token sequences: diversity, repetition, and what two sets of samples share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load
from crystal.ops.sequences import ragged_arguments

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """What :func:`ngram_counts` found; everything here follows from exact integer counts."""

    n: int
    """Elements of an n-gram."""
    counts: Integers
    """int64 [m], ascending: the numbers of times that n-grams appear."""
    ngrams: Integers
    """int64 [m]: how many different n-grams appear that often (the frequency spectrum)."""
    sample_distinct: npt.NDArray[np.int32]
    """int32 [samples]: different n-grams within each sample."""
    sample_total: Integers
    """int64 [samples]: n-grams of each sample, max(0, length - n + 1)."""

    @property
    def total(self) -> int:
        """How many n-grams there are in all samples together."""
        return int(self.sample_total.sum())

    @property
    def distinct(self) -> int:
        """How many different n-grams there are."""
        return int(self.ngrams.sum())

    @property
    def entropy(self) -> float:
        """Plug-in entropy of the n-grams in bits, from 0 to log2(distinct); NaN without n-grams."""
        if not self.total:
            return math.nan
        share = self.counts / self.total
        return max(0.0, -float(np.sum(self.ngrams * share * np.log2(share))))

    @property
    def repetition(self) -> Floats:
        """float64 [samples] in [0, 1): 1 - distinct / total within each sample; NaN where it has no n-gram.

        This is seq-rep-n of Welleck et al., Neural text generation with unlikelihood training (ICLR 2020).
        """
        share = np.full(len(self.sample_total), math.nan)
        np.divide(self.sample_distinct, self.sample_total, out=share, where=self.sample_total > 0)
        return 1.0 - share

    def distinct_at(self, budget: int) -> float:
        r"""Return distinct-n at a fixed budget: the expected share of different n-grams among drawn ones.

        Distinct-n falls with the amount of text, so values compare at one budget only. This is the mean over
        all ways to draw ``budget`` of the n-grams without replacement (rarefaction; Hurlbert, Ecology 52,
        1971): :math:`\frac1B \sum_g 1 - \binom{N - c_g}{B} / \binom{N}{B}`, in (0, 1].

        Parameters
        ----------
        budget : int
            B, from 1 to ``total``.

        Returns
        -------
        float

        Raises
        ------
        SettingsError
            For a budget outside its range.

        Examples
        --------
        >>> ngram_counts([1, 1, 2, 2], [0, 4], 1).distinct_at(2)
        0.833...
        """
        total = self.total
        if not 1 <= budget <= total:
            raise SettingsError(
                "the budget is outside the n-grams there are",
                where="distinct_at",
                expected=f"1 to {total}",
                got=str(budget),
            )
        missed = np.array([_missed(total, int(count), budget) for count in self.counts])
        return float(np.sum(self.ngrams * (1.0 - missed))) / budget

    def expectation_adjusted_distinct(self, vocabulary: int) -> float:
        r"""Return expectation-adjusted distinct-n: different n-grams over those expected of uniform draws.

        :math:`D / (V (1 - ((V - 1) / V)^C))` with D different n-grams among C (Liu et al., Rethinking and
        refining the distinct metric, ACL 2022). It may exceed 1.

        Parameters
        ----------
        vocabulary : int
            V, how many different n-grams there could be; at least ``distinct``. For n = 1 that is the size of
            the vocabulary.

        Returns
        -------
        float
            NaN without n-grams.

        Raises
        ------
        SettingsError
            For a vocabulary smaller than what was seen.

        Examples
        --------
        >>> ngram_counts([1, 1, 2, 2], [0, 4], 1).expectation_adjusted_distinct(2)
        1.066...
        """
        if vocabulary < max(self.distinct, 1):
            raise SettingsError(
                "the vocabulary is smaller than what was seen",
                where="expectation_adjusted_distinct",
                expected=f"at least {max(self.distinct, 1)}",
                got=str(vocabulary),
            )
        if not self.total:
            return math.nan
        if vocabulary == 1:
            return float(self.distinct)
        expected = -vocabulary * math.expm1(self.total * math.log1p(-1.0 / vocabulary))
        return self.distinct / expected

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand over the spectrum, columns ``count`` and ``ngrams``, to anything that reads Arrow."""
        import pyarrow as pa

        return pa.table({"count": self.counts, "ngrams": self.ngrams}).__arrow_c_stream__(requested_schema)


@dataclass(frozen=True)
class NgramOverlap:
    """What :func:`ngram_overlap` found, in different n-grams."""

    distinct_a: int
    distinct_b: int
    shared: int

    @property
    def jaccard(self) -> float:
        """Shared over all different n-grams, in [0, 1]; NaN without n-grams."""
        union = self.distinct_a + self.distinct_b - self.shared
        return self.shared / union if union else math.nan

    @property
    def kept(self) -> float:
        """The share of the n-grams of a that b has too, in [0, 1]; NaN if a has none."""
        return self.shared / self.distinct_a if self.distinct_a else math.nan

    @property
    def known(self) -> float:
        """The share of the n-grams of b that a had already, in [0, 1]; NaN if b has none."""
        return self.shared / self.distinct_b if self.distinct_b else math.nan


def ngram_counts(values: npt.ArrayLike, offsets: npt.ArrayLike, n: int, *, threads: int = 0) -> NgramCounts:
    """Count n-grams, n = 1 to 4. No n-gram crosses the end of a sample.

    Counts are exact: what is counted is the n-gram's elements, not a hash. Where one in four of a spread of
    8,192 samples equals another of them, distinct samples are counted once and weighted: the result is the
    same. It is also the same bytes for any number of threads.

    Parameters
    ----------
    values : array_like of integers [N]
        All elements behind one another: int32 token ids (wider integers must fit int32), or uint8 for bytes.
    offsets : array_like, int64 [samples + 1]
        Sample i is ``values[offsets[i]:offsets[i + 1]]``; not descending, within [0, N].
    n : int
        Elements of an n-gram, 1 to 4.
    threads : int
        0 means CRYSTAL_THREADS, else all cores.

    Returns
    -------
    NgramCounts
        Totals, spectrum, entropy, distinct-n and repetition per sample.

    Raises
    ------
    InputError
        For values that are no integers or do not fit int32, and offsets that descend or leave the values.
    SettingsError
        For n outside 1 to 4, or a negative number of threads.

    Examples
    --------
    >>> found = ngram_counts([1, 2, 1, 2, 3, 1, 2], [0, 4, 7], 2)
    >>> found.total, found.distinct, found.repetition.round(2).tolist()
    (5, 3, [0.33, 0.0])
    """
    data, starts, width = _arguments(values, offsets, n, threads, where="ngram_counts")
    try:
        counts, ngrams, distinct, _ = load().ngram_counts(data, starts, width, n, threads)
    except ValueError as error:
        raise InputError(str(error), where="ngram_counts") from error
    return NgramCounts(n, counts, ngrams, distinct, np.maximum(np.diff(starts) - n + 1, 0))


def ngram_counts_reference(values: npt.ArrayLike, offsets: npt.ArrayLike, n: int) -> NgramCounts:
    """Do the same as :func:`ngram_counts` with ``numpy.unique`` on windows, plainly.

    Parameters
    ----------
    values : array_like of integers [N]
    offsets : array_like, int64 [samples + 1]
    n : int

    Returns
    -------
    NgramCounts
        As :func:`ngram_counts` returns it.

    Examples
    --------
    >>> ngram_counts_reference([1, 2, 1, 2], [0, 4], 2).distinct
    2
    """
    data, starts = np.asarray(values), np.asarray(offsets, dtype=np.int64)
    windows: list[npt.NDArray[Any]] = [np.zeros((0, n), data.dtype)]
    distinct = []
    for row in _rows(data, starts):
        grams = np.lib.stride_tricks.sliding_window_view(row, n) if len(row) >= n else windows[0]
        windows.append(grams)
        distinct.append(len(np.unique(grams, axis=0)))
    counts = np.unique(np.concatenate(windows), axis=0, return_counts=True)[1]
    multiplicities, ngrams = np.unique(counts, return_counts=True)
    total = np.maximum(np.diff(starts) - n + 1, 0)
    return NgramCounts(
        n, multiplicities.astype(np.int64), ngrams.astype(np.int64), np.array(distinct, np.int32), total
    )


def ngram_overlap(
    values_a: npt.ArrayLike,
    offsets_a: npt.ArrayLike,
    values_b: npt.ArrayLike,
    offsets_b: npt.ArrayLike,
    n: int,
    *,
    threads: int = 0,
) -> NgramOverlap:
    """Count the different n-grams that two sets of samples share, such as those of two checkpoints.

    Shared = distinct(a) + distinct(b) - distinct(a and b together), three exact counts.

    Parameters
    ----------
    values_a, values_b : array_like of integers
    offsets_a, offsets_b : array_like, int64
    n : int
    threads : int
        All as for :func:`ngram_counts`; both sides have elements of one width (texts or tokens).

    Returns
    -------
    NgramOverlap
        ``distinct_a``, ``distinct_b``, ``shared``, and the shares ``jaccard``, ``kept`` and ``known``.

    Raises
    ------
    InputError
        As :func:`ngram_counts`, and for texts on one side and tokens on the other.
    SettingsError
        For n outside 1 to 4, or a negative number of threads.

    Examples
    --------
    >>> ngram_overlap([1, 2, 3], [0, 3], [2, 3, 4], [0, 3], 2).jaccard
    0.333...
    """
    a = ngram_counts(values_a, offsets_a, n, threads=threads).distinct
    b = ngram_counts(values_b, offsets_b, n, threads=threads).distinct
    where = "ngram_overlap"
    data_a, starts_a, width_a = _arguments(values_a, offsets_a, n, threads, where=where)
    data_b, starts_b, width_b = _arguments(values_b, offsets_b, n, threads, where=where)
    if width_a != width_b:
        raise InputError("one side has texts, the other tokens", where=where)
    data = np.concatenate([data_a[: starts_a[-1] * width_a], data_b])
    starts = np.concatenate([starts_a, starts_a[-1] + starts_b])
    # Between a's last offset and b's first lies what belongs to no sample: a sequence of its own, left out.
    gap = len(starts_a) - 1
    lengths = np.delete(np.diff(starts), gap)
    if starts[gap + 1] != starts[gap]:
        data = np.delete(data, np.s_[starts[gap] * width_a : starts[gap + 1] * width_a])
    joined = np.concatenate([starts_a[:1], starts_a[0] + np.cumsum(lengths)])
    both = load().ngram_counts(data, joined, width_a, n, threads)
    return NgramOverlap(a, b, a + b - int(both[1].sum()))


def _missed(total: int, count: int, budget: int) -> float:
    """Return C(total - count, budget) / C(total, budget): the chance that no draw is one of these."""
    if count > total - budget:
        return 0.0
    # Products of the fewer factors: (total - count - i) / (total - i), i < budget, or with the roles swapped.
    factors = np.arange(min(count, budget), dtype=np.float64)
    return math.exp(float(np.sum(np.log1p(-max(count, budget) / (total - factors)))))


def _rows(data: npt.NDArray[Any], starts: Integers) -> Iterator[npt.NDArray[Any]]:
    return (data[begin:end] for begin, end in pairwise(starts))


def _arguments(
    values: npt.ArrayLike, offsets: npt.ArrayLike, n: int, threads: int, *, where: str
) -> tuple[npt.NDArray[np.uint8], Integers, int]:
    if not 1 <= n <= 4:
        raise SettingsError("n is out of range", where=where, expected="1 to 4", got=str(n))
    data, starts, width = ragged_arguments(values, offsets, threads, where=where)
    if width in (1, 4):
        return data, starts, width
    whole = np.asarray(values)
    limits = np.iinfo(np.int32)
    if whole.size and (int(whole.min()) < limits.min or int(whole.max()) > limits.max):
        raise InputError("an element does not fit int32", where=where)
    return whole.astype(np.int32).view(np.uint8), starts, 4
