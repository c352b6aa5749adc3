from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import StateError
from crystal.states import exact_sums
from crystal.states.exact_sums import PLACES, TokenMoments, digit_sums

VALUE = st.floats(0, 2048, width=32) | st.sampled_from(
    [0.0, 2048.0, 1e-30, float("nan"), float("inf"), -float("inf"), 9999.0, -0.5, -1e-4, 2048.25]
)


def moments(sequences: list[list[float]], cells: list[int], count: int) -> list[TokenMoments]:
    values = np.array([value for sequence in sequences for value in sequence], np.float32)
    offsets = np.cumsum([0, *map(len, sequences)])
    digits = digit_sums(values, offsets, np.array(cells, np.int64), count)
    return [TokenMoments.of_digits(dict(zip(PLACES, row.tolist(), strict=True))) for row in digits]


def reference(sequences: list[list[float]]) -> TokenMoments:
    """The same numbers in whole Python numbers, from the definition."""

    def coarse(fixed: int) -> int:
        return (fixed + 2**19) >> 20

    known = [
        [round(Fraction(max(value, 0.0)) * 2**40) for value in sequence if -1e-3 <= value <= 2048]
        for sequence in sequences
    ]
    return TokenMoments(
        sequences=sum(1 for sequence in known if sequence),
        tokens=sum(map(len, known)),
        missing=sum(map(len, sequences)) - sum(map(len, known)),
        sum=sum(map(sum, known)),
        squares=sum(coarse(value) ** 2 for sequence in known for value in sequence),
        sequence_squares=sum(coarse(sum(sequence)) ** 2 for sequence in known),
        products=sum(coarse(sum(sequence)) * len(sequence) for sequence in known) << 20,
        token_squares=sum(len(sequence) ** 2 for sequence in known),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(VALUE, max_size=6), min_size=1, max_size=8))
def test_whole_numbers_give_the_same(sequences: list[list[float]]) -> None:
    sequences = [np.array(sequence, np.float32).astype(float).tolist() for sequence in sequences]
    cells = [i % 2 for i in range(len(sequences))]
    assert moments(sequences, cells, 2) == [reference(sequences[0::2]), reference(sequences[1::2])]


def test_by_hand() -> None:
    (got,) = moments([[0.5, 1.5], [3.0], [], [float("nan")]], [0] * 4, 1)
    one = 2**40
    assert got == TokenMoments(
        sequences=2,
        tokens=3,
        missing=1,
        sum=5 * one,
        squares=int((0.25 + 2.25 + 9) * one),
        sequence_squares=(4 + 9) * one,
        products=(2 * 2 + 3 * 1) * one,
        token_squares=5,
    )


def test_the_largest_sequence_of_the_largest_values() -> None:
    tokens = exact_sums.MOST_TOKENS
    (got,) = moments([[2048.0] * tokens], [0], 1)
    assert got.sum == tokens * 2048 << 40
    assert got.squares == tokens * 2048**2 << 40
    assert got.sequence_squares == (tokens * 2048) ** 2 << 40
    assert got.products == tokens**2 * 2048 << 40
    assert got.token_squares == tokens**2


def test_longer_sequences_are_refused() -> None:
    tokens = exact_sums.MOST_TOKENS + 1
    with pytest.raises(StateError, match="too many tokens"):
        digit_sums(np.zeros(tokens, np.float32), np.array([0, tokens]), np.zeros(1, np.int64), 1)


@pytest.mark.parametrize("block", [1, 3, 7, 1 << 20])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = [[0.1 * i, 1.0 / (i + 1)][: i % 3] for i in range(40)]
    cells = [i % 5 for i in range(40)]
    whole = moments(sequences, cells, 5)
    monkeypatch.setattr(exact_sums, "BLOCK", block)
    assert moments(sequences, cells, 5) == whole
