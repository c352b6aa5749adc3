from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.errors import StateError
from crystal.states.distribution_table import DistributionTable


def one(probability: object, option: str = "heads") -> DistributionTable:
    table = DistributionTable(("task", "option"))
    table.update({"task": ["coin"], "option": [option]}, [probability])
    return table


@given(st.floats(0, 1))
def test_probabilities_come_back_as_they_went_in(probability: float) -> None:
    (back,) = one(probability).result()["probability"].to_pylist()
    assert abs(back - probability) <= 2**-61
    if probability >= 2**-8:
        assert back == probability


@pytest.mark.parametrize("probability", [0.0, 5e-324, 1.0, 1 + 1e-10])
def test_the_ends_of_the_range(probability: float) -> None:
    assert one(probability).result()["probability"].to_pylist() == [min(1.0, round(probability, 6))]


@pytest.mark.parametrize("probability", [-1e-12, 1.1, math.nan, math.inf, -math.inf])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(StateError, match=r"outside \[0, 1\]"):
        one(probability)


def test_the_same_value_may_come_again() -> None:
    table = one(0.25)
    table.merge(one(0.25))
    table.update({"task": ["coin"] * 2, "option": ["heads"] * 2}, pa.array([0.25, 0.25]))
    assert table == one(0.25)


def test_a_conflict_names_the_key_and_both_values() -> None:
    table = one(0.25)
    message = "task = coin, option = heads: 0.25 and 0.5"
    with pytest.raises(StateError, match=message):
        table.merge(one(0.5))
    with pytest.raises(StateError, match=message):
        table.update({"task": ["coin"], "option": ["heads"]}, [0.5])


def test_a_refused_batch_leaves_nothing_behind() -> None:
    table = DistributionTable(("task", "option"))
    batch = {"task": ["coin"] * 3, "option": ["edge", None, None]}
    with pytest.raises(StateError, match=r"option = no value: 0\.5 and 0\.75"):
        table.update(batch, [0.1, 0.5, 0.75])
    assert table == table.empty()
    table.merge(one(0.25))
    with pytest.raises(StateError):
        table.update({"task": ["coin"] * 2, "option": ["new", "heads"]}, [0.1, 0.2])
    assert table == one(0.25)
    other = one(0.1, "new")
    other.merge(one(0.2))
    with pytest.raises(StateError):
        table.merge(other)
    assert table == one(0.25)


def test_zero_is_a_value() -> None:
    assert one(0.0).result().num_rows == 1
    with pytest.raises(StateError):
        one(0.0).merge(one(0.5))


def test_one_value_a_row() -> None:
    with pytest.raises(StateError, match="one value a row"):
        DistributionTable(("o",)).update({"o": ["a", "b"]}, np.array([0.5]))
