"""Sums of token values as digits of integers: what makes them the same whatever the order of the tokens.

A value x (nats, at least 0) becomes the integer X = rint(2^40 x), and from there on everything is exact. Each
sequence gives a few whole numbers, each number its digits to the base 2^20, and digits are added up place by
place without carrying. So a sum of digits is a plain count: it does not matter which sequences are
added first, and int64 has room for 2^40 tokens. The number is the sum of ``digit << (20 * place)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.errors import StateError

Integers = npt.NDArray[np.int64]

FRACTION = 40
"""Bits behind the point of a token's value and of all sums."""
COARSE = 20
"""Bits behind the point of a value whose square or product is taken: then that has 40 again."""
DIGIT = 20
"""Bits of a digit."""
_LOW = (1 << DIGIT) - 1
_HALF = 1 << (COARSE - 1)

MOST = 2048.0
"""Values above are missing: no model gives them, and logs write -9999.0 for an unknown log-probability."""
SLACK = 1e-3
"""Values below 0 by no more than this are 0: log-probabilities are rounded. Others are missing."""
MOST_TOKENS = 1 << 20
"""Tokens that one sequence may have."""
BLOCK = 1 << 20
"""Tokens that are worked on at once, so that memory does not grow with the batch."""

QUANTITIES = {
    "sequences": 1,
    "tokens": 1,
    "missing": 1,
    "sum": 4,
    "squares": 5,
    "sequence_squares": 6,
    "products": 5,
    "token_squares": 3,
}
"""The numbers of one series in one cell, and the digits of each."""
PLACES = [(name, digit) for name, digits in QUANTITIES.items() for digit in range(digits)]
"""The columns of :func:`digit_sums`."""


class TokenMoments(NamedTuple):
    """The exact numbers of one series of token values in one cell; n tokens and a sum s for each sequence.

    Sums are in units of 2^-40: nats, or nats squared.
    """

    sequences: int = 0
    """Sequences with at least one known value."""
    tokens: int = 0
    """Known values: sum of n."""
    missing: int = 0
    """Values that are null, NaN, infinite or outside [0, 2048] nats."""
    sum: int = 0
    """Sum of all values: sum of s."""
    squares: int = 0
    """Sum of the squares of all values."""
    sequence_squares: int = 0
    """Sum of s^2."""
    products: int = 0
    """Sum of s n."""
    token_squares: int = 0
    """Sum of n^2; a plain number."""

    @classmethod
    def of_digits(cls, digits: dict[tuple[str, int], int]) -> TokenMoments:
        """Put the numbers together from (quantity, place) to digit."""
        numbers = dict.fromkeys(QUANTITIES, 0)
        for (name, place), digit in digits.items():
            numbers[name] += digit << (DIGIT * place)
        return cls(**numbers)


def digit_sums(values: Any, offsets: Integers, cells: Integers, count: int) -> Integers:
    """Return the digits of the sums of each cell.

    Parameters
    ----------
    values : float32 [N]
        Nats; NaN where unknown.
    offsets : int64 [n + 1]
        Sequence i has the values ``offsets[i]`` to ``offsets[i + 1]``.
    cells : int64 [n]
        The cell of each sequence, from 0 to ``count - 1``.
    count : int

    Returns
    -------
    int64 [count, len(PLACES)]

    Raises
    ------
    StateError
        If a sequence has more than a million tokens (:data:`MOST_TOKENS`).

    Examples
    --------
    >>> values = np.array([0.5, 2.0, np.nan], np.float32)
    >>> digits = digit_sums(values, np.array([0, 2, 3]), np.array([0, 0]), 1)
    >>> moments = TokenMoments.of_digits(dict(zip(PLACES, digits[0].tolist(), strict=True)))
    >>> moments.sequences, moments.tokens, moments.missing, moments.sum / 2**40, moments.squares / 2**40
    (1, 2, 1, 2.5, 4.25)
    """
    sums = np.zeros((count, len(PLACES)), np.int64)
    lengths = np.diff(offsets)
    if len(lengths) and lengths.max() > MOST_TOKENS:
        raise StateError(
            "a sequence has too many tokens",
            where="token sums",
            expected=f"at most {MOST_TOKENS:,}",
            got=f"{lengths.max():,}",
        )
    start = 0
    while start < len(lengths):
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + BLOCK, "right")) - 1)
        part = offsets[start : stop + 1]
        digits = _of_sequences(values[part[0] : part[-1]], part - part[0])
        for column, digit in enumerate(digits):
            if digit.any():
                np.add.at(sums[:, column], cells[start:stop], digit)
        start = stop
    return sums


def _of_sequences(values: Any, offsets: Integers) -> list[Integers]:
    """Return the columns of :data:`PLACES` for each sequence."""
    wide = np.asarray(values, np.float64)
    known = (wide >= -SLACK) & (wide <= MOST)
    fixed = np.rint(np.maximum(np.where(known, wide, 0.0), 0.0) * 2.0**FRACTION).astype(np.int64)
    coarse = (fixed + _HALF) >> COARSE  # at most 2^31, so that its square fits
    square = coarse * coarse

    def over(items: Any) -> Integers:
        # Differences of a running sum that wraps are right as long as they fit themselves.
        running = np.zeros(len(items) + 1, np.int64)
        np.cumsum(items, out=running[1:])
        return running[offsets[1:]] - running[offsets[:-1]]

    tokens = over(known)
    low, high = over(fixed & _LOW), over(fixed >> DIGIT)
    total = high + ((low + _HALF) >> DIGIT)  # the sequence's sum, coarse
    return [
        (tokens > 0).astype(np.int64),
        tokens,
        np.diff(offsets) - tokens,
        *_carried([low, high], QUANTITIES["sum"]),
        *_carried([over(square & _LOW), over(square >> DIGIT)], QUANTITIES["squares"]),
        *_product(total, total, QUANTITIES["sequence_squares"]),
        # Coarse times whole: 20 bits behind the point, so one digit of zeros brings it to 40.
        np.zeros_like(tokens),
        *_product(total, tokens, QUANTITIES["products"] - 1),
        *_product(tokens, tokens, QUANTITIES["token_squares"]),
    ]


def _carried(parts: list[Integers], digits: int) -> list[Integers]:
    """Return the digits of ``sum(parts[i] << (20 i))``."""
    carry = np.zeros_like(parts[0])
    result = []
    for place in range(digits):
        here = carry + parts[place] if place < len(parts) else carry
        result.append(here & _LOW)
        carry = here >> DIGIT
    return result


def _product(left: Integers, right: Integers, digits: int) -> list[Integers]:
    """Return the digits of a product of whole numbers below 2^60."""
    a = [(left >> (DIGIT * i)) & _LOW for i in range(3)]
    b = [(right >> (DIGIT * i)) & _LOW for i in range(3)]
    parts = [sum(a[i] * b[k - i] for i in range(3) if 0 <= k - i < 3) for k in range(5)]
    return _carried([np.asarray(part, np.int64) for part in parts], digits)
