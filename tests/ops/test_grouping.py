"""Groups of rows, against tuples in a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.errors import InputError
from crystal.ops.core import load
from crystal.ops.grouping import group

VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "", "é"]))
NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 7]))


def reference(columns: Sequence[Sequence[Any]]) -> tuple[list[int], list[int]]:
    numbers: dict[tuple[Any, ...], int] = {}
    first: list[int] = []
    codes = []
    for row, key in enumerate(zip(*columns, strict=True)):
        if key not in numbers:
            numbers[key] = len(first)
            first.append(row)
        codes.append(numbers[key])
    return codes, first


@given(st.lists(st.tuples(VALUES, NUMBERS, VALUES), max_size=60))
def test_rows_are_grouped_as_tuples_are(rows: list[tuple[Any, ...]]) -> None:
    names, numbers, others = ([row[i] for row in rows] for i in range(3))
    columns = [
        pa.array(names, pa.large_string()),
        pa.array(numbers, pa.int64()),
        pa.array(others, pa.string()).dictionary_encode(),
    ]
    found = group(columns)
    assert (found.codes.tolist(), found.first.tolist()) == reference([names, numbers, others])


def test_a_dictionary_may_hold_a_value_twice_or_null() -> None:
    values = pa.array(["a", "b", "a", None])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None]), values)
    assert group([column]).codes.tolist() == [0, 1, 0, 2, 2]


@pytest.mark.parametrize("entries", [3, 300, 70_000, 2**31 - 1])
def test_tables_of_every_size_give_one_answer(entries: int) -> None:
    """Small tables are looked into, those far larger than the batch are hashed."""
    rng = np.random.default_rng(0)
    few = rng.integers(-1, min(entries, 50), 3_000).astype(np.int32)
    many = np.append(rng.integers(-1, entries, 2_998), [entries - 1, -1]).astype(np.int32)
    codes, first = load().group_rows([(few, entries), (many, entries), (few, 50)])
    assert (codes.tolist(), first.tolist()) == reference([few.tolist(), many.tolist()])


def test_slices_are_honoured() -> None:
    column = pa.array(["x", "a", "b", "a"]).dictionary_encode().slice(1)
    assert group([column, pa.array([9, 1, 1, 1]).slice(1)]).first.tolist() == [0, 1]


@pytest.mark.parametrize("code", [2, -2, 2**31 - 1, -(2**31)])
def test_codes_outside_their_values_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="outside its dictionary"):
        load().group_rows([(np.array([0, code], np.int32), 2)])


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="differ in length"):
        group([pa.array(["a"]), pa.array([1, 2])])
