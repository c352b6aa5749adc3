from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import InputError
from crystal.ops.ragged import Ragged, dictionary, strings_to_ragged

TEXTS = ["heads", "", None, "tails", "heads", "größer", None, "日本語", "\0", "a" * 50]
KINDS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
}


def forms(texts: list[str | None]) -> dict[str, Any]:
    """Return the same column in every form that a reader may hand over."""
    made: dict[str, Any] = {"list": texts}
    for name, kind in KINDS.items():
        plain = pa.array(texts, kind)
        made[name] = plain
        padded = pa.array(["before", None, *texts, "after"], kind)
        made[f"{name} slice"] = padded.slice(2, len(texts))
        made[f"{name} chunks"] = pa.chunked_array([plain.slice(0, 3), plain.slice(3, 0), plain.slice(3)])
        encoded = pa.array(texts, pa.large_string()).dictionary_encode()
        for index in (pa.int8(), pa.uint16(), pa.int64()):
            values = encoded.dictionary.cast(kind)
            column = pa.DictionaryArray.from_arrays(encoded.indices.cast(index), values)
            made[f"dictionary {index} {name}"] = column
            made[f"dictionary {index} {name} chunks"] = pa.chunked_array(
                [column.slice(0, 4), column.slice(4)]
            )
    other = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array(["y", "x"], pa.string()))
    if len(texts) > 2:
        head = pa.array(texts[:2], pa.string()).dictionary_encode()
        tail = pa.array(texts[2:], pa.string()).dictionary_encode()
        made["chunks with dictionaries of their own"] = pa.chunked_array([head, tail])
    assert other.to_pylist() == ["x", "y"]
    return made


@pytest.mark.parametrize("form", sorted(forms(TEXTS)))
def test_every_form_of_a_column_is_the_same_texts(form: str) -> None:
    column = forms(TEXTS)[form]
    ragged = strings_to_ragged(column)
    assert ragged.to_arrow().to_pylist() == TEXTS
    assert ragged.values.dtype == np.uint8
    assert ragged.offsets.dtype == np.int64
    assert (ragged.offsets[0], ragged.offsets[-1]) == (0, len(ragged.values))
    assert bytes(ragged.values) == "".join(text or "" for text in TEXTS).encode()

    indices, texts = dictionary(column)
    assert indices.dtype == np.int32
    known = texts.to_arrow().to_pylist()
    assert [None if i < 0 else known[i] for i in indices.tolist()] == TEXTS
    assert indices.flags.c_contiguous
    assert indices.flags.aligned


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.text(max_size=6)), st.integers(0, 5), st.integers(0, 5))
def test_any_slice_of_any_column(texts: list[str | None], start: int, length: int) -> None:
    for kind in KINDS.values():
        column = pa.array(texts, kind).slice(start, length)
        assert strings_to_ragged(column).to_arrow().to_pylist() == texts[start : start + length]
        indices, known = dictionary(pa.array(texts, kind).dictionary_encode().slice(start, length))
        words = known.to_arrow().to_pylist()
        assert [None if i < 0 else words[i] for i in indices] == texts[start : start + length]


@pytest.mark.parametrize("column", [pa.nulls(3), pa.array([None] * 3, pa.string()), [None] * 3])
def test_a_column_of_nulls(column: Any) -> None:
    ragged = strings_to_ragged(column)
    assert ragged.offsets.tolist() == [0, 0, 0, 0]
    assert ragged.validity is not None
    assert not ragged.validity.any()
    assert dictionary(column)[0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("column", [[], pa.array([], pa.string()), pa.chunked_array([], pa.string())])
def test_an_empty_column(column: Any) -> None:
    assert strings_to_ragged(column).offsets.tolist() == [0]
    indices, texts = dictionary(column)
    assert len(indices) == 0
    assert texts.offsets.tolist() == [0]


def test_no_validity_where_every_text_is_one() -> None:
    assert strings_to_ragged(["a", "b"]).validity is None


def test_null_entries_of_a_dictionary_are_no_value() -> None:
    values = pa.array(["x", None, "y"], pa.string())
    column = pa.DictionaryArray.from_arrays(pa.array([2, 1, 0, None], pa.int8()), values)
    indices, texts = dictionary(column)
    assert indices.tolist() == [2, -1, 0, -1]
    assert strings_to_ragged(column).to_arrow().to_pylist() == ["y", None, "x", None]
    assert texts.to_arrow().to_pylist() == ["x", None, "y"]


def test_bytes_under_nulls_are_not_looked_at() -> None:
    """Arrow lets a null cover any bytes; they must not become part of the texts."""
    offsets, values = pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(b"abcd")
    column = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x02"), offsets, values])
    assert column.to_pylist() == [None, "cd"]
    ragged = strings_to_ragged(column)
    assert bytes(ragged.values) == b"cd"
    assert ragged.offsets.tolist() == [0, 0, 2]


@pytest.mark.parametrize("column", [pa.array([1, 2]), pa.array([b"a"]), pa.array([["a"]]), pa.array([True])])
def test_other_columns_are_refused(column: pa.Array) -> None:
    with pytest.raises(InputError, match="no strings"):
        dictionary(column)
    with pytest.raises(InputError, match="no strings"):
        strings_to_ragged(column)


def test_bytes_that_are_no_text_are_refused() -> None:
    offsets, values = pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF"):
        strings_to_ragged(pa.Array.from_buffers(pa.string(), 1, [None, offsets, values]))


def test_offsets_outside_the_buffer_are_refused() -> None:
    offsets, values = pa.py_buffer(np.array([0, 2000, 2], np.int64)), pa.py_buffer(b"ab")
    with pytest.raises(InputError, match="no valid string column"):
        strings_to_ragged(pa.Array.from_buffers(pa.large_string(), 2, [None, offsets, values]))


def test_indices_outside_the_dictionary_are_refused() -> None:
    for index in (5, -3):
        column = pa.DictionaryArray.from_arrays(pa.array([index], pa.int32()), pa.array(["x"]), safe=False)
        with pytest.raises(InputError, match="outside its dictionary"):
            dictionary(column)
        with pytest.raises(InputError, match="no valid string column"):
            strings_to_ragged(column)


def test_ragged_goes_back_to_arrow() -> None:
    ragged = Ragged(np.frombuffer(b"abc", np.uint8), np.array([0, 1, 3]), np.array([True, False]))
    assert ragged.to_arrow().to_pylist() == ["a", None]
    assert ragged.to_arrow().type == pa.large_string()
