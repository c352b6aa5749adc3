"""The way into the command line, and out of it. Nothing is imported before an interrupt is safe."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

INTERRUPTED = 130
_GARBAGE = (50_000, 20, 100)
"""Objects between two looks for reference cycles. Crystal makes many small objects and few cycles: to look as
often as Python does, every 700 objects, takes a tenth of the time in which a task is judged."""


def run() -> None:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(*_GARBAGE)
    try:
        from crystal.cli.app import app

        app()
    except KeyboardInterrupt:  # before or after a verb; within one, guarded() sees it first
        sys.exit(INTERRUPTED)
    finally:
        _leave_pipes_quietly()


def _leave_pipes_quietly() -> None:
    """Let nobody complain at exit that the reader of a pipe went away."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
