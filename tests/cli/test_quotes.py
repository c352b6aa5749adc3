"""What the pages quote of a command is what the command prints; the demo's quote is held in test_demo."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crystal import datasets

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
QUOTE = re.compile(r"<!-- printed by: crystal (?!demo)(.*?) -->\n```\n(.*?)```", flags=re.S)


def _quotes() -> list[tuple[str, str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        (page.name, *found) for page in pages for found in QUOTE.findall(page.read_text(encoding="utf-8"))
    ]


def test_there_are_quotes() -> None:
    assert {page for page, *_ in _quotes()} >= {"quickstart.md", "picture.md"}


@pytest.mark.parametrize(("page", "command", "quoted"), _quotes())
def test_a_quote_is_what_the_command_prints(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, command: str, quoted: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("$data", str(datasets.load("lab-small").folder)))
    done = inside(*words)
    assert done.returncode == 0, done.stderr
    printed = iter(line.rstrip() for line in done.stdout.splitlines())
    for line in quoted.splitlines():
        assert line == "..." or line in printed, f"{page}: {command} does not print, here or at all: {line}"
