"""Runs the command line: in another process as a user does, or in this one where that shows the same."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crystal.cli.main import run as run_here

Run = Callable[..., subprocess.CompletedProcess[str]]
START = "from crystal.cli.main import run; run()"


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")}
    return {**kept, "CRYSTAL_THREADS": "2", "PYTHONUTF8": "1", **changes}


@pytest.fixture(scope="session")
def crystal() -> Run:
    """Return a function that runs ``crystal ARGUMENTS``; ``before`` is Python to run in the process first."""

    def run(
        *arguments: object, before: str = "", cwd: Path | None = None, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        code = f"import sys; sys.argv = {['crystal', *map(str, arguments)]!r}\n{before}\n{START}"
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env=environment(**changes),
            timeout=300,
            check=False,
        )

    return run


class Stream(io.TextIOWrapper):
    """A stream in memory with an encoding, as a process has it."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs ``crystal ARGUMENTS`` in this process."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["crystal", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        out, err = Stream(), Stream()
        code: object = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                run_here()
            except SystemExit as stop:
                code = stop.code or 0
        assert isinstance(code, int)
        return subprocess.CompletedProcess(words, code, out.text(), err.text())

    return run
