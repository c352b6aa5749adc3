"""The demonstration, run as a user runs it but without torch, and what the pages quote of it."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from crystal.cli import demo

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
WITHOUT_TORCH = "sys.modules['torch'] = None"  # importing it then raises ImportError


@pytest.fixture(scope="module")
def shown(
    crystal: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demo as ``make demo`` runs it: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, crystal("demo", "--out", "demo-report", before=WITHOUT_TORCH, cwd=folder)


def test_it_finds_what_is_true_without_torch(shown: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = shown
    assert done.returncode == 0, done.stderr
    rows = [re.split(r" {2,}", line) for line in done.stdout.splitlines()[-3:]]
    assert rows == [
        ["main", "yes", "yes", "yes, yes, yes", "12 of 12"],
        ["foreign", "no: no nucleation", "no", "yes, no, no", "has none"],
        ["rl-outside", "no: no settling", "no", "yes, yes, no", "12 of 12"],
    ]
    for name, samples in (("main", 28_800), ("foreign", 6_288), ("rl-outside", 6_288)):
        report = json.loads((folder / "demo-report" / name / "report.json").read_bytes())
        assert list(report["ladders"]) == [f"lab-small-{name}-0"]
        assert report["inputs"]["samples"] == samples
        assert f"demo-report/{name}/report.html" in done.stderr


def test_the_probe_blocks_torch(crystal: Run) -> None:
    done = crystal("--version", before=f"{WITHOUT_TORCH}\nimport torch")
    assert done.returncode != 0
    assert "torch" in done.stderr


def test_setting_up_for_the_demo_installs_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    build = (ROOT / ".ci" / "requirements-build.txt").read_text(encoding="utf-8").splitlines()
    assert not [name for name in (*project["dependencies"], *build) if re.match("torch|triton", name)]
    assert [name for name in project["optional-dependencies"]["lab"] if re.match("torch", name)]


def test_the_readme_quotes_what_the_demo_prints(
    shown: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (quoted,) = re.findall(r"<!-- printed by: crystal demo -->\n```\n(.*?)```", page, flags=re.S)
    printed = iter(line.rstrip() for line in (shown[1].stdout + shown[1].stderr).splitlines())
    for line in quoted.splitlines():
        assert line == "..." or line in printed, f"the demo does not print, here or at all: {line}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TABLES", dict.fromkeys(demo.TABLES, "exact"))


@pytest.mark.usefixtures("quick")
def test_demo_as_json_twice(inside: Run, tmp_path: Path) -> None:
    done = inside("demo", "--out", tmp_path / "demo", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["dataset"] == "lab-small"
    assert [run["found"]["picture_holds"] for run in found["runs"]] == [True, False, False]
    assert [run["true"]["refuted"] for run in found["runs"]] == [None, "nucleation", "settling"]
    assert found["runs"][0]["seeds"] == {"tasks": 12, "right": 12}
    assert all(Path(run["report"]).is_file() for run in found["runs"])
    again = inside("demo", "--out", tmp_path / "demo", "--json")
    assert json.loads(again.stdout) == found
    assert "replacing the report of crystal" in again.stderr


def test_a_folder_with_other_things_is_left_alone(inside: Run, tmp_path: Path) -> None:
    (tmp_path / "rl-outside").mkdir()
    (tmp_path / "rl-outside" / "mine").write_text("mine")
    assert inside("demo", "--out", tmp_path).returncode == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["rl-outside", "mine"]
    assert inside("demo", "--kind", "escape", "--out", tmp_path / "demo").returncode == 2
