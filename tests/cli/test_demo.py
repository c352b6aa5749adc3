from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crystal.cli import demo

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TASKS", 1)
    monkeypatch.setattr(demo, "PROMPTS", 2)
    monkeypatch.setattr(demo, "SAMPLES", 10)


def test_demo_says_what_it_is_and_what_is_true(inside: Run, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = inside("demo", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "not a language model" in done.stderr
    assert "The truth that was planted: the three-phase picture is true of this ladder." in done.stderr
    assert "planted-picture" in done.stdout
    assert pq.read_table(out / "samples.parquet").num_rows == 1 * 2 * 2 * 4 * 10
    report = json.loads((out / "report.json").read_bytes())
    assert report["inputs"]["samples"] == 160
    again = inside("demo", "--out", out, "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert json.loads((out / "report.json").read_bytes()) == report


def test_demo_of_another_story_as_json(inside: Run, tmp_path: Path) -> None:
    done = inside("demo", "--kind", "escape", "--out", tmp_path / "demo", "--json")
    assert list(json.loads(done.stdout)["ladders"]) == ["planted-escape"]
    assert "picture is false" in done.stderr


def test_unknown_story_and_foreign_folder(inside: Run, tmp_path: Path) -> None:
    done = inside("demo", "--kind", "atlantis", "--out", tmp_path / "demo")
    assert done.returncode == 2
    assert "picture" in done.stderr
    (tmp_path / "mine").write_text("mine")
    assert inside("demo", "--out", tmp_path).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
