"""Which files of a folder are logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crystal.errors import InputError
from crystal.readers.paths import discover

LEFT = [
    "counts.parquet",
    "measurement.crystal",
    "metrics.parquet",
    "rejected.jsonl",
    "report.html",
    "report.json",
]


def test_the_files_of_an_earlier_report_are_no_logs(tmp_path: Path) -> None:
    """So that a report may lie inside the folder that it is about."""
    report = tmp_path / "report"
    report.mkdir()
    for name in (*LEFT, "samples.jsonl", "../a.jsonl"):
        (report / name).write_text("{}\n", encoding="utf-8")
    files, skipped = discover([tmp_path])
    assert [file.path.name for file in files] == ["a.jsonl", "samples.jsonl"]
    assert sorted(Path(name).name for name in skipped) == LEFT


def test_a_folder_that_only_looks_like_a_report_is_read(tmp_path: Path) -> None:
    (tmp_path / "counts.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "measurement.crystal").write_text("", encoding="utf-8")
    files, skipped = discover([tmp_path])
    assert [file.path.name for file in files] == ["counts.jsonl"]
    assert [Path(name).name for name in skipped] == ["measurement.crystal"]


def test_what_cannot_be_read_twice_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe would be empty, or wait for ever, at the second look."""
    pipe = tmp_path / "a.jsonl"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/null")):
        with pytest.raises(InputError, match="read more than once") as caught:
            discover([path])
        assert (caught.value.where, caught.value.got) == (str(path), "a pipe or a device")


def test_what_a_folder_holds_beside_files_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe.jsonl")
    files, skipped = discover([tmp_path])
    assert [file.path.name for file in files] == ["a.jsonl"]
    assert [Path(name).name for name in skipped] == ["gone.jsonl", "pipe.jsonl"]
