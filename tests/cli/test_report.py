from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report.json, by the factory of the report's own tests."""
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_factory", path)
    assert spec is not None
    assert spec.loader is not None
    factory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(factory)
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.json").write_bytes(factory.make_report(picture=False, tasks=("coin",)).to_json())
    return folder


def test_text_is_the_default_and_a_folder_will_do(inside: Run, folder: Path) -> None:
    done = inside("report", folder)
    assert done.returncode == 0
    assert "The three-phase picture does not hold" in done.stdout
    assert "\x1b" not in done.stdout
    assert inside("report", folder / "report.json").stdout == done.stdout


def test_width_of_the_terminal_is_kept(inside: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = inside("report", folder).stdout.splitlines()
    assert max(map(len, lines)) <= 40


def test_html_to_a_file_and_to_stdout(inside: Run, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert inside("report", folder, "--format", "html", "--out", page).returncode == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert inside("report", folder, "--format", "html").stdout == page.read_text(encoding="utf-8")


def test_json_is_the_report(inside: Run, folder: Path) -> None:
    done = inside("report", folder, "--json")
    assert json.loads(done.stdout) == json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert done.stderr == ""


def test_gate_decides_the_exit_code(inside: Run, folder: Path) -> None:
    done = inside("report", folder, "--fail-on", "renucleation", "--fail-on", "picture-false", "--quiet")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("--fail-on: olmo") == 2
    assert inside("report", folder, "--fail-on", "FROZEN", "--quiet").returncode == 0


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", "nonsense"])
def test_what_is_no_report_is_bad_input(inside: Run, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    done = inside("report", tmp_path / "report.json")
    assert done.returncode == 3
    assert "report.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_cannot_be_written_is_bad_input(inside: Run, folder: Path, tmp_path: Path) -> None:
    done = inside("report", folder, "--format", "html", "--out", tmp_path / "absent" / "page.html")
    assert done.returncode == 3
    assert "cannot write there" in done.stderr
