"""Fixtures for every test."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data that others wrote; it is no part of the project, so tests may skip."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CRYSTAL_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real data in ../shared/data is absent (or set CRYSTAL_SHARED_DATA)")
    return folder


@pytest.fixture
def interruptible() -> None:
    """Skip where SIGINT is ignored, which a process inherits: no Ctrl-C would end what the test waits for."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("SIGINT is ignored here, as in a job that a shell started in the background")
