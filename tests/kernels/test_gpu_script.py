"""The script that measures a GPU goes its whole way in the interpreter, so that it runs when there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.interpreter
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=os.environ)


def test_it_runs_to_its_end_and_writes_what_it_found(tmp_path):
    done = run("--tiny", "--json", tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["card"]["interpreter"] is True
    results = {row["name"]: row for row in found["results"]}
    assert {"device copy (read + write)", "crystal core", "crystal standard", "crystal all"} <= set(results)
    # A peer that is installed may refuse a CPU; what is ours may not.
    assert [row["name"] for row in found["results"] if row["ours"] and row["failed"]] == []
    assert len(results["crystal all"]["errors"]) == 10
    assert all(row["bytes"] > 0 and row["milliseconds"] for row in found["results"] if not row["failed"])


def test_a_wrong_answer_ends_the_run(tmp_path):
    copy = tmp_path / "gpu.py"
    text = SCRIPT.read_text()
    wrong = '"top1": p.amax(-1),'
    assert wrong in text
    copy.write_text(
        text.replace(wrong, '"top1": p.amax(-1) + 0.1,').replace(
            "Path(__file__).parent", f"Path({str(SCRIPT.parent)!r})"
        )
    )
    done = subprocess.run(
        [sys.executable, str(copy), "--tiny", "--json", str(tmp_path / "gpu.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 1
    assert "crystal standard: top1 is off by 1.00e-01" in done.stderr
    assert not (tmp_path / "gpu.json").exists()
