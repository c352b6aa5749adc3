"""The compiled code itself, for a GPU that need not be there: registers, loads, instructions a logit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import dataclasses, json
from crystal.kernels import compiled
names = ("bfloat16, all, large vocabulary", "float32, core, large vocabulary")
jobs = [job for job in compiled.jobs(["token_stats"]) if job[2] == "sm_90"]
rows = [compiled.build(job) for job in jobs if compiled.name(job) in names]
print(json.dumps([dataclasses.asdict(row) | {"per_logit": row.per_logit} for row in rows]))
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """In another process: this one has TRITON_INTERPRET set, and a decorated kernel cannot do both."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_code_holds_to_the_bar(rows):
    assert [row["kernel"] for row in rows] == ["state_kernel", "finish_kernel", "state_kernel"]
    assert [row["misses"] for row in rows] == [[], [], []]


def test_the_hot_loop_is_found_and_counted(rows):
    for row in rows[::2]:
        assert row["anatomy"]["loads"], row
        assert 4.0 < row["per_logit"] <= 18.5
