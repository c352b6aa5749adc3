"""Open-ended answers into classes: texts that count as one answer."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.errors import SettingsError
from crystal.ops.minhash import Unit
from crystal.ops.near_duplicates import near_duplicates
from crystal.ops.ragged import strings_to_ragged
from crystal.ops.sequences import count_sequences
from crystal.tasks.answers import extract

Kind = Literal["exact", "normalised", "near-duplicate"]
KINDS = ("exact", "normalised", "near-duplicate")
EXCERPT = 60
"""Characters of a text that stand in its class's name."""


def answer_classes(
    texts: Any,
    counts: npt.ArrayLike,
    kind: Kind = "near-duplicate",
    *,
    threshold: float = 0.8,
    unit: Unit | None = None,
    n: int | None = None,
    threads: int = 0,
) -> Any:
    """Return the name of each text's class.

    ``exact``: equal texts are one class. ``normalised``: texts whose words are equal, which leaves case,
    punctuation and articles aside (the answer rule ``whole``). ``near-duplicate``: texts whose words are
    nearly equal (:func:`crystal.near_duplicates` over the normalised texts).

    A class is named after its most frequent text (of equally frequent ones the one whose 128-bit BLAKE2b is
    least): that text where it is short, else how it begins, with 48 bits of its hash. So names depend neither
    on the order of texts nor on anything random.

    Parameters
    ----------
    texts : pyarrow.Array of large_string, shape (m,)
        Distinct texts of one task, without nulls.
    counts : array_like, int64 [m]
        How often each was seen.
    kind : {"exact", "normalised", "near-duplicate"}
    threshold, unit, n, threads
        As for :func:`crystal.near_duplicates`.

    Returns
    -------
    pyarrow.Array of large_string, shape (m,)
        Null for a text without a word (for ``exact``: without anything but white space).

    Raises
    ------
    SettingsError
        If there is no such kind, or a setting is out of its range.

    Examples
    --------
    >>> texts = pa.array(["Red.", "red", "blue"], pa.large_string())
    >>> answer_classes(texts, [1, 5, 2], "normalised").to_pylist()
    ['red', 'red', 'blue']
    """
    if kind not in KINDS:
        raise SettingsError("there is no such kind of class", expected=", ".join(KINDS), got=repr(kind))
    if kind == "exact":
        plain = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, texts.type), texts)
    else:
        plain = extract(texts, "whole")
    valid = plain.is_valid().to_numpy(zero_copy_only=False)
    words = plain.filter(pa.array(valid))
    cluster: Any
    if kind == "near-duplicate":
        cluster = near_duplicates(words, threshold, unit=unit, n=n, threads=threads).inverse
    else:
        ragged = strings_to_ragged(words)
        cluster = count_sequences(ragged.values, ragged.offsets, threads=threads).inverse
    names = _names(words, np.asarray(counts, np.int64)[valid], cluster)
    found = np.full(len(plain), None, object)
    found[valid] = names[cluster]
    return pa.array(found, pa.large_string())


def _names(words: Any, counts: npt.NDArray[np.int64], cluster: Any) -> npt.NDArray[np.object_]:
    """Return the name of each cluster. Equal texts count together."""
    seen: list[dict[str, int]] = [{} for _ in range(int(cluster.max(initial=-1)) + 1)]
    for text, count, number in zip(words.to_pylist(), counts.tolist(), cluster.tolist(), strict=True):
        seen[number][text] = seen[number].get(text, 0) + count
    names = [_name(min(texts, key=lambda t: (-texts[t], _digest(t)))) for texts in seen]
    return np.array(names, object)


def _name(text: str) -> str:
    short = " ".join(text.split())
    if short == text and len(text) <= EXCERPT:
        return text
    return f"{short[:EXCERPT].rstrip()} #{_digest(text)[:12]}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
