"""Broken, truncated and hostile logs: one clear message or one refused row each, never anything else."""

from __future__ import annotations

import bz2
import decimal
import gzip
import json
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import zstandard

from crystal.engine import measure
from crystal.errors import CrystalError, InputError, LadderError
from crystal.readers import lines, read
from crystal.states.measurement import Measurement

FULL = os.environ.get("CRYSTAL_FULL_FAULTS") == "1"
GOOD = {"ladder": "l", "stage": "sft", "step": 1, "task": "t", "prompt": "p", "text": "x"}
EXACT = {key: value for key, value in GOOD.items() if key != "text"} | {"option": "a", "probability": 0.5}
NAN, INF = float("nan"), float("inf")


def dump(*rows: Any) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def without(row: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in fields}


BAD_ROWS = [
    (dump([1, 2]), "expected a JSON object, got [1, 2]"),
    (b"null\n", "expected a JSON object, got None"),
    (b'"text"\n', "expected a JSON object"),
    (b"{'task': 1}\n", "not JSON"),
    (b'{"task": "t"\n', "not JSON"),
    (b'{"text": "\xff\xfe"}\n', "not UTF-8"),
    (b'{"task": "\\ud800"}\n', "field 'task': expected text"),
    (b"[" * 5000 + b"\n", "not JSON"),
    (b'{"step": ' + b"9" * 6000 + b"}\n", "not JSON"),
    (dump(without(GOOD, "task")), "field 'task' is missing"),
    (dump(without(GOOD, "prompt")), "field 'prompt' is missing"),
    (dump(without(GOOD, "stage")), "field 'stage' is missing"),
    (dump(without(GOOD, "step")), "field 'step' is missing"),
    (dump(GOOD | {"task": ""}), "field 'task' is empty"),
    (dump(GOOD | {"ladder": " "}), "field 'ladder' is empty"),
    (dump(GOOD | {"checkpoint": ""}), "field 'checkpoint' is empty"),
    (dump(without(GOOD, "text")), "one of 'text', 'answer' and 'tokens'"),
    (dump(GOOD | {"text": None}), "one of 'text', 'answer' and 'tokens'"),
    (dump(GOOD | {"text": 5}), "field 'text': expected text, got 5"),
    (dump(GOOD | {"text": ["x"]}), "field 'text': expected text"),
    (dump(GOOD | {"task": True}), "field 'task': expected text or a whole number"),
    (dump(GOOD | {"step": "three"}), "field 'step': expected a whole number, got 'three'"),
    (dump(GOOD | {"step": 1.5}), "field 'step': expected a whole number"),
    (dump(GOOD | {"step": 2**70}), "field 'step': expected a whole number"),
    (dump(GOOD | {"step": INF}), "field 'step': expected a whole number"),
    (dump(GOOD | {"tokens": [1, "x"]}), "field 'tokens'"),
    (dump(GOOD | {"tokens": [2**40]}), "field 'tokens'"),
    (dump(GOOD | {"tokens": {}}), "field 'tokens'"),
    (
        dump(GOOD | {"stage": "tuned"}),
        "unknown stage, expected one of base, sft, dpo, rl, other, got 'tuned'",
    ),
    (dump(EXACT | {"probability": NAN}), "field 'probability': expected a number from 0 to 1, got nan"),
    (dump(EXACT | {"probability": INF}), "field 'probability': expected a number from 0 to 1, got inf"),
    (dump(EXACT | {"probability": -0.1}), "field 'probability': expected a number from 0 to 1, got -0.1"),
    (dump(EXACT | {"probability": 1.5}), "field 'probability': expected a number from 0 to 1, got 1.5"),
    (dump(EXACT | {"probability": None}), "field 'probability' is missing"),
    (dump(EXACT | {"option": None}), "field 'option' is missing"),
    (dump(EXACT | {"probability": "half"}), "field 'probability': expected a number, got 'half'"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_ROWS)
def test_a_bad_row_costs_itself(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(dump(GOOD, EXACT | {"prompt": "exact"}) + line + dump(GOOD))
    stream = read(path, on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 3
    (rejection,) = stream.rejections
    assert (rejection.file, rejection.row) == (str(path), 3)
    assert reason in rejection.reason
    assert len(rejection.reason) < 300
    assert rejection.reason.isascii()
    assert measure(path, on_error="collect").manifest.rejected == 1
    with pytest.raises(InputError) as caught:
        list(read(path))
    assert f"{path}, row 3: " in str(caught.value)
    assert reason in str(caught.value)
    # Alone, it is an input in which nothing is valid.
    path.write_bytes(line)
    with pytest.raises(InputError) as caught:
        list(read(path, "jsonl", on_error="collect"))
    assert "no row of the input is valid" in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "parquet", "table"])
def test_bad_cells_of_columns_are_refused_by_row(tmp_path: Path, form: str) -> None:
    good = {key: str(value) for key, value in GOOD.items()} | {"option": None, "probability": None}
    exact = {key: str(value) for key, value in EXACT.items()} | {"text": None}
    rows = [
        good,
        good | {"step": "three"},
        good | {"stage": "tuned"},
        good | {"task": None},
        exact | {"probability": "nan"},
        exact | {"probability": "-1"},
        exact | {"probability": "much"},
        exact,
    ]
    table = pa.Table.from_pylist(rows)
    source: Any = table
    if form != "table":
        source = tmp_path / f"log.{form}"
        pcsv.write_csv(table, source) if form == "csv" else pq.write_table(table, source)
    stream = read(source, on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 1
    # The last is of the distribution that three before it spoil.
    assert [rejection.row for rejection in stream.rejections] == [2, 3, 4, 5, 6, 7, 8]
    assert stream.rows == len(rows)


def test_columns_of_a_wrong_type_are_refused() -> None:
    table = pa.table({**{key: [value] for key, value in GOOD.items()}, "text": [1.5]})
    with pytest.raises(InputError, match="field 'text': expected text, got a column of double"):
        list(read(table))


def test_rows_of_a_wrong_width_are_refused_by_row(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = (b"sft,1,t,p,x", b"sft,1,t", b"sft,1,t,p,y", b"\xff,1,2,3,4,5", b"sft,1,t,p,\xff")
    path.write_bytes(b"\n".join((b"stage,step,task,prompt,text", *rows, b"")))
    stream = read(path, on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 2
    assert [(r.row, r.reason) for r in stream.rejections] == [
        (2, "expected 5 cells, got 3"),
        (4, "expected 5 cells, got 6"),
        (5, "field 'text': not UTF-8, got '\\\\xff'"),
    ]  # fmt: skip
    assert stream.rows == 5


def jsonl(path: Path) -> None:
    path.write_bytes(dump(*(GOOD | {"text": f"{i:032x}"} for i in range(20_000))))


def csv(path: Path) -> None:
    pcsv.write_csv(pa.Table.from_pylist([GOOD | {"text": f"{i:032x}"} for i in range(20_000)]), path)


def arrow(path: Path) -> None:
    table = pa.Table.from_pylist([GOOD | {"text": f"{i:032x}"} for i in range(20_000)])
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)


@pytest.mark.parametrize("packer", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("write", [jsonl, csv, arrow])
def test_what_came_before_a_truncation_is_kept(
    tmp_path: Path, write: Callable[[Path], None], packer: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "log"
    write(path)
    whole = packer(path.read_bytes())
    path.write_bytes(whole[: len(whole) * 2 // 3])
    form = {"jsonl": "jsonl", "csv": "csv", "arrow": "arrow-stream"}[write.__name__]
    stream = read(path, form, on_error="collect")
    texts = [text for batch in stream for text in batch.column("text").to_pylist()]
    assert texts == [f"{i:032x}" for i in range(len(texts))]
    assert 2_000 < len(texts) < 20_000
    reasons = [rejection.reason for rejection in stream.rejections]
    assert any("truncated" in reason and "what came before is kept" in reason for reason in reasons)
    with pytest.raises(InputError, match=r"truncated|damaged"):
        list(read(path, form))


def test_damaged_compression_is_told_from_truncated(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    jsonl(path)
    whole = bytearray(gzip.compress(path.read_bytes()))
    whole[-6] ^= 0xFF  # the checksum
    path.write_bytes(whole)
    stream = read(path, on_error="collect")
    # Only the row whose last byte goes with the failed check is not known to be whole.
    assert sum(batch.num_rows for batch in stream) == 19_999
    assert [rejection.reason.split(" (")[0] for rejection in stream.rejections] == ["damaged gzip data"]


def test_members_and_frames_one_after_another_are_one_content(tmp_path: Path) -> None:
    for suffix, packer in ((".gz", gzip.compress), (".zst", zstandard.ZstdCompressor().compress)):
        path = tmp_path / f"log.jsonl{suffix}"
        path.write_bytes(packer(dump(GOOD)) + packer(dump(GOOD)))
        assert sum(batch.num_rows for batch in read(path)) == 2


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="not a Parquet file"):
        list(read(path, on_error="collect"))


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b""), b"\xef\xbb\xbf"])
def test_an_empty_file_is_always_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    for target in (path, tmp_path):
        with pytest.raises(InputError, match="the file is empty"):
            list(read(target, on_error="collect"))


def test_missing_paths_and_folders_without_logs_are_always_errors(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "absent", on_error="collect")
    with pytest.raises(InputError, match="holds no logs"):
        read(tmp_path, on_error="collect")
    with pytest.raises(InputError, match="no paths"):
        read([])
    for source in (None, 5, [{"text": "x"}], [tmp_path, 1]):
        with pytest.raises(InputError, match="neither a path nor a table"):
            read(source)
    with pytest.raises(InputError, match="cannot be told"):
        read(tmp_path / "notes.txt")


def test_a_table_without_fields_is_refused_with_what_it_has(tmp_path: Path) -> None:
    table = pa.table({"colour": ["red"]})
    with pytest.raises(InputError, match="'task' is missing"):
        list(read(table))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="'colour'"):
        list(read(tmp_path))
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "a.csv").write_text("colour\nred\n")
    with pytest.raises(InputError, match="names no field"):
        list(read(tmp_path))


def test_conflicting_names_are_an_error_in_collect_mode_too(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(dump(GOOD | {"checkpoint": "a"}, GOOD | {"checkpoint": "b"}))
    with pytest.raises(LadderError, match="two names"):
        measure(path, on_error="collect")


def test_an_endless_line_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 1 << 20)
    monkeypatch.setattr(lines, "BLOCK", 1 << 18)
    path = tmp_path / "log.jsonl"
    path.write_bytes(dump(GOOD) + b'{"text": "' + b"x" * (5 << 20) + b'"}\n' + dump(GOOD))
    stream = read(path, on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 2
    assert [(rejection.row, rejection.reason) for rejection in stream.rejections] == [
        (2, "the line is longer than 1 MiB")
    ]


def test_many_refusals_are_kept_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(dump(GOOD) + b"[]\n" * 30_000)
    stream = read(path, on_error="collect")
    list(stream)
    assert len(stream.rejections) == 30_000
    assert stream.rejections._spool._rolled  # past a megabyte it is a file
    assert [rejection.row for rejection in stream.rejections][-1] == 30_001
    stream.rejections.write_jsonl(tmp_path / "rejected.jsonl")
    written = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    reason = "expected a JSON object, got []; one object a line is read, not an array of them"
    assert written[0] == {"file": str(path), "row": 2, "reason": reason}
    assert len(written) == 30_000


SMALL = [GOOD | {"prompt": f"p{i}", "text": f"wörd {i}", "tokens": [i]} for i in range(30)]


def small(form: str) -> bytes:
    table = pa.Table.from_pylist(SMALL)
    sink = pa.BufferOutputStream()
    if form == "jsonl":
        return dump(*SMALL)
    if form == "csv":
        pcsv.write_csv(table.drop_columns(["tokens"]), sink)
    elif form == "parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "arrow-stream"])
def test_random_damage_ends_in_rows_refusals_or_one_clear_error(tmp_path: Path, form: str) -> None:
    whole = small(form)
    dice = random.Random(form)  # noqa: S311  # for tests
    for _ in range(3_000 if FULL else 60):
        data = bytearray(whole)
        for _ in range(dice.choice([1, 3, 10])):
            data[dice.randrange(len(data))] = dice.choice([0, 255, 34, 10, dice.randrange(256)])
        path = tmp_path / "log"
        path.write_bytes(data[: dice.randrange(len(data))] if dice.random() < 0.3 else data)
        try:
            stream = read(path, form, on_error="collect")
            accepted = sum(batch.num_rows for batch in stream)
        except CrystalError as error:
            assert str(path) in str(error)  # noqa: PT017  # it may also end well
        else:
            assert stream.rows == accepted + len(stream.rejections)


def test_each_reason_is_named_once(tmp_path: Path) -> None:
    """An input in which nothing is valid: a thousand equal reasons are one, and the fix fits them."""
    path = tmp_path / "a.jsonl"
    stageless = {key: value for key, value in GOOD.items() if key != "stage"}
    path.write_text(f"{json.dumps(stageless)}\n" * 1000 + "[1]\n")
    with pytest.raises(InputError) as caught:
        list(read(path, "jsonl", on_error="collect"))
    said = str(caught.value)
    assert said.count("field 'stage' is missing") == 1
    assert "row 1001: expected a JSON object, got [1]; one object a line is read" in said
    assert "1,001 refused in all" in said
    assert caught.value.fix is not None
    assert "--checkpoint" in caught.value.fix
    path.write_text("not json\n")
    with pytest.raises(InputError) as caught:
        list(read(path, "jsonl", on_error="collect"))
    assert caught.value.fix is None
    assert "refused in all" not in str(caught.value)


def test_a_header_that_fits_nothing_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("task;prompt;text\na;b;c\n")
    with pytest.raises(InputError, match=r"got 'task;prompt;text'.*is it separated by ','"):
        list(read(path))
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"got 'a', 'b'\); map them"):
        list(read(path))


HEADER = "ladder,stage,step,task,prompt,text,note\n"


@pytest.mark.parametrize("column", ["text", "note"])
def test_a_quote_that_nobody_closes_is_told(tmp_path: Path, column: str) -> None:
    """Read as CSV has it, it would take all rows behind it into one cell, and nobody would miss them."""
    path = tmp_path / "a.csv"
    cut = 'l,sft,1,t,p,"x\n' if column == "text" else 'l,sft,1,t,p,x,"unclosed\n'
    path.write_text(HEADER + "l,sft,1,t,p,x,\n" * 3 + cut + "l,sft,1,t,p,x,\n" * 5)
    stream = read(path, on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 3
    (refused,) = stream.rejections
    assert refused.row == 4
    assert "not closed" in refused.reason or "cells" in refused.reason


def test_quotes_that_are_closed_or_inches_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = ['l,sft,1,t,p,5" pipe,\n', 'l,sft,1,t,p,"a ""b"" c",\n', 'l,sft,1,t,p,"two\nlines","n\nn"\n']
    for some in (rows, rows[:2], rows[1:]):
        path.write_text(HEADER + "".join(some) + "l,sft,1,t,p,x,\n")
        assert sum(batch.num_rows for batch in read(path)) == len(some) + 1


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (dump(GOOD).decode().encode("utf-16"), "a.jsonl", "the text is in UTF-16"),
        (dump(GOOD).decode().encode("utf-16-be"), "a.jsonl", "the text is in UTF-16"),
        (dump(GOOD).decode().encode("utf-32"), "a.jsonl", "the text is in UTF-32"),
        (HEADER.encode("utf-16"), "a.csv", "the text is in UTF-16"),
        (bz2.compress(dump(GOOD)), "a.jsonl", "packed as bzip2"),
        (lzma.compress(dump(GOOD)), "a.jsonl.xz", "packed as xz"),
        (b"PK\x03\x04" + bytes(100), "a.csv", "packed as zip"),
        (json.dumps([GOOD], indent=1).encode(), "a.json", "one JSON document"),
        (json.dumps({"rows": [GOOD]}, indent=1).encode(), "a.jsonl", "one JSON document"),
    ],
)
def test_files_that_are_no_lines_are_refused_whole(
    tmp_path: Path, content: bytes, name: str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        list(read(path, on_error="collect"))
    assert caught.value.where == str(path)
    assert caught.value.fix


def test_a_name_that_is_no_text_is_spelled(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"l\xff") / "sft-1"
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system has no such names")
    (folder / os.fsdecode(b"\xe9.jsonl")).write_bytes(
        b"[]\n" + dump(without(GOOD, "ladder", "stage", "step"))
    )
    measurement = measure(tmp_path, on_error="collect")
    assert list(measurement.ladders()) == ["l\\xff"]
    assert measurement.manifest.rejected == 1
    assert Measurement.from_bytes(measurement.to_bytes()) == measurement
    stream = read(tmp_path, on_error="collect")
    list(stream)
    stream.rejections.write_jsonl(tmp_path / "rejected.jsonl")
    assert "\\\\xe9.jsonl" in (tmp_path / "rejected.jsonl").read_text()


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(dump(GOOD) * 400_000)
    batches = iter(read(path, on_error="collect"))
    next(batches)
    path.write_bytes(dump(GOOD))
    with pytest.raises(InputError, match="shorter while it was read"):
        list(batches)


def test_a_frame_without_a_whole_block_is_damaged_and_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(dump(GOOD))[:-9])
    with pytest.raises(InputError, match="truncated zstd data"):
        read(path, on_error="collect")


def test_decimals_are_steps(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([GOOD, GOOD | {"step": 2}])
    steps = pa.array([decimal.Decimal("1.00"), decimal.Decimal("2.50")], pa.decimal128(38, 2))
    stream = read(table.set_column(table.column_names.index("step"), "step", steps), on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 1
    assert "expected a whole number" in next(iter(stream.rejections)).reason
