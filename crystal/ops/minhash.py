"""MinHash signatures: how many shingles two texts share, from a few numbers of each."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load
from crystal.ops.sequences import ragged_arguments

Unit = Literal["element", "character", "word"]
UNITS = ("element", "character", "word")
MOST_PLACES = 1 << 16


def minhash(
    values: npt.ArrayLike,
    offsets: npt.ArrayLike,
    *,
    n: int,
    permutations: int = 128,
    seed: int = 0,
    unit: Unit | None = None,
    threads: int = 0,
    path: Literal["fastest", "scalar", "avx2"] = "fastest",
) -> npt.NDArray[np.uint32]:
    r"""Return the MinHash signature of each text's set of shingles.

    A shingle is n consecutive units of one text; a text of fewer than n units has one shingle, which is all
    of it, and so has an empty text. How often a shingle comes does not matter. Units are

    ``element``
        the values themselves (token ids, or bytes);
    ``character``
        the code points of UTF-8; a byte that belongs to no valid code point is a character of its own;
    ``word``
        what stands between white space, as ``str.split()`` has it, exactly as written.

    This is MinHash (Broder, On the resemblance and containment of documents, 1997) with the least and the
    greatest value of each permutation (min-max hash: Ji et al., Min-max hash for Jaccard similarity, ICDM
    2013): with 32 bits h of a seeded hash and odd :math:`a_i`, place i is
    :math:`\min_s a_i h(s) \bmod 2^{32}` over the shingles s for the first half of the places, rounded up, and
    the maximum with the same :math:`a_i` for the second half. Each place alone agrees between two texts with
    the probability of their Jaccard similarity J, so the share of equal places (:func:`signature_similarity`)
    is its unbiased estimate, up to collisions of 32 bits: about the product of the two sets' sizes over 2^32.
    Its variance is J (1 - J) / permutations or a little less. One-permutation MinHash makes long texts'
    signatures with less work, but has to fill empty places of short ones; samples are short.

    Parameters
    ----------
    values : array_like of integers [N]
        All texts behind one another: uint8 for UTF-8, integers that fit int32 for token ids.
    offsets : array_like, int64 [texts + 1]
        Text i is ``values[offsets[i]:offsets[i + 1]]``; not descending, within [0, N].
    n : int
        Units of a shingle, at least 1.
    permutations : int
        Places of a signature, 1 to 65,536.
    seed : int
        In [0, 2^64). Signatures compare with those of the same ``n``, ``unit`` and ``seed`` only.
    unit : {"element", "character", "word"}, optional
        ``character`` where the values are uint8, else ``element``.
    threads : int
        0 means CRYSTAL_THREADS, else all cores.
    path : {"fastest", "scalar", "avx2"}
        Which code makes the minima; all give the same bytes.

    Returns
    -------
    uint32 [texts, permutations]
        The same bytes for any number of threads.

    Raises
    ------
    InputError
        For values that are no integers or do not fit int32, and offsets that descend or leave the values.
    SettingsError
        For a setting outside its range, and for characters or words of anything but uint8.

    Examples
    --------
    >>> signatures = minhash([1, 2, 3, 4, 1, 2, 3, 4, 5], [0, 4, 9], n=2)
    >>> signatures.shape
    (2, 128)
    >>> float(signature_similarity(signatures[0], signatures[1]))  # 3 of 4 pairs are shared
    0.7...
    """
    where = "minhash"
    data, starts, width, chosen = shingle_arguments(values, offsets, n, seed, unit, threads, where=where)
    if not 1 <= permutations <= MOST_PLACES:
        raise SettingsError(
            "the number of permutations is out of range",
            where=where,
            expected=f"1 to {MOST_PLACES}",
            got=str(permutations),
        )
    core = load()
    if path not in ("fastest", "scalar", "avx2") or not core.minhash_path_available(path):
        raise SettingsError("this path is not to be had here", where=where, got=repr(path))
    try:
        signatures: npt.NDArray[np.uint32] = core.minhash(
            data, starts, width, chosen, n, permutations, seed, threads, path
        )
    except ValueError as error:
        raise InputError(str(error), where=where) from error
    return signatures


def signature_similarity(a: npt.ArrayLike, b: npt.ArrayLike) -> Any:
    """Return the share of equal places of signatures: an estimate of the texts' Jaccard similarity.

    Parameters
    ----------
    a, b : array_like, uint32 [..., permutations]
        Of the same ``n``, ``unit`` and ``seed``; shapes that broadcast.

    Returns
    -------
    float64 [...]
        In [0, 1]; its standard error is at most about sqrt(J (1 - J) / permutations).

    Examples
    --------
    >>> signature_similarity([[1, 2, 3, 4]], [[1, 2, 3, 5]]).tolist()
    [0.75]
    """
    return np.mean(np.asarray(a) == np.asarray(b), axis=-1)


def shingle_set(text: Any, n: int, unit: Unit | None = None) -> set[Any]:
    """Return the shingles of one text, plainly: what the compiled code is tested against.

    Parameters
    ----------
    text : bytes, str or sequence of int
        A ``str`` is its UTF-8.
    n : int
    unit : {"element", "character", "word"}, optional
        As for :func:`minhash`; texts and bytes have characters by default.

    Returns
    -------
    set of tuple

    Examples
    --------
    >>> sorted(shingle_set("a b  c", 2, "word"))
    [('a', 'b'), ('b', 'c')]
    >>> shingle_set("ab", 3)
    {('a', 'b')}
    """
    units = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if isinstance(units, bytes) and unit != "element":
        characters = units.decode("utf-8", "surrogateescape")
        units = characters.split() if unit == "word" else characters
    return {tuple(units[i : i + n]) for i in range(max(len(units) - n, 0) + 1)}


def jaccard(a: set[Any], b: set[Any]) -> float:
    """Return shared over all different elements of two sets, not both empty.

    Examples
    --------
    >>> jaccard({1, 2, 3}, {2, 3, 4})
    0.5
    """
    return len(a & b) / len(a | b)


def shingle_arguments(
    values: npt.ArrayLike,
    offsets: npt.ArrayLike,
    n: int,
    seed: int,
    unit: str | None,
    threads: int,
    *,
    where: str,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int, str]:
    """Return ragged data and the unit as the core takes them: bytes, offsets, width, unit.

    Raises
    ------
    InputError
        For values or offsets that cannot be used.
    SettingsError
        For n, seed, unit or threads outside their range.

    Examples
    --------
    >>> shingle_arguments([1, 2], [0, 2], 1, 0, None, 0, where="here")[2:]
    (4, 'element')
    """
    if not 1 <= n <= np.iinfo(np.int32).max:
        raise SettingsError("a shingle has at least one unit", where=where, got=f"n = {n}")
    if not 0 <= seed < 1 << 64:
        raise SettingsError("the seed is out of range", where=where, expected="0 to 2^64 - 1", got=str(seed))
    if unit is not None and unit not in UNITS:
        raise SettingsError("there is no such unit", where=where, expected=", ".join(UNITS), got=repr(unit))
    data, starts, width = ragged_arguments(values, offsets, threads, where=where)
    chosen = unit or ("character" if width == 1 else "element")
    if chosen != "element" and width != 1:
        raise SettingsError(
            f"a {chosen} is made of bytes",
            where=where,
            expected="values of uint8",
            got=f"values of {8 * width} bits",
        )
    if width in (1, 4):
        return data, starts, width, chosen
    whole = np.asarray(values)
    limits = np.iinfo(np.int32)
    if whole.size and (int(whole.min()) < limits.min or int(whole.max()) > limits.max):
        raise InputError("an element does not fit int32", where=where)
    return whole.astype(np.int32).view(np.uint8), starts, 4, chosen


def banding(threshold: float, recall: float, places: int = 128) -> tuple[int, int]:
    r"""Return how many bands of how many places find pairs at a threshold.

    Two texts of similarity s agree in all r places of one of b bands with probability
    :math:`1 - (1 - s^r)^b` (Leskovec, Rajaraman and Ullman, Mining of massive datasets, ch. 3). At the
    threshold itself, the worst case, this is at least ``recall``; r is the largest for which b r stays within
    ``places``, or 2 where none does.

    Parameters
    ----------
    threshold : float
        In (0, 1].
    recall : float
        In (0, 1).
    places : int
        About how long signatures may be.

    Returns
    -------
    bands, rows : int

    Examples
    --------
    >>> banding(0.8, 0.999)
    (18, 5)
    """
    if threshold == 1.0:
        return 1, 8  # equal sets have equal signatures; more places would only cost
    rows = 2
    while _bands(threshold, recall, rows + 1) * (rows + 1) <= places:
        rows += 1
    return _bands(threshold, recall, rows), rows


def _bands(threshold: float, recall: float, rows: int) -> int:
    return math.ceil(math.log1p(-recall) / math.log1p(-(threshold**rows)))
