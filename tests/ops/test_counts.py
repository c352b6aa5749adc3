from __future__ import annotations

import struct
import threading
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import InputError, StateError
from crystal.ops import counts as ops
from crystal.ops.core import load

KEY = st.none() | st.text(max_size=3)


def filled(rows: list[tuple[str | None, ...]], values: list[int] | None = None) -> Any:
    names = [f"c{i}" for i in range(len(rows[0]))]
    table = ops.new(names)
    numbers = None if values is None else np.array(values, np.int64)
    ops.update(table, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), numbers)
    return table


def as_dict(table: Any) -> dict[tuple[str | None, ...], int]:
    columns = [column.to_pylist() for column in ops.rows(table).columns]
    return {tuple(row[:-1]): row[-1] for row in zip(*columns, strict=True)}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.data())
def test_counts_are_those_of_a_counter(width: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(*[KEY] * width), min_size=1, max_size=60))
    weights = data.draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows)))
    table = filled(rows)
    assert as_dict(table) == Counter(rows)
    assert table.total == len(rows)
    expected: Counter[tuple[str | None, ...]] = Counter()
    for row, weight in zip(rows, weights, strict=True):
        expected[row] += weight
    assert as_dict(filled(rows, weights)) == +expected


def test_many_rows_in_many_batches() -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, [3, 50, 8, 2000], size=(50_000, 4)).astype(np.int32)
    names = ["a", "b", "c", "d"]
    texts = [pa.array([f"{name}{i}" for i in range(2000)]) for name in names]
    table = ops.new(names)
    for part in np.array_split(index, 7):
        columns = [pa.DictionaryArray.from_arrays(part[:, i].copy(), texts[i]) for i in range(4)]
        ops.update(table, dict(zip(names, columns, strict=True)))
    keys, counts = np.unique(index, axis=0, return_counts=True)
    rows = ops.rows(table)
    got = np.stack([np.array([int(text[1:]) for text in rows[name].to_pylist()]) for name in names], axis=1)
    order = np.lexsort(got.T[::-1])
    np.testing.assert_array_equal(got[order], keys)
    np.testing.assert_array_equal(rows["count"].to_numpy()[order], counts)


@pytest.mark.parametrize("rows", [4_095, 4_096, 20_000])
def test_rows_that_are_equal_within_a_batch_are_put_once(rows: int) -> None:
    """A large batch is counted by itself first; with counts given it is not: both are the same table."""
    rng = np.random.default_rng(rows)
    columns = {
        "task": pa.array(rng.integers(0, 5, rows).astype(str)),
        "option": pa.array(np.where(rng.random(rows) < 0.1, None, rng.integers(0, 9, rows).astype(str))),
    }
    once, ones = ops.new(["task", "option"]), ops.new(["task", "option"])
    ops.update(once, columns)
    ops.update(ones, columns, np.ones(rows, np.int64))
    assert once.to_bytes() == ones.to_bytes()
    assert once.total == rows
    assert once.rows == 50


def test_rows_of_count_0_leave_no_trace() -> None:
    table = filled([("x", "a"), ("y", "b")], [0, 2])
    assert as_dict(table) == {("y", "b"): 2}
    assert ops.rows(table)["c0"].combine_chunks().dictionary.to_pylist() == ["y"]
    assert table.to_bytes() == filled([("y", "b")], [2]).to_bytes()


def test_texts_that_no_row_uses_leave_no_trace() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([1], pa.int32()), pa.array(["unused", "used"]))
    table = ops.new(["c0"])
    ops.update(table, {"c0": column})
    assert table.to_bytes() == filled([("used",)]).to_bytes()


def test_one_text_twice_in_a_dictionary_is_one_text() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["same", "same"]))
    table = ops.new(["c0"])
    ops.update(table, {"c0": column})
    assert as_dict(table) == {("same",): 2}


@pytest.mark.parametrize(
    "texts", [("", "\0", "\0\0", "\0" * 16, "\0" * 17), tuple("a" * n for n in range(40))]
)
def test_texts_that_look_alike_are_told_apart(texts: tuple[str, ...]) -> None:
    assert as_dict(filled([(text,) for text in texts])) == {(text,): 1 for text in texts}


def test_no_value_is_not_the_empty_text() -> None:
    assert as_dict(filled([("x", None), ("x", "")])) == {("x", None): 1, ("x", ""): 1}


def test_canonical_rows_come_in_one_order() -> None:
    rows = [(f"t{i % 7}", f"o{i % 31}") for i in range(500)]
    one, other = ops.rows(filled(rows)), ops.rows(filled(rows[::-1]))
    assert one.equals(other)
    index = np.stack([one[name].combine_chunks().indices.to_numpy() for name in ("c0", "c1")], axis=1)
    assert (np.lexsort(index.T[::-1]) == np.arange(len(index))).all()


def test_order_is_the_same_in_small_and_large_tables() -> None:
    """Few rows are sorted by comparison and many by digits; one order must come out."""
    small = [(f"t{i % 5}", None if i % 3 else f"o{i}") for i in range(200)]
    large = small + [("u", f"p{i}") for i in range(2000)]
    kept = [row for row in as_dict(filled(large)) if row[0] != "u"]
    assert kept == list(as_dict(filled(small)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(KEY, KEY), min_size=1), st.lists(st.tuples(KEY, KEY), min_size=1))
def test_merge_adds_and_leaves_its_argument_alone(left: Any, right: Any) -> None:
    table, other = filled(left), filled(right)
    before = other.to_bytes()
    ops.merge(table, other)
    assert as_dict(table) == Counter(left) + Counter(right)
    assert other.to_bytes() == before


def test_a_table_merged_into_itself_doubles() -> None:
    table = filled([("a",), ("b",), ("a",)])
    ops.merge(table, table)
    assert as_dict(table) == {("a",): 4, ("b",): 2}


def test_merging_large_tables_takes_linear_time() -> None:
    """Tables that place keys alike fill one another from one end: this was minutes for 300,000 rows."""
    texts = pa.array([f"option {i}" for i in range(300_000)]).dictionary_encode()
    whole, rest, merged = ops.new(["c0"]), ops.new(["c0"]), ops.new(["c0"])
    ops.update(whole, {"c0": texts})
    ops.update(rest, {"c0": texts.slice(100_000)})
    for other in (whole, rest, ops.from_bytes(whole.to_bytes())):
        ops.merge(merged, other)
    assert merged.total == 800_000
    assert merged.rows == 300_000


def test_threads_may_share_a_table() -> None:
    table, other = ops.new(["c0"]), filled([("x",)])
    texts = [f"o{i % 100}" for i in range(2000)]

    def work() -> None:
        for _ in range(5):
            ops.update(table, {"c0": texts})
            ops.merge(table, other)
            ops.merge(other, filled([("x",)]))
            table.to_bytes()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.total == 21
    assert table.total > 4 * 5 * 2000


def test_memory_follows_distinct_rows() -> None:
    texts = pa.array([f"{i:08d}" for i in range(100_000)]).dictionary_encode()
    table = ops.new(["c0"])
    for _ in range(3):
        ops.update(table, {"c0": texts})
    assert 100_000 * (8 + 36) < table.nbytes < 100_000 * (8 * 9 / 8 + 48)
    assert ops.new(["c0"]).nbytes < 4_000


def test_a_distinct_row_with_a_text_of_its_own_costs_48_bytes_and_its_text() -> None:
    """At every size that a table grows through: 48 bytes at most, and the text with some room."""
    rng = np.random.default_rng(0)
    for length, room in ((16, 1.2), (200, 1.25)):
        table, text = ops.new(["task", "option"]), 0
        for start in range(0, 60_000, 3_000):
            sizes = rng.integers(length // 2, length + length // 2, 3_000).tolist()
            options = [f"{i:0{size}d}" for i, size in enumerate(sizes, start)]
            ops.update(table, {"task": ["coin"] * 3_000, "option": options})
            text += sum(sizes)
            assert table.rows == start + 3_000
            assert text + 36 * table.rows < table.nbytes < room * text + 48 * table.rows


def test_memory_and_bytes_are_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches above and below the size from which threads are used, with texts that repeat and do not."""
    rng = np.random.default_rng(1)
    found = []
    rows = [divmod(int(code), 40_000) for code in rng.integers(0, 9 * 40_000, 60_000)]
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("CRYSTAL_THREADS", threads)
        table, other = ops.new(["task", "option"]), ops.new(["task", "option"])
        for start, stop in ((0, 40_000), (40_000, 41_000), (41_000, 60_000)):
            columns = zip(*rows[start:stop], strict=True)
            tasks, options = ([f"text {i}" for i in column] for column in columns)
            ops.update(table, {"task": tasks, "option": options})
            ops.update(other, {"task": tasks[::-1], "option": options[::-1]})
        assert other.to_bytes() == table.to_bytes()
        assert ops.from_bytes(table.to_bytes()).to_bytes() == table.to_bytes()
        alone = (table.nbytes, table.to_bytes())
        ops.merge(table, other)
        found.append((*alone, table.nbytes, table.to_bytes()))
    assert found[0] == found[1] == found[2]
    assert table.total == 120_000


# What is refused, and that nothing has changed then.


def test_counts_out_of_range_are_refused() -> None:
    table = filled([("a",)], [2**63 - 2])
    before = table.to_bytes()
    with pytest.raises(StateError, match="negative: -1"):
        ops.update(table, {"c0": ["b"]}, np.array([-1]))
    with pytest.raises(StateError, match="leaves int64"):
        ops.update(table, {"c0": ["b", "c"]})
    with pytest.raises(StateError, match="leaves int64"):
        ops.update(table, {"c0": ["b"]}, np.array([2**63 - 1]))
    with pytest.raises(StateError, match="leaves int64"):
        ops.merge(table, filled([("b",)], [2]))
    assert table.to_bytes() == before
    ops.update(table, {"c0": ["b"]})
    assert as_dict(table) == {("a",): 2**63 - 2, ("b",): 1}


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        ({"c0": ["a"]}, None, "other columns"),
        ({"c0": ["a"], "c2": ["a"]}, None, "other columns"),
        ({"c0": ["a"], "c1": ["a", "b"]}, None, "differ in length"),
        ({"c0": ["a"], "c1": ["b"]}, np.array([1, 2]), "one value a row"),
        ({"c0": ["a"], "c1": ["b"]}, np.zeros(0, np.int64), "one value a row"),
        ({"c0": ["a"], "c1": ["b"]}, np.array([1.0]), "int64"),
    ],
)
def test_malformed_batches_are_refused(columns: Any, values: Any, message: str) -> None:
    table = filled([("x", "y")])
    before = table.to_bytes()
    with pytest.raises(StateError, match=message):
        ops.update(table, columns, values)
    assert table.to_bytes() == before


def test_columns_of_numbers_are_refused() -> None:
    with pytest.raises(InputError):
        ops.update(ops.new(["c0"]), {"c0": pa.array([1])})


@pytest.mark.parametrize("names", [[], ["a", "b", "c", "d", "e"]])
def test_a_table_has_one_to_four_columns(names: list[str]) -> None:
    with pytest.raises(StateError, match="one to four"):
        ops.new(names)


@pytest.mark.parametrize(
    ("indices", "offsets"),
    [
        ([2], [0, 1, 2]),
        ([-2], [0, 1, 2]),
        ([2**31 - 1], [0, 1, 2]),
        ([-(2**31)], [0, 1, 2]),
        ([1], [0, 3, 2]),
        ([1], [0, 1, 3]),
        ([0], [-1, 1, 2]),
        ([0], [1, 0, 2]),
        ([0], []),
    ],
)
def test_the_core_itself_checks_ragged_columns(indices: list[int], offsets: list[int]) -> None:
    table = load().KeyTable(False, ["c0"])
    column = (np.array(indices, np.int32), np.frombuffer(b"ab", np.uint8), np.array(offsets, np.int64))
    with pytest.raises(ValueError, match=r"index|offset|UTF"):
        table.update([column], None)
    assert table.rows == 0


def test_texts_of_a_foreign_dictionary_are_checked_where_rows_use_them() -> None:
    offsets = pa.py_buffer(np.array([0, 2, 3], np.int64))
    texts = pa.Array.from_buffers(pa.large_string(), 2, [None, offsets, pa.py_buffer(b"\xff\xfea")])
    table = ops.new(["c0"])
    ops.update(table, {"c0": pa.DictionaryArray.from_arrays(pa.array([1], pa.int32()), texts)})
    assert as_dict(table) == {("a",): 1}
    with pytest.raises(StateError, match="not UTF-8"):
        ops.update(table, {"c0": pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), texts)})
    assert as_dict(table) == {("a",): 1}


def test_the_core_makes_no_silent_copies() -> None:
    table = load().KeyTable(False, ["c0"])
    column = (np.array([0], np.int64), np.frombuffer(b"ab", np.uint8), np.array([0, 2], np.int64))
    with pytest.raises(TypeError):
        table.update([column], None)


# Hostile bytes.


@pytest.fixture(scope="module")
def good() -> bytes:
    rows = [("ladder", f"task {i % 3}", None if i % 4 == 0 else f"option {i % 5}") for i in range(40)]
    return bytes(filled(rows).to_bytes())


def reseal(data: bytearray) -> bytes:
    """Give changed bytes a right checksum, so that what lies behind it is reached."""
    return bytes(data[:-16]) + seal(bytes(data[:-16]))


def seal(data: bytes) -> bytes:
    """The 128-bit hash again, in plain Python."""
    mask = 2**64 - 1
    turn = lambda x, k: ((x << k) | (x >> (64 - k))) & mask  # noqa: E731

    def mix(x: int) -> int:
        x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93 & mask
        x = (x ^ (x >> 29)) * 0xA0761D6478BD642F & mask
        return x ^ (x >> 32)

    a, b = 0x243F6A8885A308D3, 0x13198A2E03707344
    blocks = max(1, -(-len(data) // 16))
    for first, second in struct.iter_unpack("<QQ", data.ljust(16 * blocks, b"\0")):
        a = (a ^ first) * 0xA4093822299F31D1 & mask
        b = (b ^ second) * 0x082EFA98EC4E6C89 & mask
        a, b = a ^ (a >> 32), b ^ (b >> 29)
        a = (a + turn(b, 23)) & mask
        b ^= turn(a, 41)
    b ^= len(data)
    a = mix((a + turn(b, 17)) & mask)
    b = mix(b ^ a)
    a = mix((a + b) & mask)
    return struct.pack("<QQ", a, b)


def test_the_checksum_is_the_documented_hash(good: bytes) -> None:
    assert seal(good[:-16]) == good[-16:]


def test_the_format_does_not_drift() -> None:
    """A file that is written today must be read by every later build: these bytes are fixed."""
    table = filled([("a", "x"), ("a", None), ("b", "x")], [1, 2, 3])
    data = table.to_bytes()
    assert data[:16] == b"CRYSTBL\x01" + struct.pack("<II", 1, 2)
    assert data[16:40] == struct.pack("<QQQ", 3, 6, 0)
    assert seal(b"").hex() == "89c2434c145922f4f286f307029ca195"
    assert data[-16:].hex() == "71ee5a557e325c3fb88344b698026957"
    assert ops.from_bytes(data).to_bytes() == data


def test_every_truncation_is_refused(good: bytes) -> None:
    for size in range(len(good)):
        with pytest.raises(StateError):
            ops.from_bytes(good[:size])
    with pytest.raises(StateError):
        ops.from_bytes(good + b"\0")


def test_every_flipped_bit_is_refused(good: bytes) -> None:
    for at in range(len(good)):
        data = bytearray(good)
        data[at] ^= 1 << (at % 8)
        with pytest.raises(StateError):
            ops.from_bytes(bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_under_a_right_checksum_are_refused_or_canonical(data: st.DataObject) -> None:
    rows = [("ladder", f"task {i % 3}", None if i % 4 == 0 else f"option {i % 5}") for i in range(40)]
    changed = bytearray(filled(rows).to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 17))
        if data.draw(st.booleans()):
            changed[at] = data.draw(st.integers(0, 255))
        else:
            word = data.draw(st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]))
            at = min(at // 8 * 8, len(changed) - 24)
            changed[at : at + 8] = struct.pack("<Q", word)
    sealed = reseal(changed)
    try:
        table = ops.from_bytes(sealed)
    except StateError:
        return
    assert table.to_bytes() == sealed
    ops.rows(table).validate(full=True)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for data in (noise, b"CRYSTBL\x01" + noise, reseal(bytearray(b"CRYSTBL\x01" + noise + b"\0" * 16))):
        with pytest.raises(StateError):
            ops.from_bytes(data)


def test_another_version_is_named(good: bytes) -> None:
    with pytest.raises(StateError, match="format version 2"):
        ops.from_bytes(good[:7] + b"\x02" + good[8:])


NO_TEXT = [
    b"\xff\xfe",
    b"\xc3",
    b"\x80",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xf8\x88\x80\x80",
]
TEXT = ["\x7f\x80", "é߿ࠀ", "\ud7ff\ue000\uffff", "\U00010000\U0010ffff"]


@pytest.mark.parametrize("raw", NO_TEXT + [text.encode() for text in TEXT])
def test_text_that_is_not_utf8_is_refused(raw: bytes) -> None:
    size = len(raw)
    data = bytearray(filled([("a" * size,)]).to_bytes())
    at = data.index(b"a" * size)
    data[at : at + size] = raw
    sealed = reseal(data)
    try:
        raw.decode()
    except UnicodeDecodeError:
        with pytest.raises(StateError, match="UTF"):
            ops.from_bytes(sealed)
    else:
        assert as_dict(ops.from_bytes(sealed)) == {(raw.decode(),): 1}


def test_names_of_columns_are_text_and_differ() -> None:
    data = bytearray(filled([("x",)]).to_bytes())
    at = data.index(b"c0")
    data[at : at + 2] = b"\xff\xfe"
    with pytest.raises(StateError, match="name of a column"):
        ops.from_bytes(reseal(data))
    with pytest.raises(StateError, match="one name: a"):
        ops.new(["a", "b", "a"])
