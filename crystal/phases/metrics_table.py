"""A report as one flat Arrow table: one row for each ladder, task, family, place and metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

    from crystal.phases.results import FamilyResult, Metric, PhaseReport, SequenceGroup, TokenGroup

METRICS_SCHEMA_VERSION = "1.0"


def metrics_schema() -> pa.Schema:
    """Return the schema of :func:`metrics_table`.

    ``kind`` is ``checkpoint`` (then ``checkpoint`` and ``phase`` are set) or ``transition`` (then ``from``,
    ``to`` and ``verdict`` are); metrics of tokens and texts have neither phase nor verdict, and
    those over the texts of all prompts together end in ``_across``. ``family`` is null for all prompts of a
    task together. The other columns are the fields of :class:`crystal.phases.results.Metric`.
    """
    import pyarrow as pa

    text = pa.large_string()
    return pa.schema(
        [
            pa.field("ladder", text, nullable=False),
            pa.field("task", text, nullable=False),
            pa.field("family", text),
            pa.field("kind", text, nullable=False),
            pa.field("checkpoint", text),
            pa.field("from", text),
            pa.field("to", text),
            pa.field("phase", text),
            pa.field("verdict", text),
            pa.field("metric", text, nullable=False),
            pa.field("value", pa.float64()),
            pa.field("low", pa.float64()),
            pa.field("high", pa.float64()),
            pa.field("interval_kind", text),
            pa.field("prompt_low", pa.float64()),
            pa.field("prompt_high", pa.float64()),
            pa.field("estimator", text),
            pa.field("unit", text, nullable=False),
            pa.field("n", pa.int64()),
            pa.field("prompts", pa.int64()),
            pa.field("null", pa.float64()),
            pa.field("p", pa.float64()),
            pa.field("q", pa.float64()),
            pa.field("margin", pa.float64()),
            pa.field("reason", text),
            pa.field("exact", pa.bool_(), nullable=False),
        ],
        metadata={"crystal.schema_version": METRICS_SCHEMA_VERSION, "crystal.kind": "metrics"},
    )


def metrics_table(report: PhaseReport) -> pa.Table:
    """Return all metrics of a report, in the report's own order.

    Parameters
    ----------
    report : PhaseReport
        What ``classify`` returned.

    Returns
    -------
    pyarrow.Table
        See :func:`metrics_schema`; unknown numbers are null, never 0 or NaN.
    """
    import pyarrow as pa

    schema = metrics_schema()
    rows = list(_rows(report))
    columns = [
        # from_pandas makes a NaN null
        pa.array([row.get(field.name) for row in rows], field.type, from_pandas=True)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _rows(report: PhaseReport) -> Iterator[dict[str, Any]]:
    for ladder, result in report.ladders.items():
        for task, group in (result.tokens.tasks if result.tokens else {}).items():
            yield from _group_rows({"ladder": ladder, "task": task}, group)
        for task, texts in (result.sequences.tasks if result.sequences else {}).items():
            yield from _group_rows({"ladder": ladder, "task": task}, texts)
        for task, task_result in result.tasks.items():
            place = {"ladder": ladder, "task": task}
            yield from _family_rows({**place, "family": None}, task_result)
            for family, family_result in task_result.families.items():
                yield from _family_rows({**place, "family": family}, family_result)


def _family_rows(place: dict[str, Any], result: FamilyResult) -> Iterator[dict[str, Any]]:
    for name, checkpoint in result.checkpoints.items():
        here = {**place, "kind": "checkpoint", "checkpoint": name, "phase": checkpoint.phase}
        yield from _metric_rows(here, checkpoint.metrics)
    for transition in result.transitions:
        here = {**place, "kind": "transition", "from": transition.from_, "to": transition.to}
        yield from _metric_rows({**here, "verdict": transition.verdict}, transition.metrics)


def _group_rows(place: dict[str, Any], group: TokenGroup | SequenceGroup) -> Iterator[dict[str, Any]]:
    for name, checkpoint in group.checkpoints.items():
        across = {
            f"{key}_across" if key in checkpoint.per_input else key: metric
            for key, metric in checkpoint.across_input.items()
        }
        metrics = {**checkpoint.per_input, **across}
        yield from _metric_rows({**place, "kind": "checkpoint", "checkpoint": name}, metrics)
    for step in group.transitions:
        yield from _metric_rows(
            {**place, "kind": "transition", "from": step.from_, "to": step.to}, step.metrics
        )


def _metric_rows(place: dict[str, Any], metrics: dict[str, Metric]) -> Iterator[dict[str, Any]]:
    for name, metric in metrics.items():
        yield {**place, "metric": name, **msgspec.structs.asdict(metric)}
