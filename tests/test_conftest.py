"""The fixtures that decide whether a test can run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.skipif(os.name != "posix", reason="signals are inherited on POSIX")
def test_what_waits_for_ctrl_c_skips_where_sigint_is_ignored() -> None:
    code = (
        "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.exit(pytest.main(['-q', '-rs', '-p', 'no:cacheprovider', '-n', '0', sys.argv[1]]))"
    )
    test = f"{TESTS / 'ops' / 'test_resampling.py'}::test_ctrl_c_ends_a_long_call"
    done = subprocess.run([sys.executable, "-c", code, test], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "SIGINT is ignored here" in done.stdout


def test_every_test_that_sends_sigint_asks_whether_it_can_arrive() -> None:
    senders = ("os.kill(", "send_signal(", "interrupt_main")
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and "SIGINT" in text and any(word in text for word in senders):
            assert '@pytest.mark.usefixtures("interruptible")' in text, path
    assert signal.SIGINT
