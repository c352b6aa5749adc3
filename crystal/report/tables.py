"""The report's Parquet files: metrics one row each, and the counts that all of them follow from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crystal.phases.metrics_table import metrics_table as metrics_table
from crystal.samples import Checkpoint, Prompt

if TYPE_CHECKING:
    import pyarrow as pa

    from crystal.states.measurement import Measurement
    from crystal.states.task_options import TaskOptions

COUNTS_SCHEMA_VERSION = "1.0"


def counts_schema() -> pa.Schema:
    """Return the schema of :func:`counts_table`.

    ``option`` is null for off-task samples (then ``valid`` is false); ``count`` is null where a distribution
    is exact, and ``probability`` where it was sampled.
    """
    import pyarrow as pa

    name = pa.large_string()
    return pa.schema(
        [
            pa.field("ladder", name, nullable=False),
            pa.field("stage", name, nullable=False),
            pa.field("step", pa.int64(), nullable=False),
            pa.field("checkpoint", name, nullable=False),
            pa.field("task", name, nullable=False),
            pa.field("family", name),
            pa.field("prompt", name, nullable=False),
            pa.field("option", name),
            pa.field("valid", pa.bool_(), nullable=False),
            pa.field("count", pa.int64()),
            pa.field("probability", pa.float64()),
        ],
        metadata={"crystal.schema_version": COUNTS_SCHEMA_VERSION, "crystal.kind": "counts"},
    )


def counts_table(measurement: Measurement) -> pa.Table:
    """Return what a measurement counted, one row for each ladder, checkpoint, task, prompt and option.

    Parameters
    ----------
    measurement : Measurement
        What ``measure`` returned.

    Returns
    -------
    pyarrow.Table
        See :func:`counts_schema`; sorted by ladder, step, stage, checkpoint, task, family, prompt, option.
    """
    import pyarrow as pa

    parts = [
        _named(measurement, measurement.counts.result(), "count"),
        _named(measurement, measurement.exact.result(), "probability"),
    ]
    table = pa.concat_tables(parts)
    keys = ("ladder", "step", "stage", "checkpoint", "task", "family", "prompt", "option", "count")
    return table.sort_by([(key, "ascending") for key in keys]).cast(counts_schema())


def _named(measurement: Measurement, table: pa.Table, value: str) -> pa.Table:
    """Take the keys of a state's table apart into the columns of the export, as plain strings."""
    import pyarrow as pa

    rungs, rung = _distinct(table.column("checkpoint"))
    prompts, prompt = _distinct(table.column("prompt"))
    checkpoints = [Checkpoint.from_key(key) for key in rungs]
    wordings = [Prompt.from_key(key) for key in prompts]
    text = pa.large_string()

    def taken(values: list[object], kind: pa.DataType, indices: pa.Array) -> pa.Array:
        return pa.array(values, kind).take(indices)

    option = table.column("option").combine_chunks().cast(text)
    size = table.num_rows
    tasks = table.column("task").combine_chunks().cast(text)
    columns = {
        "ladder": taken([c.ladder for c in checkpoints], text, rung),
        "stage": taken([c.stage for c in checkpoints], text, rung),
        "step": taken([c.step for c in checkpoints], pa.int64(), rung),
        "checkpoint": taken([c.name for c in checkpoints], text, rung),
        "task": tasks,
        "family": taken([p.family or None for p in wordings], text, prompt),
        "prompt": taken([p.prompt for p in wordings], text, prompt),
        "option": option,
        "valid": _valid(tasks, option, measurement.tasks),
        "count": table.column("count").cast(pa.int64()) if value == "count" else pa.nulls(size, pa.int64()),
        "probability": (
            table.column("probability").cast(pa.float64())
            if value == "probability"
            else pa.nulls(size, pa.float64())
        ),
    }
    return pa.table(columns)


def _valid(tasks: pa.Array, option: pa.Array, bound: Mapping[str, TaskOptions]) -> pa.Array:
    """Mark the answers that count: not null, and in the option list where one is bound."""
    import pyarrow as pa
    import pyarrow.compute as pc

    valid = option.is_valid()
    for name, task in bound.items():
        listed = pc.is_in(option, value_set=pa.array(task.options, pa.large_string()))
        valid = pc.and_(valid, pc.or_(listed, pc.not_equal(tasks, name)))
    return valid


def _distinct(column: pa.ChunkedArray) -> tuple[list[str], pa.Array]:
    """Return the distinct texts of a column and, for each row, which of them it has."""
    import pyarrow as pa

    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices


def write_parquet(table: pa.Table, path: str | Path) -> None:
    """Write a table as Parquet: the same table gives the same bytes."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")
