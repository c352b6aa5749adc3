"""Columns of any Arrow type into the types of the sample table, with the rows where that fails.

Each function returns the converted column and, where some values do not fit, a mask of those rows. Nothing
here loops over rows unless a value has already turned out to be bad.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from crystal.readers import fields

Mask = npt.NDArray[np.bool_]

NAME = pa.dictionary(pa.int32(), pa.large_string())
_INTEGER_TEXT = r"^\s*[+-]?\d{1,18}(?:\.0*)?\s*$"
_NUMBER_TEXT = r"(?i)^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?|nan|inf(?:inity)?)\s*$"

EXPECTED = {
    fields.TEXT: "text",
    fields.NAME: "text or a whole number",
    fields.INTEGER: "a whole number",
    fields.NUMBER: "a number",
    fields.INTEGERS: "a list of whole numbers",
    fields.NUMBERS: "a list of numbers",
}


class Misfit(Exception):  # noqa: N818  # no error of the user's: a signal between converters
    """The column's type cannot be read as the field's kind at all."""


def mask_of(condition: Any) -> Mask:
    """Return an Arrow condition as a NumPy mask, null as False."""
    if isinstance(condition, pa.ChunkedArray):
        condition = condition.combine_chunks()
    result: Mask = pc.fill_null(condition, False).to_numpy(zero_copy_only=False)
    return result


def convert(column: Any, kind: str) -> tuple[Any, Mask | None, str]:
    """Return a column as its field's type, the rows that do not fit, and why they do not.

    Parameters
    ----------
    column : pyarrow.Array, shape (n,)
    kind : str
        A kind of :data:`crystal.readers.fields.FIELDS`.

    Returns
    -------
    column : pyarrow.Array
        ``dictionary<int32, large_string>`` for names, ``large_string`` for text, int64, float64,
        ``large_list<int32>`` or ``large_list<float32>``; null where the value does not fit.
    misfits : bool array of shape (n,), or None
    reason : str
    """
    if pt.is_null(column.type):
        return nulls(kind, len(column)), None, ""
    try:
        return _CONVERTERS[kind](column)
    except Misfit:
        present = mask_of(column.is_valid())
        reason = f"expected {EXPECTED[kind]}, got a column of {column.type}"
        return nulls(kind, len(column)), present, reason


def nulls(kind: str, n: int) -> Any:
    """Return a column of a field's type without any value."""
    return pa.nulls(n, _TARGETS[kind])


def coded(column: Any) -> str:
    """Return the kind under which a dictionary column of texts stays one."""
    return fields.NAME if _is_text(column.type.value_type) else fields.TEXT


def _is_text(kind: Any) -> bool:
    view = getattr(pt, "is_string_view", None)
    return bool(
        pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind)
        or (view is not None and view(kind))
    )  # fmt: skip


def text(column: Any) -> tuple[Any, Mask | None, str]:
    """Convert to large_string; bytes that are no UTF-8 are misfits."""
    if pt.is_dictionary(column.type):
        column = pc.take(column.dictionary, column.indices)
    if not _is_text(column.type):
        raise Misfit
    try:
        plain = pc.cast(column, pa.large_string())
        plain.validate(full=True)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _mend(column)
    return plain, None, ""


def _mend(column: Any) -> tuple[Any, Mask, str]:
    raw = pc.cast(column, pa.large_binary()) if not pt.is_large_binary(column.type) else column
    values: list[str | None] = []
    misfits = np.zeros(len(raw), bool)
    for index, value in enumerate(raw.to_pylist()):
        try:
            values.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            values.append(None)
            misfits[index] = True
    return pa.array(values, pa.large_string()), misfits, "not UTF-8"


def name(column: Any) -> tuple[Any, Mask | None, str]:
    """Convert to dictionary<int32, large_string>; whole numbers are names too (an answer 7, a prompt 3)."""
    if pt.is_dictionary(column.type):
        if _is_text(column.type.value_type) and column.dictionary.null_count == 0:
            values, misfits, _ = text(column.dictionary)
            if misfits is None:
                return pa.DictionaryArray.from_arrays(pc.cast(column.indices, pa.int32()), values), None, ""
        column = pc.take(column.dictionary, column.indices)
    if pt.is_integer(column.type):
        return pc.dictionary_encode(pc.cast(column, pa.large_string())), None, ""
    plain, misfits, reason = text(column)
    return pc.dictionary_encode(plain), misfits, reason


def integer(column: Any) -> tuple[Any, Mask | None, str]:
    """Convert to int64; whole floats and digits count."""
    if pt.is_dictionary(column.type):
        column = pc.take(column.dictionary, column.indices)
    if pt.is_integer(column.type):
        try:
            return pc.cast(column, pa.int64()), None, ""
        except pa.ArrowInvalid:
            fits = pc.less_equal(column, pa.scalar(2**63 - 1, column.type))
            kept = pc.cast(pc.if_else(fits, column, pa.scalar(None, column.type)), pa.int64())
            return kept, mask_of(pc.invert(fits)), "the number is too large"
    if pt.is_floating(column.type) or pt.is_decimal(column.type):
        wide = pc.cast(column, pa.float64())
        fits = pc.and_(pc.equal(pc.floor(wide), wide), pc.less(pc.abs(wide), 2.0**53))
        kept = pc.cast(pc.if_else(fits, wide, pa.scalar(None, pa.float64())), pa.int64())
        return kept, _misfits(column, fits), "expected a whole number"
    plain, _, _ = text(column)
    fits = pc.match_substring_regex(plain, _INTEGER_TEXT)
    kept = pc.if_else(fits, plain, pa.scalar(None, plain.type))
    kept = pc.replace_substring_regex(kept, r"\.0*|\s+|\+", "")
    return pc.cast(kept, pa.int64()), _misfits(column, fits), "expected a whole number"


def number(column: Any) -> tuple[Any, Mask | None, str]:
    """Convert to float64; NaN and infinities pass, for the caller to judge."""
    if pt.is_dictionary(column.type):
        column = pc.take(column.dictionary, column.indices)
    if pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_decimal(column.type):
        return pc.cast(column, pa.float64(), safe=False), None, ""
    plain, _, _ = text(column)
    fits = pc.match_substring_regex(plain, _NUMBER_TEXT)
    kept = pc.utf8_trim_whitespace(pc.if_else(fits, plain, pa.scalar(None, plain.type)))
    kept = pc.utf8_ltrim(kept, "+")
    return pc.cast(kept, pa.float64()), _misfits(column, fits), "expected a number"


def _misfits(column: Any, fits: Any) -> Mask | None:
    misfits = mask_of(column.is_valid()) & ~mask_of(fits)
    return misfits if misfits.any() else None


def integers(column: Any) -> tuple[Any, Mask | None, str]:
    """Convert to large_list<int32>."""
    return _list(column, pa.int32(), list[int], "expected a list of whole numbers")


def numbers(column: Any) -> tuple[Any, Mask | None, str]:
    """Convert to large_list<float32>; a null item is a value that is not known."""
    return _list(column, pa.float32(), list[float | None], "expected a list of numbers")


def _list(column: Any, item: Any, kind: Any, reason: str) -> tuple[Any, Mask | None, str]:
    target = pa.large_list(item)
    if _is_text(column.type):  # CSV has no lists: [1, 2] as JSON
        return _from_text(column, target, kind, reason)
    if not (pt.is_list(column.type) or pt.is_large_list(column.type) or pt.is_fixed_size_list(column.type)):
        raise Misfit
    if not (pt.is_integer(column.type.value_type) or pt.is_floating(column.type.value_type)):
        if pt.is_null(column.type.value_type):
            return pc.cast(column, target), None, ""
        raise Misfit
    try:
        return pc.cast(column, target, safe=pt.is_integer(item)), None, ""
    except pa.ArrowInvalid:
        return _rowwise(column.to_pylist(), target, reason)


def _from_text(column: Any, target: Any, kind: Any, reason: str) -> tuple[Any, Mask | None, str]:
    decoder = msgspec.json.Decoder(kind)
    values: list[Any] = []
    misfits = np.zeros(len(column), bool)
    for index, value in enumerate(column.to_pylist()):
        try:
            values.append(None if value is None else decoder.decode(value))
        except msgspec.MsgspecError:
            values.append(None)
            misfits[index] = True
    converted, more, _ = _rowwise(values, target, reason)
    return converted, misfits | more, reason


def _rowwise(values: list[Any], target: Any, reason: str) -> tuple[Any, Mask, str]:
    misfits = np.zeros(len(values), bool)
    for index, value in enumerate(values):
        try:
            pa.array([value], target)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            values[index] = None
            misfits[index] = True
    return pa.array(values, target), misfits, reason


_CONVERTERS = {
    fields.TEXT: text,
    fields.NAME: name,
    fields.INTEGER: integer,
    fields.NUMBER: number,
    fields.INTEGERS: integers,
    fields.NUMBERS: numbers,
}
_TARGETS = {
    fields.TEXT: pa.large_string(),
    fields.NAME: NAME,
    fields.INTEGER: pa.int64(),
    fields.NUMBER: pa.float64(),
    fields.INTEGERS: pa.large_list(pa.int32()),
    fields.NUMBERS: pa.large_list(pa.float32()),
}
