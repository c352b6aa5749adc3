"""JSON Lines into Arrow columns, by the compiled scanner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from crystal.ops.core import load

TEXT, NAME, INTEGER, RAW = "text", "name", "integer", "raw"
MOST_FIELDS = 64


class Scanned(NamedTuple):
    """The rows of a block, and the lines that the scanner leaves to its caller."""

    columns: list[Any]
    """One a field: ``large_string``, for names as a dictionary, or int64 for integers; null where the key is
    missing or null."""
    lines: npt.NDArray[np.int64]
    """Of each row, its line in the block, from 0."""
    refused: npt.NDArray[np.int64]
    """int64 [r, 3]: line, start and stop (bytes) of each line that is no plain row and not blank."""


def scan(block: bytes, fields: Sequence[tuple[Sequence[str], str]]) -> Scanned:
    r"""Read the wanted fields of each line's object.

    Parameters
    ----------
    block : bytes
        Whole lines.
    fields : sequence of (path, kind)
        At most :data:`MOST_FIELDS` distinct paths of keys, none a prefix of another. Kinds: ``text`` (a
        string), ``name`` (a string, or a whole number as its digits), ``integer`` (a whole number, or a
        string of one) and ``raw`` (a number or an array, as it is written).

    Returns
    -------
    Scanned
        The scanner is strict: what it accepts is valid JSON and UTF-8 with values of these kinds, each key
        once. It may refuse a line that a patient reader can use.

    Raises
    ------
    ValueError
        If the fields are not as said.

    Examples
    --------
    >>> block = b'{"text": "a", "n": 1}\n\n{"n": "x"}\n{"m": {"k": 2}, "n": null}'
    >>> scanned = scan(block, [(["text"], "text"), (["n"], "integer"), (["m", "k"], "raw")])
    >>> [column.to_pylist() for column in scanned.columns]
    [['a', None], [1, None], [None, '2']]
    >>> scanned.lines.tolist(), scanned.refused.tolist()
    ([0, 3], [[2, 23, 33]])
    """
    named = [(list(path), kind) for path, kind in fields]
    columns, lines, refused = load().scan_json_lines(block, named)
    built = []
    for validity, nulls, values in columns:
        bits = pa.py_buffer(validity) if nulls else None
        if isinstance(values, tuple) and len(values) == 3:
            offsets, texts, codes = map(pa.py_buffer, values)
            count = len(values[0]) - 1
            names = pa.Array.from_buffers(pa.large_string(), count, [None, offsets, texts])
            indices = pa.Array.from_buffers(pa.int32(), len(lines), [bits, codes], nulls)
            built.append(pa.DictionaryArray.from_arrays(indices, names))
        elif isinstance(values, tuple):
            buffers = [bits, *map(pa.py_buffer, values)]
            built.append(pa.Array.from_buffers(pa.large_string(), len(lines), buffers, nulls))
        else:
            built.append(pa.Array.from_buffers(pa.int64(), len(lines), [bits, pa.py_buffer(values)], nulls))
    return Scanned(built, lines, refused.reshape(-1, 3))
