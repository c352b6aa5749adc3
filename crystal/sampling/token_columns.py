"""Columns of scored samples: lists of tokens and numbers, and one value for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystal.sampling.rendering import Tokens


def filled(batch: Any, chosen: Sequence[Tokens], results: Sequence[tuple[Any, Any]]) -> Any:
    """Return a batch of the sample table with what was found of each reply's tokens.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    chosen : sequence of Tokens
        One a row.
    results : sequence of (float32 array, float32 array)
        Log-probabilities and entropies, one a token.

    Returns
    -------
    pyarrow.RecordBatch
        ``tokens``, ``logprobs`` and ``entropies`` are new; ``score`` is the sum of the log-probabilities
        where the row had none.
    """
    offsets = pa.array(np.cumsum([0, *(len(tokens.reply) for tokens in chosen)]), pa.int64())

    def lists(values: Any) -> Any:
        return pa.LargeListArray.from_arrays(offsets, values)

    def joined(index: int) -> Any:
        return np.concatenate([np.zeros(0, np.float32), *(result[index] for result in results)])

    ids = [token for tokens in chosen for token in tokens.reply]
    sums = pa.array([float(np.sum(logprobs, dtype=np.float64)) for logprobs, _ in results], pa.float32())
    columns = {
        "tokens": lists(pa.array(ids, pa.int32())),
        "logprobs": lists(pa.array(joined(0))),
        "entropies": lists(pa.array(joined(1))),
        "score": pc.coalesce(batch.column("score"), sums),
    }
    for name, values in columns.items():
        batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), values)
    return batch


def with_value(batch: Any, name: str, value: str | int) -> Any:
    """Return the batch with one value in all rows of a column."""
    index = batch.schema.get_field_index(name)
    field_type = batch.schema.field(name)
    if pa.types.is_dictionary(field_type.type):
        codes = pa.array(np.zeros(batch.num_rows, np.int32))
        values = pa.DictionaryArray.from_arrays(codes, pa.array([value], pa.large_string()))
    else:
        values = pa.array([value] * batch.num_rows, field_type.type)
    return batch.set_column(index, field_type, values)
