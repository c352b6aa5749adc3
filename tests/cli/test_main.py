from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from crystal.errors import BuildError, InputError, SettingsError, StateError

Run = Callable[..., subprocess.CompletedProcess[str]]
VERBS = (
    "analyze",
    "measure",
    "merge",
    "classify",
    "compare",
    "cluster",
    "report",
    "convert",
    "dedup",
    "sample",
    "score",
    "lab",
    "bench",
    "demo",
    "doctor",
)


def test_help_lists_what_exists_and_nothing_else(crystal: Run) -> None:
    done = crystal("--help")
    assert done.returncode == 0
    commands = done.stdout.split("Commands:")[1].split("Exit codes")[0]
    assert tuple(re.findall(r"^  ([a-z]+)  ", commands, re.M)) == VERBS
    assert done.stderr == ""


def test_help_of_every_verb_has_examples_and_the_common_options(inside: Run) -> None:
    for verb in VERBS:
        done = inside(verb, "--help")
        assert done.returncode == 0, verb
        assert f"crystal {verb}" in done.stdout.split("Examples:")[1]
        for option in ("--json", "--quiet", "--debug"):
            assert option in done.stdout, (verb, option)


def test_version(inside: Run) -> None:
    assert inside("--version").stdout == f"crystal {version('crystal-phases')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("crystallize",),
        ("analyze",),
        ("analyze", "--frobnicate", "a"),
        ("analyze", "a", "--alpha", "much"),
        ("measure", "a"),
        ("report", "a", "--format", "pdf"),
        ("report", "a", "--format", "html", "--json"),
        ("analyze", "a", "--map", "prompt"),
        ("analyze", "a", "--set", "draws=many"),
        ("analyze", "a", "--set", "drawz=1"),
        ("analyze", "a", "--set", "margins.lava=1"),
        ("analyze", "a", "--fail-on", "FIRE"),
    ],
)
def test_wrong_usage_is_2_and_says_why(inside: Run, arguments: tuple[str, ...]) -> None:
    done = inside(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr or done.stdout


def break_report(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(path: object) -> None:
        raise error

    monkeypatch.setattr("crystal.report.report_json.read_report", fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("bad", where="a.jsonl, row 3"), 3),
        (StateError("bad"), 3),
        (SettingsError("bad"), 2),
        (BuildError("bad"), 4),
        (FileNotFoundError(2, "No such file or directory", "a"), 3),
        (PermissionError(13, "Permission denied", "a"), 3),
        (ValueError("surprise"), 4),
        (MemoryError(), 4),
        (RecursionError(), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_end_with_their_code_one_line_and_no_traceback(
    inside: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, code: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    break_report(monkeypatch, error)
    done = inside("report", "x")
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("crystal: error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    logs = list(tmp_path.glob("crystal-error-*.log"))
    assert len(logs) == (1 if code == 4 else 0)
    for log in logs:
        assert str(log) in done.stderr
        assert f"{type(error).__name__}" in log.read_text(encoding="utf-8")
        assert "Traceback" in log.read_text(encoding="utf-8")


def test_debug_shows_the_traceback_and_leaves_no_log(
    inside: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    break_report(monkeypatch, ValueError("surprise"))
    done = inside("report", "x", "--debug")
    assert done.returncode == 4
    assert "Traceback" in done.stderr
    assert not list(tmp_path.iterdir())


def test_errors_are_json_too(inside: Run) -> None:
    done = inside("report", "absent.json", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["exit_code"], error["where"]) == (3, 3, "absent.json")
    assert error["message"] == "there is no such file"
    assert "absent.json" in done.stderr


def test_hostile_text_in_an_error_is_harmless(inside: Run) -> None:
    done = inside("report", "a\x1b[2J\x1b]0;t\x07\nb")
    assert done.returncode == 3
    assert not re.search("[\x00-\x09\x0b-\x1f]", done.stderr)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_from_the_keyboard_is_130(tmp_path: Path) -> None:
    pipe = tmp_path / "never.json"
    os.mkfifo(pipe)
    start = "from crystal.cli.main import run; run()"
    code = f"import sys; sys.argv = ['crystal', 'report', {str(pipe)!r}]\n{start}"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    writer = _when_it_is_read(pipe)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    os.close(writer)
    assert process.returncode == 130
    assert errors == "crystal: error: interrupted; nothing was written\n"


def _when_it_is_read(pipe: Path) -> int:
    """Open the writing end, which succeeds only once somebody has the other, and give them time to read."""
    for _ in range(2_000):
        with contextlib.suppress(OSError):
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.5)  # a signal on the few instructions between open and read would wait for data
            return writer
        time.sleep(0.01)
    raise TimeoutError


def test_reader_of_a_pipe_who_leaves_is_no_error(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['crystal', 'doctor', '--json']\nfrom crystal.cli.main import run; run()"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr == ""


def test_output_that_cannot_be_encoded_does_not_fail(crystal: Run) -> None:
    done = crystal("doctor", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0


def test_doctor_reports_every_part_as_json(inside: Run) -> None:
    report = json.loads(inside("doctor", "--json").stdout)
    found = {f["what"]: f for f in report["findings"]}
    assert report["healthy"] is True
    assert {"python", "compiled core", "threads", "numpy", "pyarrow", "torch", "working folder"} <= set(found)
    assert all(f["fix"] for f in report["findings"] if f["state"] != "ok")


@pytest.mark.parametrize(
    ("before", "changes", "part"),
    [
        ("import sys; sys.modules['crystal._core'] = None", {}, "compiled core"),
        ("import crystal._core as c; c.INTERFACE = 0", {}, "compiled core"),
        ("", {"CRYSTAL_THREADS": "many"}, "threads"),
    ],
)
def test_doctor_finds_what_is_broken_and_says_what_to_do(
    crystal: Run, before: str, changes: dict[str, str], part: str
) -> None:
    done = crystal("doctor", "--json", before=before, **changes)
    (broken,) = [f for f in json.loads(done.stdout)["findings"] if f["state"] == "broken"]
    assert done.returncode == 4
    assert broken["what"] == part
    assert broken["fix"]
    text = crystal("doctor", before=before, **changes).stdout
    assert f"broken  {part}" in text
    assert "cannot run here" in text


def test_quiet_doctor_prints_nothing(inside: Run) -> None:
    done = inside("doctor", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
