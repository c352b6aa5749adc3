from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_lab_says_expected_and_found_and_does_nothing_twice(inside: Run, tmp_path: Path) -> None:
    verb = ("lab", "--preset", "tiny", "--control", "rl-from-base", "--out", tmp_path / "lab", "--json")
    done = inside(*verb)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["runs"]
    assert (result["control"], result["expected"], result["seed"]) == ("rl-from-base", [False, None], 0)
    assert result["as_expected"] == (result["found"] in result["expected"])
    assert "expected false or null" in done.stderr
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = inside(
        "lab", "--preset", "tiny", "--control", "rl-from-base", "--out", tmp_path / "lab", "--json"
    )
    assert json.loads(again.stdout) == json.loads(done.stdout)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == stamps


@pytest.mark.parametrize(
    "wrong", [("--control", "magic"), ("--preset", "huge"), ("--seeds", "one"), ("--seeds", "-1")]
)
def test_wrong_names_are_usage(inside: Run, tmp_path: Path, wrong: tuple[str, str]) -> None:
    assert inside("lab", "--out", tmp_path / "lab", *wrong).returncode == 2
    assert not (tmp_path / "lab").exists()
