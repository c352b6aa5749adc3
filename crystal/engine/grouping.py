"""Groups of rows into the keys that states count under."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.ops.grouping import group
from crystal.samples import Checkpoint

Codes = npt.NDArray[np.int32]


def as_dictionary(codes: Codes, values: Any) -> Any:
    """Return the dictionary column that has ``values[codes]``."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), values)


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
