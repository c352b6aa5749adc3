"""Rows of the sample table from draws and from exact distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from crystal.samples import Checkpoint, distribution_schema, sample_schema
from crystal.sampling.local import Decoding
from crystal.sampling.plan import Drawn, Unit


def samples(
    unit: Unit, drawn: Sequence[Drawn], place: Checkpoint, rendering: str, decoding: Decoding, source: str
) -> Any:
    """Return one unit's draws as a batch of :func:`crystal.samples.sample_schema`."""
    rows = len(drawn)
    how = {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k or None,
        "max_tokens": decoding.max_tokens,
        "template": None,
    }
    columns: dict[str, Any] = {
        **_identity(unit, place, rows),
        "rendering": _same(rendering, rows),
        "sample": pa.array(range(unit.first, unit.first + rows), pa.int32()),
        "text": [one.text for one in drawn],
        "tokens": [one.tokens for one in drawn],
        "logprobs": [one.logprobs for one in drawn],
        "entropies": [one.entropies for one in drawn],
        "decoding": [how] * rows,
        "source": _same(source, rows),
    }
    return _batch(columns, sample_schema(), rows)


def distribution(unit: Unit, found: Mapping[str, float], place: Checkpoint, source: str) -> Any:
    """Return one prompt's probabilities as a batch of :func:`crystal.samples.distribution_schema`."""
    rows = len(found)
    columns = {
        **_identity(unit, place, rows),
        "option": pa.array(list(found), pa.large_string()).dictionary_encode(),
        "probability": list(found.values()),
        "source": _same(source, rows),
    }
    return _batch(columns, distribution_schema(), rows)


def _identity(unit: Unit, place: Checkpoint, rows: int) -> dict[str, Any]:
    named = {
        "ladder": place.ladder,
        "stage": place.stage,
        "checkpoint": place.name,
        "task": unit.task.id,
        "prompt": unit.wording.id,
        "family": unit.wording.family,
    }
    return {name: _same(value, rows) for name, value in named.items()} | {"step": [place.step] * rows}


def _same(value: str, rows: int) -> Any:
    codes = pa.array(np.zeros(rows, np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array([value], pa.large_string()))


def _batch(columns: Mapping[str, Any], schema: Any, rows: int) -> Any:
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None:
            values = pa.nulls(rows, field.type)
        elif isinstance(values, pa.Array):
            values = values.cast(field.type)
        else:
            values = pa.array(values, field.type)
        arrays.append(values)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
