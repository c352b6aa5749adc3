"""Exact de-duplication against a dictionary, on closed cases, random ones and hostile ones."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crystal
from crystal.errors import InputError, SettingsError
from crystal.ops.sequences import SequenceCounts, count_sequences, count_sequences_reference

Ragged = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]


def ragged(
    rows: list[list[int]], dtype: npt.DTypeLike = np.int32
) -> tuple[npt.NDArray, npt.NDArray[np.int64]]:
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.array([x for row in rows for x in row], dtype), offsets


def zipf(rows: int, distinct: int, seed: int = 0, mean: int = 6) -> Ragged:
    """Many samples of few sequences, as collapsed checkpoints have."""
    rng = np.random.default_rng(seed)
    kinds = [rng.integers(0, 50, 1 + rng.poisson(mean)).tolist() for _ in range(distinct)]
    weight = 1 / np.arange(1, distinct + 1)
    return ragged([kinds[k] for k in rng.choice(distinct, rows, p=weight / weight.sum())])


def same(a: SequenceCounts, b: SequenceCounts) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
        assert x is not None
        assert y is not None
        assert x.dtype == y.dtype


def test_by_hand() -> None:
    found = count_sequences(*ragged([[1, 2], [], [1, 2], [2, 1], [], [1], [1, 2]]))
    assert found.inverse is not None
    assert found.inverse.tolist() == [0, 1, 0, 2, 1, 3, 0]
    assert found.first.tolist() == [0, 1, 3, 5]
    assert found.counts.tolist() == [3, 2, 1, 1]
    assert found.distinct == 4


@pytest.mark.parametrize("verify", [True, False])
@given(
    rows=st.lists(st.lists(st.integers(0, 3), max_size=40), max_size=60),
    dtype=st.sampled_from([np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64]),
)
def test_any_rows(verify: bool, rows: list[list[int]], dtype: npt.DTypeLike) -> None:
    values, offsets = ragged(rows, dtype)
    same(count_sequences(values, offsets, verify=verify), count_sequences_reference(values, offsets))


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), length=st.integers(0, 300), at=st.integers(0, 299))
def test_one_byte_tells_two_sequences_apart(seed: int, length: int, at: int) -> None:
    row = np.random.default_rng(seed).integers(0, 256, length).tolist()
    other = list(row)
    rows = [row, row]
    if length:
        other[at % length] ^= 1
        rows.append(other)
    rows.append([*row, 0])  # zero bytes behind a sequence make another
    found = count_sequences(*ragged(rows, np.uint8))
    assert found.distinct == len(rows) - 1


@pytest.mark.parametrize(("rows", "distinct"), [(30_000, 29_000), (90_000, 3_000), (40_000, 1)])
@pytest.mark.parametrize("verify", [True, False])
def test_same_bytes_for_any_number_of_threads(rows: int, distinct: int, verify: bool) -> None:
    values, offsets = zipf(rows, distinct)
    one = count_sequences(values, offsets, threads=1, verify=verify)
    same(one, count_sequences_reference(values, offsets))
    for threads in (2, 64):
        same(count_sequences(values, offsets, threads=threads, verify=verify), one)
        without = count_sequences(values, offsets, threads=threads, verify=verify, inverse=False)
        assert without.inverse is None
        np.testing.assert_array_equal(without.first, one.first)
        np.testing.assert_array_equal(without.counts, one.counts)


def test_a_front_that_rests_and_wakes() -> None:
    # Distinct rows at first, so that looking for duplicates is given up; then the same rows again, and again.
    values, offsets = zipf(75_000, 74_000, seed=3)
    rows, half = len(offsets) - 1, 50_000
    lengths = np.diff(offsets)
    order = np.concatenate([np.arange(half), np.arange(half), np.arange(500).repeat(60), np.arange(rows)])
    starts = np.concatenate([[0], np.cumsum(lengths[order])])
    index = np.repeat(offsets[order] - starts[:-1], lengths[order]) + np.arange(starts[-1])
    expected = count_sequences_reference(values[index], starts)
    for threads in (1, 3):
        same(count_sequences(values[index], starts, threads=threads), expected)


def test_long_sequences_fill_the_front() -> None:
    rng = np.random.default_rng(5)
    long = rng.integers(0, 256, (40, 500_000), dtype=np.uint8)
    order = np.concatenate([np.arange(40), np.arange(40)])
    found = count_sequences(long[order].reshape(-1), np.arange(81) * 500_000)
    assert found.inverse is not None
    assert found.inverse.tolist() == order.tolist()
    assert found.counts.tolist() == [2] * 40


def test_sequences_that_defeat_the_quick_hash_are_slow_but_right() -> None:
    # A word equal to the constant that it is combined with makes a factor zero, and all that came before is
    # lost in that chain. Here both are: these rows, of one length and one tail, have one 64-bit hash.
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 2**63, (400, 8), dtype=np.uint64)
    rows[:, 4] = 0xBB67AE8584CAA73B
    rows[:, 6] = 0xA54FF53A5F1D36F1
    rows[200:] = rows[:200]
    values = rows.reshape(-1).view(np.uint8)
    offsets = np.arange(401) * 64
    for threads in (1, 2):
        same(count_sequences(values, offsets, threads=threads), count_sequences_reference(values, offsets))


def test_sliced_values_and_strided_arrays() -> None:
    values, offsets = zipf(500, 30)
    expected = count_sequences(values, offsets)
    padded = np.concatenate([[9, 9, 9], values, [1, 1]]).astype(np.int32)
    same(count_sequences(padded, offsets + 3), expected)
    same(count_sequences(np.repeat(values, 2)[::2], offsets), expected)
    same(count_sequences(values.astype(">i4"), offsets), expected)


def test_agrees_with_arrow_on_text() -> None:
    texts = pa.array(
        ["heads", "Heads", "", "tails", "heads", "été", "", "e\u0301te\u0301"] * 50, pa.large_string()
    )
    values = np.frombuffer(texts.buffers()[2], np.uint8)
    offsets = np.frombuffer(texts.buffers()[1], np.int64)
    found = count_sequences(values, offsets)
    encoded = texts.dictionary_encode()
    assert found.inverse is not None
    assert found.inverse.tolist() == encoded.indices.to_pylist()
    assert texts.take(pa.array(found.first)).equals(encoded.dictionary)


def test_nothing() -> None:
    for values in (np.zeros(0, np.uint8), np.zeros(0, np.int32), []):
        found = count_sequences(values, [0])
        assert found.inverse is not None
        assert (len(found.inverse), found.distinct, len(found.counts)) == (0, 0, 0)
    assert count_sequences([], [0, 0, 0]).counts.tolist() == [2]


@pytest.mark.parametrize(
    ("values", "offsets", "words"),
    [
        ([1, 2], [], "at least one"),
        ([1, 2], [0, 3], "there are 2 values"),
        ([1, 2], [0, 2, 1], r"offsets\[2\] = 1 is below the offset"),
        ([1, 2], [-1, 2], "below zero"),
        ([1, 2], [2**62, 2**62 + 1], "there are 2 values"),
        ([1.5], [0, 1], "integers"),
        (["a"], [0, 1], "integers"),
        ([[1, 2]], [0, 1], "one dimension"),
        ([1, 2], [[0, 1]], "one dimension"),
        ([1, 2], [0.0, 1.0], "integers"),
        ([[1], [1, 2]], [0, 1], "not an array"),
        ([1], np.array([0, 2**63], np.uint64), "larger than int64"),
    ],
)
def test_refusals(values: object, offsets: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        count_sequences(values, offsets)  # type: ignore[arg-type]


def test_negative_threads() -> None:
    with pytest.raises(SettingsError, match="negative"):
        count_sequences([1], [0, 1], threads=-1)


def test_many_callers_at_once() -> None:
    values, offsets = zipf(20_000, 2_000)
    expected = count_sequences_reference(values, offsets)
    found: list[SequenceCounts] = []
    callers = [
        threading.Thread(target=lambda: found.append(count_sequences(values, offsets, threads=2)))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 4
    for one in found:
        same(one, expected)


def test_results_are_an_arrow_table() -> None:
    table = pa.table(crystal.count_sequences([3, 3, 4], [0, 1, 2, 3]))
    assert table.to_pydict() == {"first": [0, 2], "count": [2, 1]}
