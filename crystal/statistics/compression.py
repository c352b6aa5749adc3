"""How far texts compress: repetition within them and between them, at a fixed number of bytes."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from crystal.errors import SettingsError

BUDGET = 32_768
"""Bytes that are compressed where nothing else is said: as far back as DEFLATE sees."""
LEVEL = 9


@dataclass(frozen=True)
class CompressionRatios:
    """What :func:`compression_ratios` found, for one budget."""

    within: float
    """Mean over inputs of the ratio of one input's own texts; NaN where no input has enough."""
    across: float
    """The ratio of one text an input; NaN where all of them together are not enough."""
    inputs: int
    """Inputs that ``within`` is the mean of."""
    budget: int
    """Bytes that each ratio is of."""


def compression_ratio(
    texts: Iterable[str | bytes],
    *,
    counts: Sequence[int] | None = None,
    budget: int = BUDGET,
    seed: int = 0,
) -> float:
    """Return how many bytes of texts one compressed byte stands for: 1 or so for noise, more for repetition.

    Samples, a line end after each, are put behind one another, cut after ``budget`` bytes, and compressed
    once, by zlib at level 9: budget / compressed bytes. (Compressing each text by itself, or a text at a
    time, misses what texts share.) They are taken at even distances from all of them, in the order of a
    seeded hash of their texts, as many as are needed: so each text has its share, and the order in which they
    were given has none.

    The ratio grows with the bytes, because later ones find more to repeat, so ratios compare at one budget
    only, and a lesser number of bytes has none. DEFLATE looks back 32,768 bytes, hence the default; past that
    the ratio says less about what far texts share. Another zlib (zlib-ng) may give sizes a little different.

    Parameters
    ----------
    texts : iterable of str or bytes
        Once for each sample, or once with its number in ``counts``.
    counts : sequence of int, optional
        How many samples have each text, at least 1; 1 by default.
    budget : int
        Bytes to compress, at least 1.
    seed : int
        In [0, 2^64).

    Returns
    -------
    float
        NaN where the texts have fewer bytes than the budget.

    Raises
    ------
    SettingsError
        For a budget below 1, a seed out of its range, or counts that are not one for each text.

    Notes
    -----
    The compression ratio as a measure of diversity: Shaib et al., Standardizing the measurement of text
    diversity (2024).

    Examples
    --------
    >>> compression_ratio(["one and the same"] * 100, budget=1000) > 25
    True
    >>> compression_ratio(["too little"])
    nan
    """
    if budget < 1:
        raise SettingsError("the budget is below a byte", where="compression_ratio", got=str(budget))
    if not 0 <= seed < 1 << 64:
        raise SettingsError("the seed is out of range", where="compression_ratio", got=str(seed))
    return _ratio(_Samples(texts, counts, seed), budget)


def compression_ratios(
    texts: Sequence[str | bytes], inputs: Sequence[object], *, budget: int = BUDGET, seed: int = 0
) -> CompressionRatios:
    """Return the compression ratio within inputs and across them, each at the same number of bytes.

    ``within`` is the mean of :func:`compression_ratio` over the samples of each input (prompt) that has
    ``budget`` bytes: repetition between replies to one question. ``across`` takes one reply to each input,
    the middle one in the order of the seeded hash: repetition between replies to different questions.

    Parameters
    ----------
    texts : sequence of str or bytes, n
    inputs : sequence of hashable, n
        The input of each text.
    budget, seed
        As for :func:`compression_ratio`.

    Returns
    -------
    CompressionRatios

    Raises
    ------
    SettingsError
        If the two differ in length, and as :func:`compression_ratio`.

    Examples
    --------
    >>> texts = ["ha " * 9, "ha " * 9, "a quick brown fox jumps", "over the lazy dog"]
    >>> found = compression_ratios(texts, ["a", "a", "b", "b"], budget=40)
    >>> found.inputs, found.within > found.across
    (2, True)
    """
    if len(texts) != len(inputs):
        raise SettingsError(
            "texts and inputs differ in length",
            where="compression_ratios",
            expected=str(len(texts)),
            got=str(len(inputs)),
        )
    by_input: dict[object, list[str | bytes]] = {}
    for text, name in zip(texts, inputs, strict=True):
        by_input.setdefault(name, []).append(text)
    found = [compression_ratio(some, budget=budget, seed=seed) for some in by_input.values()]
    enough = [ratio for ratio in found if not math.isnan(ratio)]
    return CompressionRatios(
        within=math.fsum(enough) / len(enough) if enough else math.nan,
        across=compression_ratio(
            [text for some in by_input.values() for text in _Samples(some, None, seed).spaced(1)],
            budget=budget,
            seed=seed,
        ),
        inputs=len(enough),
        budget=budget,
    )


class _Samples:
    """Samples in the order of a seeded hash of their texts, copies side by side."""

    def __init__(self, texts: Iterable[str | bytes], counts: Sequence[int] | None, seed: int) -> None:
        some = [text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in texts]
        numbers = [1] * len(some) if counts is None else list(counts)
        if len(numbers) != len(some) or min(numbers, default=1) < 1:
            raise SettingsError(
                "counts are one for each text, and at least 1",
                where="compression_ratio",
                expected=str(len(some)),
                got=str(len(numbers)),
            )
        held: Counter[bytes] = Counter()
        for text, number in zip(some, numbers, strict=True):
            held[text] += number
        key = seed.to_bytes(8, "little")
        self.texts = sorted(held, key=lambda text: hashlib.blake2b(text, digest_size=16, key=key).digest())
        self.ends = np.cumsum([held[text] for text in self.texts], dtype=np.int64)
        self.total = int(held.total())
        self.size = sum(number * (len(text) + 1) for text, number in held.items())

    def spaced(self, take: int) -> list[bytes]:
        """Return ``take`` samples at even distances."""
        places = np.searchsorted(self.ends, (np.arange(take) + 0.5) * (self.total / take), side="right")
        return [self.texts[i] for i in places.tolist()]


def _ratio(samples: _Samples, budget: int) -> float:
    if samples.size < budget:
        return math.nan
    take = min(samples.total, budget * samples.total // samples.size + 1)
    while True:
        data = b"".join(text + b"\n" for text in samples.spaced(take))
        if len(data) >= budget:
            return budget / len(zlib.compress(data[:budget], LEVEL))
        take = min(samples.total, 2 * take)
