"""Sequence and n-gram tables against dictionaries, past a budget, with a full disk, hostile bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import InputError, SettingsError, StateError
from crystal.ops.ngrams import ngram_counts
from crystal.ops.sequences import count_sequences
from crystal.states import runs
from crystal.states.ngram_table import NgramTable
from crystal.states.sequence_table import SequenceTable

FULL = os.environ.get("CRYSTAL_FULL_FAULTS") == "1"
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 2), max_size=5)), max_size=40)


def ragged(rows: list[list[int]], dtype: Any = np.int32) -> tuple[Any, Any]:
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.array([x for row in rows for x in row], dtype), offsets


def spectra(truth: Counter[Any]) -> Counter[Any]:
    return Counter((cell, count) for (cell, _), count in truth.items())


def found(table: SequenceTable) -> Counter[Any]:
    rows = table.result().to_pylist()
    return Counter({(row["cell"], row["count"]): row["sequences"] for row in rows})


def filled(rows: list[tuple[str, list[int]]], table: SequenceTable) -> SequenceTable:
    if rows:
        table.update(*ragged([row for _, row in rows]), {"cell": [cell for cell, _ in rows]})
    return table


def random_rows(count: int, seed: int = 0, kinds: int = 50) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 6, count))]).astype(np.int64)
    return rng.integers(0, kinds, offsets[-1]).astype(np.int32), offsets


@pytest.mark.parametrize("verify", [True, False])
@settings(deadline=None)
@given(rows=ROWS)
def test_counts_are_those_of_a_dictionary(verify: bool, rows: list[tuple[str, list[int]]]) -> None:
    table = filled(rows, SequenceTable(("cell",), verify=verify))
    truth = Counter((cell, tuple(row)) for cell, row in rows)
    assert (len(table), table.total, bool(table)) == (len(truth), len(rows), bool(rows))
    assert found(table) == spectra(truth)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@settings(deadline=None)
@given(rows=ROWS)
def test_no_ngram_crosses_the_end_of_a_sample(n: int, rows: list[tuple[str, list[int]]]) -> None:
    table = filled(rows, NgramTable(n, ("cell",)))
    truth = Counter((cell, tuple(row[i : i + n])) for cell, row in rows for i in range(len(row) - n + 1))
    assert (len(table), table.total) == (len(truth), truth.total())
    assert found(table) == spectra(truth)


def test_by_hand() -> None:
    table = SequenceTable(elements="text")
    table.update(np.frombuffer(b"yesnoyes", np.uint8), [0, 3, 5, 8, 8], counts=[1, 2, 3, 0])
    assert table.result().to_pydict() == {"count": [2, 4], "sequences": [1, 1]}
    assert table.total == 6
    assert SequenceTable().result().num_rows == 0


def test_spectra_agree_with_the_plain_operations() -> None:
    values, offsets = random_rows(20_000)
    table, ngrams = SequenceTable(threads=1), NgramTable(3, threads=2)
    table.update(values, offsets)
    ngrams.update(values, offsets)
    expected = Counter(count_sequences(values, offsets).counts.tolist())
    assert (
        dict(zip(*(table.result()[c].to_pylist() for c in ("count", "sequences")), strict=True)) == expected
    )
    plain = ngram_counts(values, offsets, 3)
    assert ngrams.result()["count"].to_pylist() == plain.counts.tolist()
    assert ngrams.result()["sequences"].to_pylist() == plain.ngrams.tolist()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("celled", [False, True])
def test_ngrams_of_equal_samples_are_the_ngrams_of_each(celled: bool, weighted: bool) -> None:
    """Where many are equal they are found first: the same bytes as of blocks too small to look for them."""
    values, offsets = random_rows(3_000, kinds=40)
    rng = np.random.default_rng(1)
    cells = rng.integers(0, 3, 3_000).astype(str).tolist()
    counts = rng.integers(0, 4, 3_000)
    whole, parts = (NgramTable(2, ("cell",) if celled else ()) for _ in range(2))
    for table, step in ((whole, 3_000), (parts, 50)):
        for at in range(0, 3_000, step):
            table.update(
                values,
                offsets[at : at + step + 1],
                {"cell": cells[at : at + step]} if celled else None,
                counts=counts[at : at + step] if weighted else None,
            )
    assert whole.to_bytes() == parts.to_bytes()
    assert whole.total == parts.total


@pytest.mark.parametrize("make", [SequenceTable, lambda **more: NgramTable(2, **more)])
def test_the_same_bytes_past_the_budget_and_for_any_threads(make: Any, tmp_path: Path) -> None:
    parts = [random_rows(30_000, seed, 300) for seed in range(4)]
    whole = make(threads=1)
    small = [make(memory=1 << 20, folder=tmp_path, threads=2) for _ in range(2)]
    for at, part in enumerate(parts):
        whole.update(*part)
        small[at % 2].update(*part)
    assert all(table.disk_bytes > 0 and table.nbytes < 3 << 20 for table in small)
    assert len(small[0]) == sum(small[0].result()["sequences"].to_pylist())
    before = small[1].to_bytes()
    small[0].merge(small[1])
    assert small[1].to_bytes() == before
    assert (small[0].to_bytes(), small[0].total) == (whole.to_bytes(), whole.total)
    assert small[0].result().equals(whole.result())
    whole.merge(small[1])
    small[0].merge(small[1])
    assert small[0] == whole
    assert list(tmp_path.iterdir()) == []  # runs have no names
    small[0].save(tmp_path / "table")
    assert (tmp_path / "table").read_bytes() == whole.to_bytes()
    again = type(whole).load(tmp_path / "table", memory=1 << 20, folder=tmp_path)
    assert again.disk_bytes > 0
    assert again == whole


def test_many_runs_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNS", 3)
    whole, small = SequenceTable(), SequenceTable(memory=1 << 20)
    for seed in range(6):
        whole.update(*random_rows(20_000, seed, 300))
        small.update(*random_rows(20_000, seed, 300))
    assert 0 < len(small._store.runs) < 3
    assert small == whole


def test_memory_at_rest() -> None:
    rng = np.random.default_rng(1)
    values, offsets = rng.integers(0, 2**31, 8 * 300_000).astype(np.int32), np.arange(0, 2_400_001, 8)
    table, hashes = SequenceTable(), SequenceTable(verify=False)
    table.update(values, offsets)
    hashes.update(values, offsets)
    assert len(table) == 300_000
    assert table.nbytes <= len(table) * (48 + 32)
    assert hashes.nbytes <= len(hashes) * 48
    before = table.nbytes
    table.update(values, offsets)
    assert table.nbytes < before * 1.02  # samples that are known cost nothing but room for one block


def test_long_and_empty_sequences() -> None:
    rows = [[7] * 20_000, [], [7] * 20_000, [7] * 19_999, []]
    table = SequenceTable()
    table.update(*ragged(rows))
    assert table.result().to_pydict() == {"count": [1, 2], "sequences": [1, 2]}
    assert SequenceTable.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize(
    ("values", "offsets", "columns", "counts", "error"),
    [
        ([1, 2], [0, 3], {"cell": ["a"]}, None, InputError),
        ([1, 2], [0, 2, 1], {"cell": ["a", "a"]}, None, InputError),
        ([1, 2], [-1, 2], {"cell": ["a"]}, None, InputError),
        ([1, 2], [], {"cell": []}, None, InputError),
        ([2**40], [0, 1], {"cell": ["a"]}, None, InputError),
        ([0.5], [0, 1], {"cell": ["a"]}, None, InputError),
        ([1, 2], [0, 2], {}, None, StateError),
        ([1, 2], [0, 2], {"cell": [None]}, None, StateError),
        ([1, 2], [0, 2], {"cell": ["a", "b"]}, None, StateError),
        ([1, 2], [0, 2], {"cell": ["new"]}, [-1], StateError),
        ([1, 2], [0, 2], {"cell": ["new"]}, [0.5], StateError),
        ([1, 2], [0, 1, 2], {"cell": ["new", "new"]}, [2**62, 2**62], StateError),
    ],
)
def test_what_is_refused_changes_nothing(
    values: Any, offsets: Any, columns: Any, counts: Any, error: type[Exception]
) -> None:
    table = filled([("a", [1])], SequenceTable(("cell",)))
    before = table.to_bytes()
    with pytest.raises(error):
        table.update(values, offsets, columns, counts=counts)
    assert table.to_bytes() == before


@pytest.mark.parametrize(
    "bad",
    [{"elements": "words"}, {"memory": 10}, {"threads": -1}, {"columns": "cell"}, {"columns": ("a", "a")}],
)
def test_settings_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SequenceTable(**bad)
    with pytest.raises(SettingsError):
        NgramTable(5)


@pytest.mark.parametrize("verify", [True, False])
def test_damaged_bytes_are_refused(verify: bool) -> None:
    table = filled([("a", [1, 2]), ("b", [3]), ("b", [1, 2])], SequenceTable(("cell",), verify=verify))
    data = table.to_bytes()
    for at in range(len(data)):
        with pytest.raises(StateError):
            SequenceTable.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(StateError):
            SequenceTable.from_bytes(data[:at])
    with pytest.raises(StateError):
        SequenceTable.from_bytes(data + b"\0")
    with pytest.raises(StateError, match="another kind"):
        NgramTable.from_bytes(data)
    with pytest.raises(StateError, match="another kind"):
        SequenceTable.from_bytes(NgramTable(2).to_bytes())


def test_forged_bytes_are_refused() -> None:
    """Digests that are right say nothing about what a table can have written."""
    from crystal.states import sequence_bytes

    table = filled([("a", [1, 2]), ("b", [3])], SequenceTable(("cell",)))
    header, cells = table.header, [("a",), ("b",)]
    pieces = list(table._store.records(table._ranks(), ranked=True))
    records = [p[i : i + n] for p in pieces for i, n in [(0, len(p))]]

    def forged(names: Any, body: list[bytes]) -> bytes:
        return b"".join(sequence_bytes.pack(header, names, body))

    assert SequenceTable.from_bytes(forged(cells, records)) == table
    for names, body, message in [
        (cells, records[::-1], "canonical order"),
        (cells, [records[0], records[0]], "canonical order"),
        (cells, records[:1], "no record"),
        (cells[:1], records, "outside the cells"),
        (cells, [records[0][:-1]], "not whole"),
        (cells, [records[0][:-1] + b"\1", records[1]], "hash is not"),
        (cells, [records[0][:16] + bytes(8) + records[0][24:], records[1]], "below 1"),
    ]:
        with pytest.raises(StateError, match=message):
            SequenceTable.from_bytes(forged(names, body))


@pytest.mark.parametrize("room", [0, 1, 4_096, 100_000, 1_000_000, 3_000_000] if FULL else [100_000])
def test_a_full_disk_is_said_and_the_state_does_not_go_on(tmp_path: Path, room: int) -> None:
    code = f"""
import resource, signal
import numpy as np
from crystal.errors import InputError, StateError
from crystal.states.sequence_table import SequenceTable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
table = SequenceTable(memory=1 << 20, folder={str(tmp_path)!r})
rng = np.random.default_rng(0)
try:
    table.update(rng.integers(0, 2**31, 400_000).astype(np.int32), np.arange(0, 400_001, 4))
except InputError as error:
    assert "more room" in str(error), error
    try:
        table.to_bytes()
    except StateError as stale:
        assert "cut off" in str(stale), stale
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "refused", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    table = SequenceTable(memory=1 << 20, folder=tmp_path / "none")
    with pytest.raises(InputError, match="cannot be written"):
        table.update(*random_rows(200_000, kinds=10**6))


def update_for_long(table: SequenceTable, values: Any, offsets: Any) -> None:
    for _ in range(1000):
        table.update(values, offsets)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_an_update() -> None:
    import _thread

    values, offsets = random_rows(3_000_000, kinds=10**6)
    table = NgramTable(1)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            update_for_long(table, values, offsets)
    finally:
        timer.cancel()


def test_two_threads_may_share_a_table() -> None:
    table, part = SequenceTable(), random_rows(5_000)
    crew = [threading.Thread(target=table.update, args=part) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert table.total == 20_000
    once = SequenceTable()
    once.update(*part, counts=np.full(5_000, 4))
    assert table == once
