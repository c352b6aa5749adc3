"""Every format gives the same rows, and every row is either accepted or refused."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import crystal.readers as readers
from crystal.errors import InputError, LadderError, SettingsError
from crystal.readers.detect import FORMATS as FORMAT_NAMES
from crystal.readers.fields import ALIASES, FIELDS
from crystal.samples import Checkpoint, distribution_schema, sample_schema

ROWS = [
    {
        "ladder": "tulu", "stage": stage, "step": step, "checkpoint": f"Tulu {stage}", "task": "coin",
        "prompt": prompt, "family": "verb", "sample": sample, "text": text, "score": 0.5, "temperature": 1.0,
    }
    for step, stage in enumerate(("base", "sft"))
    for prompt in ("flip", "café")
    for sample, text in enumerate(("Heads", 'a "quoted", text', "two\nlines", "", "ünï ✓"))
]  # fmt: skip


def as_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def as_csv(path: Path) -> None:
    pcsv.write_csv(pa.Table.from_pylist(ROWS), path)


def as_tsv(path: Path) -> None:
    pcsv.write_csv(pa.Table.from_pylist(ROWS), path, pcsv.WriteOptions(delimiter="\t"))


def as_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def as_arrow(path: Path) -> None:
    with pa.ipc.new_file(path, pa.Table.from_pylist(ROWS).schema) as writer:
        writer.write_table(pa.Table.from_pylist(ROWS), max_chunksize=7)


def as_arrows(path: Path) -> None:
    with pa.ipc.new_stream(path, pa.Table.from_pylist(ROWS).schema) as writer:
        writer.write_table(pa.Table.from_pylist(ROWS), max_chunksize=7)


FORMATS: dict[str, Callable[[Path], None]] = {
    "jsonl": as_jsonl,
    "csv": as_csv,
    "tsv": as_tsv,
    "parquet": as_parquet,
    "arrow": as_arrow,
    "arrows": as_arrows,
}
PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def rows_of(stream: Any) -> list[dict[str, Any]]:
    return [row for batch in stream for row in batch.to_pylist()]


def essence(row: dict[str, Any]) -> dict[str, Any]:
    kept = {key: row[key] for key in ROWS[0] if key != "temperature"}
    return kept | {"temperature": row["decoding"]["temperature"]}


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, form: str, packed: str) -> None:
    plain = tmp_path / f"log.{form}"
    FORMATS[form](plain)
    path = tmp_path / f"packed.{form}{packed}"
    path.write_bytes(PACKERS[packed](plain.read_bytes()))
    stream = readers.read(path)
    batches = list(stream)
    assert all(batch.schema.equals(sample_schema(), check_metadata=True) for batch in batches)
    for batch in batches:
        batch.validate(full=True)
    assert [essence(row) for batch in batches for row in batch.to_pylist()] == ROWS
    assert stream.rows == stream.samples == len(ROWS)
    assert stream.checkpoints == [
        Checkpoint("tulu", "base", 0, "Tulu base"),
        Checkpoint("tulu", "sft", 1, "Tulu sft"),
    ]
    assert [(part.start, part.stop) for part in stream.ranges] == [(0, len(ROWS))]
    assert stream.bytes_read == stream.bytes_total == path.stat().st_size


@pytest.mark.parametrize("form", ["jsonl", "csv", "arrow-stream"])
def test_content_decides_before_the_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "log.csv"
    {"jsonl": as_jsonl, "csv": as_csv, "arrow-stream": as_arrows}[form](path)
    assert len(rows_of(readers.read(path))) == len(ROWS)


def test_any_arrow_object_is_a_log() -> None:
    class Foreign:
        def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
            return pa.Table.from_pylist(ROWS).__arrow_c_stream__(requested_schema)

    assert [essence(row) for row in rows_of(readers.read(Foreign()))] == ROWS


def test_a_stream_is_an_arrow_source_itself(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "log.jsonl")
    table = pa.table(readers.read(tmp_path, batch_rows=3))
    assert table.num_rows == len(ROWS)
    again = readers.read(table)
    assert [essence(row) for row in rows_of(again)] == ROWS


def test_views_dictionaries_and_slices_are_text_too() -> None:
    table = pa.Table.from_pylist(ROWS)
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        column = (
            table["task"].combine_chunks().cast(kind)
            if kind != pa.string_view()
            else table["task"].cast(kind)
        )
        changed = table.set_column(table.schema.get_field_index("task"), "task", column)
        assert [essence(row) for row in rows_of(readers.read(changed.slice(3)))] == ROWS[3:]


def test_null_dictionary_values_are_missing_fields() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["coin", None]))
    table = pa.Table.from_pylist(ROWS[:2])
    table = table.set_column(table.schema.get_field_index("task"), "task", column)
    stream = readers.read(table, on_error="collect")
    assert len(rows_of(stream)) == 1
    assert [(r.row, r.reason) for r in stream.rejections] == [(2, "field 'task' is missing")]


def test_fields_are_mapped_and_friendly_names_known(tmp_path: Path) -> None:
    row = {
        "model": "m",
        "stage": "SFT",
        "global_step": 3.0,
        "meta": {"topic": "coin"},
        "question": 7,
        "output": "x",
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (got,) = rows_of(readers.read(tmp_path, mapping={"task": "meta.topic"}))
    assert (got["checkpoint"], got["stage"], got["step"], got["task"]) == ("m", "sft", 3, "coin")
    assert (got["prompt"], got["text"]) == ("7", "x")
    table = pa.Table.from_pylist([row])
    (got,) = rows_of(readers.read(table, mapping={"task": "meta.topic"}))
    assert (got["task"], got["prompt"], got["ladder"]) == ("coin", "7", "samples")


def test_one_column_can_serve_two_fields(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"task": "t", "stage": "sft", "step": 1, "text": "x"}\n' * 2)
    got = rows_of(readers.read(tmp_path, mapping={"prompt": "task"}))
    assert [(row["prompt"], row["task"]) for row in got] == [("t", "t")] * 2


def test_the_right_name_wins_over_its_aliases(tmp_path: Path) -> None:
    row = {
        "task": "t",
        "stage": "sft",
        "step": 1,
        "prompt": "p",
        "input": "long",
        "output": "no",
        "text": "yes",
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (got,) = rows_of(readers.read(tmp_path))
    assert (got["prompt"], got["text"]) == ("p", "yes")


def test_prompts_are_nfc() -> None:
    table = pa.Table.from_pylist([ROWS[0] | {"prompt": "cafe\u0301"}])
    (got,) = rows_of(readers.read(table))
    assert got["prompt"] == "caf\u00e9"


SAMPLE = {"task": "t", "prompt": "p", "text": "x"}


def log(path: Path, **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(SAMPLE | more) + "\n")


def test_folders_name_ladders_stages_and_steps(tmp_path: Path) -> None:
    log(tmp_path / "tulu" / "base" / "x.jsonl")
    log(tmp_path / "tulu" / "sft-100" / "x.jsonl")
    log(tmp_path / "tulu" / "sft-100" / "y.jsonl")
    log(tmp_path / "olmo" / "rl-7" / "x.jsonl")
    stream = readers.read(tmp_path)
    assert len(rows_of(stream)) == 4
    assert sorted(stream.checkpoints) == [
        ("olmo", "rl", 7, "rl-7"), ("tulu", "base", 0, "base"), ("tulu", "sft", 100, "sft-100"),
    ]  # fmt: skip


def test_a_log_without_ladder_names_is_named_after_its_folder(tmp_path: Path) -> None:
    log(tmp_path / "mine" / "x.jsonl", stage="sft", step=4)
    stream = readers.read(tmp_path / "mine" / "x.jsonl")
    rows_of(stream)
    assert stream.checkpoints == [("mine", "sft", 4, "sft-4")]


def test_rules_place_files_and_the_log_comes_first(tmp_path: Path) -> None:
    log(tmp_path / "a" / "x.jsonl")
    log(tmp_path / "b" / "x.jsonl", step=9)
    rules = ("a/*=m/base/0", "*=m/sft/5/Mine/v2")
    stream = readers.read(tmp_path, checkpoints=rules)
    rows_of(stream)
    assert stream.checkpoints == [("m", "base", 0, "base-0"), ("m", "sft", 9, "sft-9")]
    stream = readers.read(tmp_path / "a", checkpoints=("*.jsonl=m/sft/5/Mine/v2",))
    rows_of(stream)
    assert stream.checkpoints == [("m", "sft", 5, "Mine/v2")]


def test_one_checkpoint_with_two_names_is_refused(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", stage="sft", step=1, checkpoint="one")
    log(tmp_path / "b.jsonl", stage="sft", step=1, checkpoint="two")
    with pytest.raises(LadderError, match="two names"):
        rows_of(readers.read(tmp_path, on_error="collect"))


def test_one_name_for_two_checkpoints_is_refused(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", stage="sft", step=1, checkpoint="one")
    log(tmp_path / "b.jsonl", stage="sft", step=2, checkpoint="one")
    with pytest.raises(LadderError, match="one name"):
        rows_of(readers.read(tmp_path, on_error="collect"))
    # Another ladder may use the name again: two ladders can share their base.
    log(tmp_path / "b.jsonl", stage="sft", step=2, checkpoint="one", ladder="other")
    assert len(rows_of(readers.read(tmp_path))) == 2


def test_other_files_of_a_folder_are_passed_over(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", stage="sft", step=1)
    (tmp_path / "README.md").write_text("# hello")
    (tmp_path / "results.json").write_text('{\n  "task": 1\n}\n')
    (tmp_path / ".hidden.jsonl").write_text("junk")
    stream = readers.read([tmp_path, tmp_path / "a.jsonl"])
    assert len(rows_of(stream)) == 1
    assert sorted(Path(name).name for name in stream.skipped) == ["README.md", "results.json"]


EXACT = {
    "stage": "sft",
    "step": 1,
    "task": "t",
    "prompt": "p",
    "family": "f",
    "option": "yes",
    "probability": 0.25,
}


def test_rows_with_a_probability_are_distributions(tmp_path: Path) -> None:
    rows = [EXACT, EXACT | {"option": 7, "probability": 1}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = list(readers.read(tmp_path))
    assert all(batch.schema.equals(distribution_schema(), check_metadata=True) for batch in batches)
    got = [(row["option"], row["probability"]) for batch in batches for row in batch.to_pylist()]
    assert got == [("yes", 0.25), ("7", 1.0)]


def test_samples_and_distributions_can_share_a_log_but_not_an_arrow_stream(tmp_path: Path) -> None:
    rows = [EXACT, SAMPLE | {"stage": "sft", "step": 1}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kinds = [batch.schema.metadata[b"crystal.kind"] for batch in readers.read(tmp_path)]
    assert sorted(kinds) == [b"distributions", b"samples"]
    with pytest.raises((InputError, pa.ArrowException)):
        pa.table(readers.read(tmp_path))


def test_a_stream_is_read_once(tmp_path: Path) -> None:
    as_jsonl(tmp_path / "log.jsonl")
    stream = readers.read(tmp_path)
    list(stream)
    with pytest.raises(SettingsError, match="once"):
        list(stream)


@pytest.mark.parametrize(
    "arguments",
    [
        {"format": "xml"},
        {"on_error": "ignore"},
        {"mapping": {"prompts": "x"}},
        {"mapping": {"prompt": ""}},
        {"checkpoints": ("x",)},
        {"checkpoints": ("*=a/b/0",)},
        {"checkpoints": ("*=a/sft/x",)},
        {"batch_rows": 0},
    ],
)
def test_arguments_are_checked(tmp_path: Path, arguments: dict[str, Any]) -> None:
    as_jsonl(tmp_path / "log.jsonl")
    with pytest.raises(SettingsError):
        readers.read(tmp_path, **arguments)


def test_the_docs_know_every_format_field_and_alias() -> None:
    page = (Path(__file__).parents[2] / "docs" / "input.md").read_text(encoding="utf-8")
    assert all(f"`{form}`" in page for form in FORMAT_NAMES)
    assert all(f"`{field}`" in page or f" {field}`" in page or f"`{field} " in page for field in FIELDS)
    for field, aliases in ALIASES.items():
        assert f"`{field}`: {', '.join(aliases)}." in page


def test_closed_set_documents_are_distributions(tmp_path: Path) -> None:
    stages = {"base": [0.6, 0.4], "sft": [0.9, 0.1]}
    document = {
        "pipeline": "toy",
        "categories": {"hue": {"candidates": ["red", "blue"], "name": stages, "n": 3}},
    }
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(document, indent=1))
    stream = readers.read(tmp_path)
    rows = rows_of(stream)
    assert [(row["stage"], row["step"], row["option"], row["probability"]) for row in rows] == [
        ("base", 0, "red", 0.6), ("base", 0, "blue", 0.4), ("sft", 1, "red", 0.9), ("sft", 1, "blue", 0.1),
    ]  # fmt: skip
    places = {(row["ladder"], row["task"], row["prompt"], row["family"]) for row in rows}
    assert places == {("toy", "hue", "name", "verb")}
    (row, *_) = rows_of(readers.read(path, mapping={"family": "framing"}))
    assert row["family"] == "name"
    stages["sft"] = [0.9, "?"]
    path.write_text(json.dumps(document))
    stream = readers.read(path, on_error="collect")
    assert len(rows_of(stream)) == 2
    odd, rest = stream.rejections
    assert (odd.row, rest.row) == (4, 3)
    assert odd.reason.startswith("field 'probability': expected a number, got ")
    assert rest.reason == f"another row of its distribution was refused ({path}, row 4)"
    stages["sft"] = [0.9, None]
    stages["dpo"] = [True, 1]
    path.write_text(json.dumps(document))
    stream = readers.read(path, on_error="collect")
    assert [row["stage"] for row in rows_of(stream)] == ["base", "base"]
    assert [rejection.row for rejection in stream.rejections] == [4, 5, 3, 6]


BROKEN = [
    {},
    {"categories": 1},
    {"categories": {"t": {"candidates": 1}}},
    {"categories": {"t": {"candidates": ["a"], "f": {"base": []}}}},
]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_closed_set_documents_are_refused(tmp_path: Path, broken: Any) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"scores\.json"):
        rows_of(readers.read(path, "closed-set-json"))


GOOD = {"ladder": "l", "stage": "sft", "step": 1, "task": "t", "prompt": "p", "text": "x"}
LINES = st.sampled_from(
    [
        json.dumps(GOOD).encode(),
        json.dumps(GOOD | {"text": "é\n"}).encode(),
        json.dumps(GOOD | {"step": "2"}).encode(),
        json.dumps(GOOD | {"prompt": 3}).encode(),
        b"",
        b"  ",
        b"[1]",
        b"null",
        b'{"task": "t"',
        json.dumps(GOOD | {"step": "x"}).encode(),
        json.dumps(GOOD | {"text": 5}).encode(),
        json.dumps(GOOD | {"stage": "tuned"}).encode(),
        json.dumps(GOOD).encode() + b" x",
        b'{"text": "\xff"}',
        json.dumps(EXACT | {"ladder": "l"}).encode(),
        json.dumps(EXACT | {"ladder": "l", "probability": float("nan")}).encode(),
    ]
)
BLANK = {b"", b"  "}


@given(st.lists(LINES, min_size=1, max_size=30), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_lost(tmp_path: Path, lines: list[bytes], ended: bool) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + b"\n".join(lines) + b"\n" * ended)
    stream = readers.read(path, "jsonl", on_error="collect", batch_rows=4)
    accepted = sum(batch.num_rows for batch in stream)
    filled = [number for number, line in enumerate(lines, start=2) if line not in BLANK]
    assert stream.rows == accepted + len(stream.rejections) == 1 + len(filled)
    numbers = [rejection.row for rejection in stream.rejections]
    assert not [number for number, count in Counter(numbers).items() if count > 1]
    assert set(numbers) <= set(filled)
