"""Near-duplicate clusters: only what similar pairs connect is joined, and nearly all such pairs are found."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from crystal.errors import InputError, SettingsError
from crystal.ops.minhash import jaccard, shingle_set
from crystal.ops.near_duplicates import NearDuplicates, near_duplicates, near_duplicates_reference
from crystal.states.count_table import CountTable

QUICK = settings(max_examples=80, deadline=None)
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]


def planted(texts: int, seed: int = 0, words: int = 30) -> list[str]:
    """Return texts of which most are another one with a few words changed, in random order."""
    rng = np.random.default_rng(seed)
    rows: list[list[str]] = []
    while len(rows) < texts:
        if not rows or rng.random() < 0.2:
            rows.append([WORDS[i] for i in rng.integers(0, len(WORDS), words)])
            continue
        row = list(rows[rng.integers(0, len(rows))])
        for _ in range(rng.integers(0, 4)):
            row[rng.integers(0, words)] = WORDS[rng.integers(0, len(WORDS))]
        rows.append(row)
    return [" ".join(rows[i]) for i in rng.permutation(texts)]


def similarities(sets: list[set[Any]]) -> Any:
    """Return the Jaccard similarity of each pair of sets."""
    numbers = {shingle: i for i, shingle in enumerate(sorted(set().union(*sets)))}
    holds = np.zeros((len(sets), len(numbers)), np.float32)
    for row, some in zip(holds, sets, strict=True):
        row[[numbers[shingle] for shingle in some]] = 1
    shared = (holds @ holds.T).astype(np.float64)
    sizes = np.diag(shared)
    return shared / (sizes[:, None] + sizes - shared)


def refines(fine: Any, coarse: Any) -> bool:
    """Whether each cluster of `fine` lies within one of `coarse`."""
    pairs = set(zip(np.asarray(fine).tolist(), np.asarray(coarse).tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs})


def check(found: NearDuplicates, rows: int) -> None:
    """Hold what is returned to its own description."""
    assert len(found.inverse) == rows
    assert np.array_equal(np.bincount(found.inverse, minlength=found.clusters), found.counts)
    _, first = np.unique(found.inverse, return_index=True)
    assert np.array_equal(first, found.first)
    assert np.all(np.diff(found.first) > 0)
    assert found.clusters <= found.distinct <= rows


@pytest.mark.parametrize(
    ("threshold", "n", "unit"),
    [(0.8, 5, "character"), (0.5, 5, "character"), (0.6, 3, "word"), (1.0, 2, "word")],
)
def test_recall_and_precision_against_all_pairs(threshold: float, n: int, unit: Any) -> None:
    texts = planted(500)
    found = near_duplicates(texts, threshold, n=n, unit=unit, threads=1)
    check(found, len(texts))
    similar = similarities([shingle_set(text, n, unit) for text in texts]) >= threshold
    _, truth = connected_components(similar)
    assert refines(found.inverse, truth)  # nothing is joined that similar pairs do not connect
    i, j = np.nonzero(np.triu(similar, 1))
    assert len(i) > 100
    assert np.mean(found.inverse[i] == found.inverse[j]) >= 0.99
    assert found.unchecked == 0


def test_recall_of_pairs_just_above_the_threshold() -> None:
    """Pairs alone, no chain to help them: 60 shingles of which 54 (J = 0.818) are shared."""
    rng = np.random.default_rng(3)
    pairs = 3000
    rows = rng.permutation(pairs * 66).reshape(pairs, 66)
    values = np.stack([rows[:, :60], np.concatenate([rows[:, :54], rows[:, 60:]], axis=1)], axis=1)
    offsets = np.arange(2 * pairs + 1) * 60
    found = near_duplicates((values.reshape(-1).astype(np.int32), offsets), 0.8, n=1)
    joined = found.inverse[::2] == found.inverse[1::2]
    assert joined.mean() >= 0.998
    assert found.clusters == 2 * pairs - joined.sum()  # and nobody else's


def test_pairs_just_below_the_threshold_stay_apart() -> None:
    shared = list(range(80))
    rows = [[*shared, *range(100 + 1000 * i, 110 + 1000 * i)] for i in range(50)]  # J = 0.8 exactly
    values, offsets = np.concatenate(rows).astype(np.int32), np.arange(51) * 90
    assert near_duplicates((values, offsets), 0.8, n=1).clusters == 1
    assert near_duplicates((values, offsets), np.nextafter(0.8, 1), n=1).clusters == 50


@QUICK
@given(
    st.lists(st.text("ab \u00e9", max_size=9), max_size=12),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    st.integers(1, 4),
    st.sampled_from(["character", "word"]),
)
def test_only_what_similar_pairs_connect_is_joined(
    texts: list[str], threshold: float, n: int, unit: Any
) -> None:
    found = near_duplicates(texts, threshold, n=n, unit=unit, threads=2)
    check(found, len(texts))
    truth = near_duplicates_reference(texts, threshold, n=n, unit=unit)
    assert refines(found.inverse, truth)
    assert found.distinct == len(set(texts))
    for i, j in combinations(range(len(texts)), 2):
        sets = [shingle_set(texts[k], n, unit) for k in (i, j)]
        if sets[0] == sets[1]:
            assert found.inverse[i] == found.inverse[j]  # equal sets agree in every band


def test_any_order_any_threads_any_memory() -> None:
    texts = planted(4000, seed=5)
    found = near_duplicates(texts, 0.7, threads=1)
    for more in ({"threads": 3}, {"threads": 1, "key_bytes": 1}, {"threads": 2, "key_bytes": 50_000}):
        again = near_duplicates(texts, 0.7, **more)
        for field in ("inverse", "first", "counts"):
            assert getattr(again, field).tobytes() == getattr(found, field).tobytes()
        assert (again.compared, again.unchecked) == (found.compared, found.unchecked)
    order = np.random.default_rng(0).permutation(len(texts))
    moved = near_duplicates([texts[i] for i in order], 0.7)
    assert moved.clusters == found.clusters
    assert refines(moved.inverse, found.inverse[order])
    assert (moved.compared, moved.unchecked) == (found.compared, found.unchecked)


def test_shards_merge_to_the_same_clusters() -> None:
    """The state that shards merge is the table of distinct texts; clusters are what it is read as."""
    texts = planted(300, seed=8)
    whole = CountTable(("text",))
    whole.update({"text": texts})
    merged = CountTable(("text",))
    for shard in (texts[200:], texts[:50], texts[50:200]):
        part = CountTable(("text",))
        part.update({"text": shard})
        merged.merge(part)
    a, b = (table.result()["text"].combine_chunks().cast(pa.large_string()) for table in (whole, merged))
    assert near_duplicates(a).inverse.tobytes() == near_duplicates(b).inverse.tobytes()
    direct = near_duplicates(texts)
    cluster = dict(zip(a.to_pylist(), near_duplicates(a).inverse.tolist(), strict=True))
    assert refines([cluster[text] for text in texts], direct.inverse)
    assert near_duplicates(a).clusters == direct.clusters


def test_a_chain_is_one_cluster() -> None:
    rows = [list(range(i, i + 20)) for i in range(0, 20, 2)]  # neighbours share 18 of 22
    values, offsets = np.concatenate(rows), np.arange(11) * 20
    found = near_duplicates((values, offsets), 0.8, n=1)
    assert found.clusters == 1
    assert jaccard(set(rows[0]), set(rows[-1])) < 0.1


def test_nearly_equal_texts_cost_about_a_comparison_each() -> None:
    rows = 60_000
    texts = pa.array([f"every one of these many samples is the very same but for {i}" for i in range(rows)])
    found = near_duplicates(texts, 0.7)
    assert (found.clusters, found.distinct, found.unchecked) == (1, rows, 0)
    assert found.compared < 4 * rows


def test_one_template_for_unlike_texts_is_no_square() -> None:
    """All share two thirds of their shingles, so every band is crowded, and no pair is similar enough."""
    rows, shared = 1800, 40
    rng = np.random.default_rng(0)
    own = rng.permutation(rows * 10).reshape(rows, 10) + 1000
    values = np.concatenate([np.tile(np.arange(shared), (rows, 1)), own], axis=1)
    found = near_duplicates((values.reshape(-1), np.arange(rows + 1) * 50), 0.7, n=1)
    assert found.clusters == rows
    assert found.compared <= found.bands * 256 * rows
    assert found.unchecked > 0


def test_hostile_texts() -> None:
    assert near_duplicates([]).clusters == 0
    assert near_duplicates(["", "", "a", "ab", ""]).inverse.tolist() == [0, 0, 1, 2, 0]
    rows = [b"\xff\xfe\xff", b"\xff\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\0\0", b""]
    data = np.frombuffer(b"".join(rows), np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    assert near_duplicates((data, offsets)).inverse.tolist() == [0, 0, 1, 2, 3, 4]
    long = "abcdefghij" * 30_000
    assert near_duplicates([long, long + "k", "b"], 0.8, n=2).inverse.tolist() == [0, 0, 1]
    assert near_duplicates(["a b", "a  b", " a b\n"], unit="word").clusters == 1


@pytest.mark.parametrize(
    ("texts", "more", "error", "message"),
    [
        (["a", None], {}, InputError, "text 1"),
        ([1, 2], {}, InputError, "no texts|strings"),
        (3, {}, InputError, "no texts"),
        (([1.5], [0, 1]), {}, InputError, "integers"),
        (([1], [0, 1 << 62]), {}, InputError, "there are 1 values"),
        (([1], [0, 1]), {"unit": "word"}, SettingsError, "uint8"),
        (["a"], {"threshold": 0.0}, SettingsError, "above 0"),
        (["a"], {"threshold": float("nan")}, SettingsError, "above 0"),
        (["a"], {"threshold": 1.1}, SettingsError, "above 0"),
        (["a"], {"recall": 1.0}, SettingsError, "between 0 and 1"),
        (["a"], {"n": 0}, SettingsError, "at least one unit"),
        (["a"], {"key_bytes": 0}, SettingsError, "memory"),
        (["a"], {"threads": -1}, SettingsError, "negative"),
    ],
)
def test_refusals(texts: Any, more: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        near_duplicates(texts, **more)


def test_invalid_utf8_in_an_arrow_column_is_refused() -> None:
    column = pa.Array.from_buffers(
        pa.large_string(), 1, [None, pa.py_buffer(np.array([0, 1])), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(InputError, match="UTF"):
        near_duplicates(column)


def test_results_are_arrow() -> None:
    table = pa.table(near_duplicates(["a", "b", "a"]))
    assert table.to_pydict() == {"first": [0, 1], "count": [2, 1]}
