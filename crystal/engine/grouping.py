"""Rows into groups of equal values, and groups into the keys that states count under."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.samples import Checkpoint

Codes = npt.NDArray[np.int64]


class Groups(NamedTuple):
    """Rows that are equal in some columns."""

    codes: Codes
    """int64 [n]: the group of each row, numbered by first appearance."""
    first: Codes
    """int64 [g]: the first row of each group."""


def group(columns: Sequence[Any]) -> Groups:
    """Group the rows of some columns; null equals null.

    Parameters
    ----------
    columns : sequence of pyarrow.Array of length n
        At least one.

    Examples
    --------
    >>> group([pa.array(["a", "b", "a"]), pa.array([1, 1, None])]).codes
    array([0, 1, 2])
    """
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        own = _codes(column)
        # Both factors are below 2^31, so the product cannot leave int64.
        codes = _codes(pa.array(codes * (int(own.max(initial=0)) + 1) + own))
    first = np.zeros(int(codes.max(initial=-1)) + 1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return Groups(codes, first)


def _codes(column: Any) -> Codes:
    """Return which distinct value each row has; equal texts may stand twice in a given dictionary."""
    if pa.types.is_dictionary(column.type):
        values = pc.dictionary_encode(column.dictionary, null_encoding="encode").indices
        column = pc.take(values, column.indices)
    encoded = pc.dictionary_encode(column, null_encoding="encode").indices
    codes: Codes = encoded.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def as_dictionary(codes: Codes, values: Any) -> Any:
    """Return the dictionary column that has ``values[codes]``."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)


def checkpoint_keys(batch: Any) -> Any:
    """Return the checkpoint key of each row of a batch, as a dictionary column."""
    names = ("ladder", "stage", "step", "checkpoint")
    groups = group([batch.column(name) for name in names])
    first = pa.array(groups.first)
    rungs = zip(*(batch.column(name).take(first).to_pylist() for name in names), strict=True)
    keys = [Checkpoint(*rung).key() for rung in rungs]
    return as_dictionary(groups.codes, pa.array(keys, pa.large_string()))


def prompt_keys(batch: Any) -> Any:
    """Return the prompt key of each row of a batch, as a dictionary column."""
    groups = group([batch.column("family"), batch.column("prompt")])
    first = pa.array(groups.first)
    family, prompt = (
        json_text(pc.fill_null(pc.cast(batch.column(name).take(first), pa.large_string()), ""))
        for name in ("family", "prompt")
    )
    return as_dictionary(groups.codes, _join("[", family, ",", prompt, "]"))


def json_text(texts: Any) -> Any:
    r"""Return each text as a JSON string, as :meth:`crystal.samples.Prompt.key` has it.

    Prompts can be as many as rows, so this is Arrow compute but for texts with control characters.

    Examples
    --------
    >>> print(*json_text(pa.array(['say "é"', "a\nb"], pa.large_string())).to_pylist())
    "say \"é\"" "a\nb"
    """
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = _join('"', escaped, '"')
    control = pc.match_substring_regex(texts, r"[\x00-\x1f]")
    if pc.any(control, min_count=0).as_py():
        odd = [json.dumps(text, ensure_ascii=False) for text in texts.filter(control).to_pylist()]
        quoted = pc.replace_with_mask(quoted, control, pa.array(odd, pa.large_string()))
    return quoted


def _join(*parts: Any) -> Any:
    text = pa.large_string()
    columns = [pa.scalar(part, text) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*columns, pa.scalar("", text))


def decoding_texts(column: Any) -> Any:
    """Return the decoding settings of each row as JSON, null where unknown, as a dictionary column.

    Examples
    --------
    >>> cold = {"temperature": 0.5, "top_p": None, "top_k": None, "max_tokens": 8, "template": None}
    >>> decoding_texts(pa.array([cold, None, cold])).to_pylist()
    ['{"temperature":0.5,"max_tokens":8}', None, '{"temperature":0.5,"max_tokens":8}']
    """
    groups = group([column.is_null(), *(pc.struct_field(column, i) for i in range(column.type.num_fields))])
    texts = [
        None if row is None else json.dumps(_known(row), ensure_ascii=False, separators=(",", ":"))
        for row in column.take(pa.array(groups.first)).to_pylist()
    ]
    return as_dictionary(groups.codes, pa.array(texts, pa.large_string()))


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
