"""One answer to how many threads there are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crystal.ops import threads


def test_what_is_asked_for_comes_first_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTAL_THREADS", "3")
    assert threads.count() == 3
    assert threads.count(5) == 5


@pytest.mark.parametrize("given", ["", "0", "-2", "many", "2x"])
def test_an_environment_that_says_no_number_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("CRYSTAL_THREADS", given)
    assert threads.count() == threads.available()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity of processes")
def test_a_process_that_may_run_on_one_core_has_one_thread() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "os.environ.pop('CRYSTAL_THREADS', None)\n"
        "from crystal.benchmarking import machine\n"
        "from crystal.ops import threads\n"
        "from crystal.readers import ahead\n"
        "print(threads.available(), threads.count(), ahead.alone(), machine.card()['cores'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "True", "1"]
    assert threads.available() == len(os.sched_getaffinity(0))
