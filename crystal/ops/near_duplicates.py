"""Clusters of nearly equal texts or token sequences, found without comparing all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load
from crystal.ops.minhash import Unit, banding, jaccard, shingle_arguments, shingle_set

Integers = npt.NDArray[np.int64]
SHINGLE = {"character": 5, "word": 3, "element": 3}
"""Units of a shingle where none are given."""
KEY_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """What :func:`near_duplicates` found; clusters are numbered in order of appearance."""

    inverse: npt.NDArray[np.int32]
    """int32 [n]: the cluster of each text, in [0, clusters)."""
    first: Integers
    """int64 [clusters], ascending: where each cluster first appears, in [0, n)."""
    counts: Integers
    """int64 [clusters]: how many texts each has; they sum to n."""
    distinct: int
    """Different texts."""
    compared: int
    """Pairs of different texts whose similarity was computed."""
    unchecked: int
    """Pairs that crowded buckets proposed and nobody compared; 0 where no bucket was crowded."""
    bands: int
    """Bands of the signatures that proposed pairs."""
    rows: int
    """Places of a band."""

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return len(self.first)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand over ``first`` and ``count``, a row a cluster, to anything that reads Arrow."""
        import pyarrow as pa

        table = pa.table({"first": self.first, "count": self.counts})
        return table.__arrow_c_stream__(requested_schema)


def near_duplicates(
    texts: Any,
    threshold: float = 0.8,
    *,
    n: int | None = None,
    unit: Unit | None = None,
    recall: float = 0.999,
    seed: int = 0,
    threads: int = 0,
    key_bytes: int = KEY_BYTES,
) -> NearDuplicates:
    r"""Find clusters of texts whose sets of shingles are nearly equal.

    Two texts are similar if the Jaccard similarity of their shingle sets, shared over all different shingles,
    is at least ``threshold``. A cluster is what similar pairs connect (single linkage): within one, texts at
    the two ends of a chain may be less similar than the threshold; two texts that no chain connects are in
    different ones. A pair joins only after its exact similarity was computed, from the shingles themselves
    and not from hashes, so no unrelated texts are joined.

    Equal texts are found first and then stand as one. Which pairs are worth a comparison is decided by bands
    of MinHash signatures (:func:`crystal.minhash`, :func:`crystal.ops.minhash.banding`): of pairs exactly at
    the threshold a share of at least ``recall`` is proposed, of more similar ones more. A text is compared
    with texts of other clusters only and with a cluster's until one is similar, so a million nearly equal
    texts cost about a comparison each. Where many texts share a band and are not similar (one template,
    filled in differently), later ones meet at most 256 earlier ones, 64 of a cluster; ``unchecked`` counts
    the pairs left out.

    Parameters
    ----------
    texts : sequence of str, pyarrow string array, or (values, offsets)
        Texts without nulls; or ragged data as for :func:`crystal.minhash`: uint8 is UTF-8, other integers are
        token ids that fit int32.
    threshold : float
        In (0, 1].
    n : int, optional
        Units of a shingle; 5 characters, 3 words or 3 elements by default. A text of fewer has one shingle.
    unit : {"element", "character", "word"}, optional
        As for :func:`crystal.minhash`.
    recall : float
        In (0, 1).
    seed : int
        In [0, 2^64).
    threads : int
        0 means CRYSTAL_THREADS, else all cores.
    key_bytes : int
        Bytes that the bands' keys may take: 4 a band and distinct text. Where they do not suffice, signatures
        are made again for every few bands, with the same result.

    Returns
    -------
    NearDuplicates
        The same bytes for any number of threads; the same clusters for any order of the texts.

    Raises
    ------
    InputError
        For nulls, values that are no integers, offsets that descend or leave the values, 2^31 texts or more.
    SettingsError
        For a setting outside its range.

    Notes
    -----
    Memory beside the texts: 4 bytes a band and distinct text (at most ``key_bytes``), 8 bytes a distinct
    text for the proposals of one band, 16 more for cluster and counts, 4 bytes a text for ``inverse``, and
    what :func:`crystal.count_sequences` takes while it runs.

    Examples
    --------
    >>> found = near_duplicates(["a fine day in June", "a fine day in june", "rain"], 0.5)
    >>> found.inverse.tolist(), found.counts.tolist()
    ([0, 0, 1], [2, 1])
    """
    where = "near_duplicates"
    values, offsets = _ragged(texts, where)
    if not 0.0 < threshold <= 1.0:
        raise SettingsError(
            "the threshold is out of range", where=where, expected="above 0, at most 1", got=str(threshold)
        )
    if not 0.0 < recall < 1.0:
        raise SettingsError(
            "the recall is out of range", where=where, expected="between 0 and 1", got=str(recall)
        )
    if key_bytes < 1:
        raise SettingsError("the keys need memory", where=where, got=f"key_bytes = {key_bytes}")
    data, starts, width, chosen = shingle_arguments(
        values, offsets, 1 if n is None else n, seed, unit, threads, where=where
    )
    size = SHINGLE[chosen] if n is None else n
    bands, rows = banding(threshold, recall)
    try:
        inverse, first, counts, *numbers = load().near_duplicates(
            data, starts, width, chosen, size, seed, threshold, bands, rows, key_bytes, threads
        )
    except ValueError as error:
        raise InputError(str(error), where=where) from error
    distinct, compared, unchecked = numbers
    return NearDuplicates(inverse, first, counts, distinct, compared, unchecked, bands, rows)


def near_duplicates_reference(
    texts: list[Any], threshold: float = 0.8, *, n: int = 5, unit: Unit | None = None
) -> npt.NDArray[np.int32]:
    """Return the cluster of each text by comparing all pairs, slowly and plainly.

    Parameters
    ----------
    texts : list of str, bytes or sequence of int
    threshold, n, unit
        As for :func:`near_duplicates`.

    Returns
    -------
    int32 [texts]

    Examples
    --------
    >>> near_duplicates_reference(["heads", "heads!", "tails"], 0.5).tolist()
    [0, 0, 1]
    """
    sets = [shingle_set(text, n, unit) for text in texts]
    cluster = list(range(len(texts)))
    for i, j in combinations(range(len(texts)), 2):
        if cluster[i] != cluster[j] and jaccard(sets[i], sets[j]) >= threshold:
            low, high = sorted((cluster[i], cluster[j]))
            cluster = [low if c == high else c for c in cluster]
    return np.unique(np.array(cluster, np.int32), return_inverse=True)[1].astype(np.int32)


def _ragged(texts: Any, where: str) -> tuple[Any, Any]:
    if isinstance(texts, tuple) and len(texts) == 2 and not isinstance(texts[0], str):
        return texts
    from crystal.ops.ragged import strings_to_ragged

    try:
        ragged = strings_to_ragged(texts)
    except (TypeError, ValueError) as error:  # what Arrow says about things that are no strings
        raise InputError(f"these are no texts: {error}", where=where) from error
    if ragged.validity is not None:
        row = int(np.argmin(ragged.validity))
        raise InputError("a text is null", where=f"{where}, text {row}", fix="leave it out")
    return ragged.values, ragged.offsets
