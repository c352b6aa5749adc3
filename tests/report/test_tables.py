from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystal.phases.metrics_table import metrics_schema
from crystal.phases.results import CHECKPOINT_METRICS, TRANSITION_METRICS, Metric, PhaseReport
from crystal.report.tables import metrics_table, write_parquet

Factory = Callable[..., PhaseReport]


def test_every_metric_of_the_report_is_one_row(make_report: Factory) -> None:
    report = make_report(ladders=("a", "b"), tasks=("t", "u"), families=("f",))
    table = metrics_table(report)
    table.validate(full=True)
    bodies = 2 * 2 * (1 + 1)  # ladders, tasks, all prompts and one family
    assert table.num_rows == bodies * (4 * len(CHECKPOINT_METRICS) + 3 * len(TRANSITION_METRICS))
    assert table.schema.equals(metrics_schema())


def test_rows_say_what_json_says(make_report: Factory) -> None:
    report = make_report(picture=None)
    raw = json.loads(report.to_json())["ladders"]["olmo"]["tasks"]
    for row in metrics_table(report).to_pylist():
        body = raw[row["task"]]
        if row["family"] is not None:
            body = body["families"][row["family"]]
        if row["kind"] == "checkpoint":
            place = body["checkpoints"][row["checkpoint"]]
            assert (row["from"], row["to"], row["verdict"], row["phase"]) == (
                None,
                None,
                None,
                place["phase"],
            )
        else:
            (place,) = [t for t in body["transitions"] if (t["from"], t["to"]) == (row["from"], row["to"])]
            assert (row["checkpoint"], row["phase"], row["verdict"]) == (None, None, place["verdict"])
        expected = place["metrics"][row["metric"]]
        assert {key: row[key] for key in expected} == expected


def test_all_fields_of_a_metric_are_columns() -> None:
    assert set(Metric.__struct_fields__) <= set(metrics_schema().names)


def test_unknown_is_null_even_where_a_nan_slipped_in(make_report: Factory) -> None:
    report = make_report(tasks=("t",), families=())
    report.ladders["olmo"].tasks["t"].checkpoints["base"].metrics["entropy"].value = float("nan")
    table = metrics_table(report)
    assert table.column("value").null_count == 1
    assert not pc.any(pc.is_nan(table.column("value"))).as_py()


def test_a_report_is_an_arrow_stream(make_report: Factory) -> None:
    report = make_report()
    assert pa.table(report).equals(report.to_arrow())


def test_a_report_without_ladders_is_an_empty_table(make_report: Factory) -> None:
    table = make_report(ladders=()).to_arrow()
    assert table.num_rows == 0
    assert table.schema.equals(metrics_schema())


def test_parquet_is_the_same_bytes_and_holds_hostile_text_as_it_is(
    tmp_path: Path, make_report: Factory
) -> None:
    evil = '=cmd|"/c calc"!A1\x1b[31m<script>'
    table = make_report(tasks=(evil,)).to_arrow()
    for name in ("a", "b"):
        write_parquet(table, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = pq.read_table(tmp_path / "a")
    assert again.equals(table)
    assert again.column("task").unique().to_pylist() == [evil]
    assert again.schema.metadata[b"crystal.schema_version"] == b"1.0"
