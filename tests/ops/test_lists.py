from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crystal.errors import InputError
from crystal.ops.lists import lists_to_ragged

ROWS = [[-0.5, None], None, [], [-2.0]]


@pytest.mark.parametrize(
    "array",
    [
        ROWS,
        pa.array(ROWS, pa.list_(pa.float64())),
        pa.array(ROWS, pa.large_list(pa.float16())),
        pa.array([[9.0], *ROWS, [8.0]], pa.large_list(pa.float32())).slice(1, 4),
        pa.chunked_array(
            [pa.array(ROWS[:1], pa.list_(pa.float32())), pa.array(ROWS[1:], pa.list_(pa.float32()))]
        ),
    ],
)
def test_lists_come_apart(array: Any) -> None:
    lists = lists_to_ragged(array)
    assert lists.values.dtype == np.float32
    np.testing.assert_array_equal(lists.values, np.array([-0.5, np.nan, -2.0], np.float32))
    assert lists.offsets.tolist() == [0, 2, 2, 2, 3]


def test_what_lies_under_a_null_list_is_not_read() -> None:
    whole = pa.array([[1.0], [2.0], [3.0]], pa.large_list(pa.float32()))
    masked = pa.LargeListArray.from_arrays(
        pa.array([0, 1, 2, 3], pa.int64()), whole.values, mask=pa.array([False, True, False])
    )
    lists = lists_to_ragged(masked)
    assert lists.values.tolist() == [1.0, 3.0]
    assert lists.offsets.tolist() == [0, 1, 1, 2]


def test_fixed_sizes_whole_numbers_and_nothing() -> None:
    fixed = pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2))
    assert lists_to_ragged(fixed).values.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert lists_to_ragged(pa.nulls(3)).offsets.tolist() == [0, 0, 0, 0]
    assert lists_to_ragged(pa.chunked_array([], pa.list_(pa.float32()))).offsets.tolist() == [0]


@pytest.mark.parametrize("array", [pa.array([1.0]), pa.array(["x"]), pa.array([["x"]]), pa.array([[[1.0]]])])
def test_other_columns_are_refused(array: Any) -> None:
    with pytest.raises(InputError, match="no lists of numbers"):
        lists_to_ragged(array)


def test_offsets_that_leave_the_values_are_refused() -> None:
    bad = pa.Array.from_buffers(
        pa.large_list(pa.float32()),
        2,
        [None, pa.py_buffer(np.array([0, 99, 1]))],
        children=[pa.array([1.0], pa.float32())],
    )
    with pytest.raises(InputError, match="no valid list column"):
        lists_to_ragged(bad)
