from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from crystal.errors import StateError
from crystal.states.count_table import CountTable
from crystal.states.distribution_table import DistributionTable


def coin(*options: str | None) -> CountTable:
    table = CountTable(("task", "option"))
    table.update({"task": ["coin"] * len(options), "option": list(options)})
    return table


def test_result_is_a_table_of_distinct_rows() -> None:
    result = coin("heads", None, "heads").result()
    assert result.column_names == ["task", "option", "count"]
    assert result.schema.field("option").type == pa.dictionary(pa.int32(), pa.large_string())
    rows = {(row["task"], row["option"]): row["count"] for row in result.to_pylist()}
    assert rows == {("coin", "heads"): 2, ("coin", None): 1}


def test_result_follows_updates_and_merges() -> None:
    table = coin("heads")
    assert table.result().num_rows == 1
    table.update({"task": ["coin"], "option": ["tails"]})
    assert table.result().num_rows == 2
    table.merge(coin("edge"))
    assert table.result().num_rows == 3


@pytest.mark.parametrize(
    "counts",
    [
        [3, 0],
        np.array([3, 0], np.uint8),
        np.array([3, 0], np.uint64),
        pa.array([3, 0]),
        pa.chunked_array([[3], [0]]),
    ],
)
def test_counts_come_in_many_forms(counts: object) -> None:
    table = CountTable(("option",))
    table.update({"option": ["heads", "tails"]}, counts=counts)
    assert table.result().to_pylist() == [{"option": "heads", "count": 3}]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1.5, 2.0], "whole numbers"),
        ([[1], [2]], "whole numbers"),
        (np.array([2**63, 1], np.uint64), "int64"),
        ([-1, 2], "negative"),
        (pa.array([1, None]), "null"),
        ([True, False], "whole numbers"),
        ([1], "one value a row"),
    ],
)
def test_other_counts_are_refused(counts: object, message: str) -> None:
    table = CountTable(("option",))
    with pytest.raises(StateError, match=message):
        table.update({"option": ["heads", "tails"]}, counts=counts)
    assert not table


def test_an_empty_batch_changes_nothing() -> None:
    table = CountTable(("option",))
    table.update({"option": []})
    table.update({"option": []}, counts=[])
    assert table == CountTable(("option",))
    assert len(table) == 0


def test_equality_is_of_contents_and_configuration() -> None:
    assert coin("heads", "tails") == coin("tails", "heads")
    assert coin("heads") != coin("tails")
    assert coin("heads") != coin("heads", "heads")
    assert CountTable(("a",)) != CountTable(("b",))
    assert CountTable(("a",)) != DistributionTable(("a",))
    assert coin("heads") != "heads"
    with pytest.raises(TypeError, match="unhashable"):
        hash(coin())


def test_another_kind_of_bytes_is_refused() -> None:
    with pytest.raises(StateError, match="expected DistributionTable"):
        DistributionTable.from_bytes(coin("heads").to_bytes())


def test_merge_of_something_else_is_refused() -> None:
    with pytest.raises(StateError, match=r"CountTable\(task, option\), got dict"):
        coin().merge({})  # type: ignore[arg-type]


def test_any_arrow_reader_takes_it() -> None:
    assert pa.table(coin("heads")).num_rows == 1
    assert "1 rows" in repr(coin("heads"))
