from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from crystal.errors import InputError, StateError
from crystal.states.count_table import CountTable
from crystal.states.token_sums import CELL, TokenSums

ONE = 2**40


def keys(count: int, prompt: str = "p") -> dict[str, Any]:
    return {"checkpoint": ["c"] * count, "task": ["t"] * count, "prompt": [prompt] * count}


def test_both_series_by_cell() -> None:
    sums = TokenSums()
    sums.update(
        {"checkpoint": ["a", "b", "a"], "task": ["t", "t", "t"], "prompt": ["p", "p", "p"]},
        logprobs=[[-0.5], [-1.0], [-0.25, -0.25]],
        entropies=[[1.0], None, [2.0, 3.0]],
    )
    cells = sums.cells()
    assert {cell[0] for cell in cells} == {"a", "b"}
    first = cells["a", "t", "p"]
    assert (first["surprisal"].sum, first["surprisal"].tokens, first["surprisal"].sequences) == (ONE, 3, 2)
    assert (first["entropy"].sum, first["entropy"].sequence_squares) == (6 * ONE, 26 * ONE)
    assert cells["b", "t", "p"].keys() == {"surprisal"}


@pytest.mark.parametrize("value", [-9999.0, math.nan, -math.inf, None, 0.5])
def test_what_is_no_log_probability_is_missing(value: float | None) -> None:
    sums = TokenSums()
    sums.update(keys(2), logprobs=[[value, -1.0], [value]])
    moments = sums.cells()["c", "t", "p"]["surprisal"]
    assert (moments.sequences, moments.tokens, moments.missing, moments.sum) == (1, 1, 2, ONE)


def test_rounding_above_zero_is_zero() -> None:
    sums = TokenSums()
    sums.update(keys(1), logprobs=[[1e-6, -0.0]])
    moments = sums.cells()["c", "t", "p"]["surprisal"]
    assert (moments.tokens, moments.missing, moments.sum) == (2, 0, 0)


@pytest.mark.parametrize(
    ("columns", "lists", "error", "message"),
    [
        ({"task": ["t"]}, {"logprobs": [[-1.0]]}, StateError, "other columns"),
        ({**keys(1), "task": [None]}, {"logprobs": [[-1.0]]}, StateError, "a key is null"),
        ({**keys(1), "task": ["t", "t"]}, {"logprobs": [[-1.0]]}, StateError, "differ in length"),
        (keys(1), {"logprobs": [[-1.0], [-1.0]]}, StateError, "column logprobs"),
        (keys(2), {"logprobs": [[-1.0]] * 2, "entropies": [[1.0]]}, StateError, "column entropies"),
        (keys(1), {"logprobs": pa.array(["x"])}, InputError, "no lists of numbers"),
        ({**keys(1), "task": pa.array([1])}, {"logprobs": [[-1.0]]}, InputError, "no strings"),
    ],
)
def test_malformed_batches_change_nothing(
    columns: dict[str, Any], lists: dict[str, Any], error: type[Exception], message: str
) -> None:
    sums = TokenSums()
    sums.update(keys(1), logprobs=[[-1.0]])
    before = sums.to_bytes()
    with pytest.raises(error, match=message):
        sums.update(columns, **lists)
    assert sums.to_bytes() == before


def test_bytes_of_other_tables_are_refused() -> None:
    with pytest.raises(StateError, match="no token sums"):
        TokenSums.from_bytes(CountTable(CELL).to_bytes())
    odd = CountTable((*CELL, "sum"))
    for name in ("entropy.sum.99", None):
        odd = CountTable((*CELL, "sum"))
        odd.update({**keys(1), "sum": pa.array([name], pa.string())})
        with pytest.raises(StateError, match="unknown name"):
            TokenSums.from_bytes(odd.to_bytes())
    with pytest.raises(StateError, match="fixed columns"):
        TokenSums(("a", "b"))


def test_a_dictionary_that_is_larger_than_the_batch() -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int32()), pa.array(["x", "unused", "y"]))
    sums = TokenSums()
    sums.update({**keys(2), "prompt": names}, entropies=[[1.0], [2.0]])
    assert {cell[2]: moments["entropy"].sum // ONE for cell, moments in sums.cells().items()} == {
        "y": 1,
        "x": 2,
    }
