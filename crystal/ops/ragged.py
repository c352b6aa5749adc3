"""String columns as NumPy arrays: the only place where Arrow strings are taken apart.

A ragged array is ``values`` (uint8, all texts behind one another in UTF-8), ``offsets`` (int64, one more than
there are texts) and ``validity``. Chunks and slices are honoured, and no text becomes a Python object.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.errors import InputError


class Ragged(NamedTuple):
    """Texts behind one another: text ``i`` is ``values[offsets[i]:offsets[i + 1]]``."""

    values: npt.NDArray[np.uint8]
    """uint8 [N]: the UTF-8 bytes of all texts."""
    offsets: npt.NDArray[np.int64]
    """int64 [n + 1], ascending from 0 to N."""
    validity: npt.NDArray[np.bool_] | None
    """bool [n]: False where there is no value; None where every text is one."""

    def to_arrow(self) -> pa.Array:
        """Return the texts as a ``large_string`` array (its buffers are these arrays)."""
        count = len(self.offsets) - 1
        mask = None if self.validity is None else pa.array(self.validity)
        buffers = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.values)]
        texts = pa.Array.from_buffers(pa.large_string(), count, buffers)
        return texts if mask is None else pc.if_else(mask, texts, pa.scalar(None, pa.large_string()))


def strings_to_ragged(array: Any) -> Ragged:
    """Return a string column as bytes and offsets.

    Parameters
    ----------
    array : pyarrow.Array, pyarrow.ChunkedArray or sequence of str
        ``string``, ``large_string``, ``string_view``, a dictionary of one of them, or the null type.

    Returns
    -------
    Ragged
        One text a row, with ``validity`` where rows are null (their text is empty).

    Raises
    ------
    InputError
        If the column holds no strings, or bytes that are not UTF-8.

    Examples
    --------
    >>> strings_to_ragged(["heads", None, "tails"]).offsets.tolist()
    [0, 5, 5, 10]
    """
    column = _flat(array)
    if pa.types.is_dictionary(column.type):
        return _parts(column.dictionary.take(column.indices))
    return _parts(column)


def dictionary(array: Any) -> tuple[npt.NDArray[np.int32], Ragged]:
    """Return a string column as indices into its distinct texts.

    Parameters
    ----------
    array : pyarrow.Array, pyarrow.ChunkedArray or sequence of str
        As for :func:`strings_to_ragged`. A dictionary array keeps its dictionary, which may hold texts that
        no row uses, or one text twice.

    Returns
    -------
    indices : int32 [n]
        -1 where the row (or its dictionary entry) is null, else an entry of the dictionary.
    texts : Ragged
        The dictionary. One that came with the column is handed on as it is, because it may be far larger than
        the batch: who reads its texts checks the offsets and the UTF-8 of those that rows use, as the count
        table does.

    Raises
    ------
    InputError
        If the column holds no strings, bytes that are not UTF-8, or indices outside its dictionary.

    Examples
    --------
    >>> indices, texts = dictionary(["heads", "tails", None, "heads"])
    >>> indices.tolist(), bytes(texts.values)
    ([0, 1, -1, 0], b'headstails')
    """
    if isinstance(array, pa.ChunkedArray) and array.num_chunks == 1:
        array = array.chunk(0)
    if isinstance(array, pa.DictionaryArray) and _is_plain(array.dictionary):
        column, texts = array, _parts(array.dictionary.cast(pa.large_string()))
    else:
        column = _flat(array)
        column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        texts = _parts(column.dictionary)
    numbers = column.indices.cast(pa.int32())
    indices = (numbers.fill_null(-1) if numbers.null_count else numbers).to_numpy(zero_copy_only=False)
    if len(indices) and not -1 <= int(indices.min()) <= int(indices.max()) < len(texts.offsets) - 1:
        raise InputError("an index points outside its dictionary", where="string column")
    if texts.validity is not None:
        entry = np.where(texts.validity, np.arange(len(texts.validity), dtype=np.int32), np.int32(-1))
        indices = np.append(entry, np.int32(-1))[indices]
    return np.require(indices, np.int32, ["C", "A"]), texts


def _parts(texts: pa.Array) -> Ragged:
    """Take a ``large_string`` array apart."""
    validity = None
    if texts.null_count:
        validity = texts.is_valid().to_numpy(zero_copy_only=False)
        # Arrow leaves it open what bytes a null covers.
        texts = texts.fill_null("")
    _, raw_offsets, raw_values = texts.buffers()
    if len(texts) == 0 or raw_offsets is None:
        return Ragged(np.zeros(0, np.uint8), np.zeros(1, np.int64), validity)
    offsets = np.frombuffer(raw_offsets, np.int64, len(texts) + 1, texts.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    values = np.zeros(0, np.uint8)
    if last > first and raw_values is not None:
        values = np.frombuffer(raw_values, np.uint8, last - first, first)
    offsets = offsets - first if first else np.require(offsets, requirements=["C", "A"])
    return Ragged(values, offsets, validity)


def _flat(array: Any) -> pa.Array:
    """Return one valid array: ``large_string``, or a dictionary whose values are ``large_string``."""
    if not isinstance(array, (pa.Array, pa.ChunkedArray)):
        array = pa.array(array, pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        chunks = [_large(chunk) for chunk in array.chunks]
        if not chunks:
            return pa.array([], pa.large_string())
        if pa.types.is_dictionary(chunks[0].type):
            chunks = pa.chunked_array(chunks).unify_dictionaries().chunks
        return pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0]
    return _large(array)


def _large(array: pa.Array) -> pa.Array:
    kind = array.type
    try:
        array.validate(full=True)  # foreign buffers: bounds and UTF-8, before anything is read through them
    except (pa.ArrowInvalid, pa.ArrowIndexError) as error:
        raise InputError(f"the column is no valid string column: {error}", where="string column") from error
    if pa.types.is_dictionary(kind):
        # dictionary<string_view> cannot be cast as a whole, its dictionary can.
        values = _large(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), values, safe=False)
    if not (_is_string(kind) or pa.types.is_null(kind)):
        raise InputError("the column holds no strings", where="string column", got=str(kind))
    return array.cast(pa.large_string())


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_plain(texts: pa.Array) -> bool:
    """Whether a dictionary can be handed on without a look at its texts."""
    kind = texts.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind)) and texts.null_count == 0
