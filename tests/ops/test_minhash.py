"""MinHash signatures: unbiased, decided by the set of shingles alone, the same on every path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import InputError, SettingsError
from crystal.ops.core import load
from crystal.ops.minhash import banding, jaccard, minhash, shingle_set, signature_similarity

QUICK = settings(max_examples=60, deadline=None)
WORDY = st.text(st.sampled_from("ab \t\n\u3000\x1c\u00e9\u4e2d\U0001f600"), max_size=12)


def ragged(rows: Sequence[Any], dtype: Any = np.int32) -> tuple[Any, Any]:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return np.concatenate([np.asarray(list(row), dtype) for row in rows] or [np.zeros(0, dtype)]), offsets


def signed(rows: Sequence[Any], n: int, dtype: Any = np.int32, **more: Any) -> Any:
    return minhash(*ragged(rows, dtype), n=n, threads=1, **more)


@pytest.mark.parametrize(("shared", "only"), [(0, 4), (1, 3), (3, 1), (8, 2), (30, 10), (18, 1)])
def test_the_share_of_equal_places_is_unbiased(shared: int, only: int) -> None:
    truth = shared / (shared + 2 * only)
    rows = [
        [*range(shared), *range(1000, 1000 + only)],
        [*range(shared), *range(2000, 2000 + only)],
    ]
    seeds = 1500
    found = np.array(
        [a == b for a, b in (signed(rows, 1, permutations=32, seed=seed) for seed in range(seeds))]
    )
    for places in (found, found[:, :16], found[:, 16:], found[:, :1]):  # minima, maxima, a single place
        means = places.mean(axis=1)
        assert abs(means.mean() - truth) <= 4.5 * means.std() / math.sqrt(seeds)
    # Not only unbiased: no more spread than independent places would have.
    assert found.mean(axis=1).var() <= 1.15 * truth * (1 - truth) / 32


def test_similarity_of_longer_texts() -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(0, 50_000, 6000)
    other = text.copy()
    other[rng.integers(0, 6000, 300)] = 77
    truth = jaccard(shingle_set(text.tolist(), 3), shingle_set(other.tolist(), 3))
    a, b = signed([text, other], 3, permutations=2048)
    assert abs(signature_similarity(a, b) - truth) < 5 * math.sqrt(truth * (1 - truth) / 2048)


@QUICK
@given(
    st.lists(st.lists(st.integers(-3, 3), max_size=9), min_size=1, max_size=8),
    st.integers(1, 4),
    st.sampled_from([1, 2, 31, 64, 65, 128, 130]),
)
def test_the_set_of_shingles_decides_on_every_path(rows: list[list[int]], n: int, places: int) -> None:
    found = signed(rows, n, permutations=places)
    assert found.shape == (len(rows), places)
    assert np.array_equal(found, signed(rows, n, permutations=places, path="scalar"))
    if load().minhash_path_available("avx2"):
        assert np.array_equal(found, signed(rows, n, permutations=places, path="avx2"))
    sets = [shingle_set(row, n) for row in rows]
    for i, one in enumerate(sets):
        for j, other in enumerate(sets):
            if one == other:
                assert np.array_equal(found[i], found[j])
            elif not one & other and places >= 64:
                assert signature_similarity(found[i], found[j]) < 0.2


@QUICK
@given(st.lists(st.binary(max_size=8) | WORDY.map(str.encode), min_size=1, max_size=6), st.integers(1, 3))
def test_characters_are_code_points(texts: list[bytes], n: int) -> None:
    found = signed(texts, n, np.uint8)
    # A byte that is no character is U+110000 and what it is, past all code points.
    points = [
        [ord(c) + 0x110000 - 0xDC00 if 0xDC80 <= ord(c) < 0xDD00 else ord(c) for c in text]
        for text in (text.decode("utf-8", "surrogateescape") for text in texts)
    ]
    assert np.array_equal(found, signed(points, n))
    elements = signed(texts, n, np.uint8, unit="element")
    assert np.array_equal(elements, signed([list(text) for text in texts], n))


@QUICK
@given(st.lists(WORDY, min_size=2, max_size=6), st.integers(1, 3))
def test_words_are_those_of_split(texts: list[str], n: int) -> None:
    found = signed([text.encode() for text in texts], n, np.uint8, unit="word")
    plain = signed([" ".join(text.split()).encode() for text in texts], n, np.uint8, unit="word")
    assert np.array_equal(found, plain)
    sets = [shingle_set(text, n, "word") for text in texts]
    for i, one in enumerate(sets):
        assert [np.array_equal(found[i], other) for other in found] == [one == other for other in sets]


@pytest.mark.parametrize("distinct", [3, 2000])  # the first takes the way of data with many equal rows
def test_rows_are_signed_one_by_one_whatever_stands_beside_them(distinct: int) -> None:
    rng = np.random.default_rng(1)
    kinds = [rng.integers(0, 9, rng.integers(0, 12)) for _ in range(distinct)]
    rows = [kinds[i] for i in rng.integers(0, distinct, 1500)]
    found = signed(rows, 2)
    for threads in (2, 5):
        assert np.array_equal(found, minhash(*ragged(rows), n=2, threads=threads))
    for i in range(0, 1500, 97):
        assert np.array_equal(found[i], signed([rows[i]], 2)[0])


def test_what_belongs_to_no_row_changes_nothing() -> None:
    values = np.array([9, 9, 1, 2, 3, 8], np.int64)
    assert np.array_equal(minhash(values, [2, 5], n=2), signed([[1, 2, 3]], 2))
    assert np.array_equal(minhash(values[1:], np.array([1, 4], np.uint64), n=2), signed([[1, 2, 3]], 2))


def test_values_are_pinned() -> None:
    """Signatures may be kept: they do not change with the machine."""
    assert signed([[1, 2, 3], []], 2, permutations=4, seed=7).tolist() == PINNED
    assert signed([b"one two"], 1, np.uint8, permutations=2, unit="word").tolist() == PINNED_WORDS


PINNED = [[523779859, 463613276, 1071354164, 1869185225], [1383705631, 1631713837, 1383705631, 1631713837]]
PINNED_WORDS = [[176653523, 2623492067]]


def test_seeds_differ_and_empty_data_are_fine() -> None:
    assert signature_similarity(signed([[1, 2]], 1, seed=0), signed([[1, 2]], 1, seed=1)) < 0.1
    assert minhash([], [0], n=3).shape == (0, 128)
    assert np.array_equal(*signed([[], []], 3))
    assert signature_similarity(*signed([[], [0]], 1)) == 0  # nothing is not one zero
    assert signature_similarity(*signed([[5], [0, 5]], 2)) == 0  # a short text is not the end of a long one
    assert signed([[1, 2, 3]], 2**31 - 1).shape == (1, 128)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"values": [1.5]}, InputError, "integers"),
        ({"values": np.array([1 << 40])}, InputError, "int32"),
        ({"offsets": [0, 2]}, InputError, "there are 1 values"),
        ({"offsets": [1, 0]}, InputError, "below"),
        ({"offsets": [-1, 1]}, InputError, "below zero"),
        ({"offsets": [0, 1 << 62]}, InputError, "there are 1 values"),
        ({"offsets": np.array([0, 1 << 63], np.uint64)}, InputError, "larger than int64"),
        ({"offsets": []}, InputError, "at least one entry"),
        ({"n": 0}, SettingsError, "at least one unit"),
        ({"n": 1 << 31}, SettingsError, "at least one unit"),
        ({"permutations": 0}, SettingsError, "1 to 65536"),
        ({"permutations": 1 << 17}, SettingsError, "1 to 65536"),
        ({"seed": -1}, SettingsError, "seed"),
        ({"threads": -1}, SettingsError, "negative"),
        ({"unit": "byte"}, SettingsError, "element, character, word"),
        ({"unit": "word"}, SettingsError, "values of uint8"),
        ({"path": "gpu"}, SettingsError, "path"),
    ],
)
def test_refusals(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"values": [1], "offsets": [0, 1], "n": 1} | change
    with pytest.raises(error, match=message):
        minhash(**arguments)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("recall", [0.9, 0.999])
def test_banding_reaches_the_recall(threshold: float, recall: float) -> None:
    bands, rows = banding(threshold, recall)
    assert 1 - (1 - threshold**rows) ** bands >= recall
    assert bands * rows <= 128 or rows == 2
