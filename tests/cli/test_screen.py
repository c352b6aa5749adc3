"""Progress where a person watches, and nowhere else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

ROW = {"ladder": "toy", "stage": "base", "step": 0, "task": "coin", "prompt": "flip", "text": "heads"}


def run(log: Path, *more: str, on_terminal: bool) -> tuple[str, str]:
    """Run a verb with stderr on a terminal or in a file; return (stdout, stderr)."""
    words = ["crystal", "convert", str(log), "--out", str(log.with_name("out.parquet")), *more]
    code = f"import sys; sys.argv = {words!r}\nfrom crystal.cli.main import run; run()"
    reader, writer = pty.openpty() if on_terminal else os.pipe()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=writer, env=environment, check=True, timeout=60,
    )  # fmt: skip
    os.close(writer)
    seen = b""
    while True:
        try:
            part = os.read(reader, 65_536)
        except OSError:  # how a terminal says that nobody writes any more
            break
        if not part:
            break
        seen += part
    os.close(reader)
    return done.stdout.decode(), seen.decode()


def test_progress_is_for_a_terminal_only(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_text((json.dumps(ROW) + "\n") * 1000)
    out, watched = run(log, on_terminal=True)
    assert "reading" in watched
    assert f"{log.stat().st_size:,}" in watched
    assert "\x1b" not in out
    again, unwatched = run(log, on_terminal=False)
    assert unwatched == ""
    assert again == out
    _, quiet = run(log, "--quiet", on_terminal=True)
    assert quiet == ""


def test_json_goes_to_stdout_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_text((json.dumps(ROW) + "\n") * 10)
    out, _ = run(log, "--json", on_terminal=True)
    assert json.loads(out)["rows"] == 10
