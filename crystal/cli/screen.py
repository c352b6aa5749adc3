"""What goes where: results to stdout, everything else to stderr, and only if somebody wants it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

Progress = Callable[[str, int, int | None], None]


class Screen:
    """The two streams of one command.

    Parameters
    ----------
    as_json : bool
        stdout gets one JSON document and nothing else.
    quiet : bool
        stderr gets errors only.
    debug : bool
        An error inside crystal shows its traceback.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.as_json, self.quiet, self.debug = as_json, quiet, debug

    def result(self, document: Any, text: str = "") -> None:
        """Print a result: the document as JSON, or the text for people (nothing if quiet)."""
        if self.as_json:
            _write(sys.stdout, json.dumps(document, ensure_ascii=True, indent=2, allow_nan=False) + "\n")
        elif text and not self.quiet:
            _write(sys.stdout, text if text.endswith("\n") else text + "\n")

    def raw(self, data: str) -> None:
        """Print a text that was asked for, quiet or not."""
        _write(sys.stdout, data)

    def say(self, text: str) -> None:
        """Tell a person what is going on."""
        if not self.quiet:
            _write(sys.stderr, _clean(text) + "\n")

    def error(self, text: str) -> None:
        """Tell what went wrong, quiet or not, on one line."""
        _write(sys.stderr, f"crystal: error: {_clean(text)}\n")

    @property
    def width(self) -> int:
        """Columns to write for: the terminal's, else 100."""
        import shutil

        return shutil.get_terminal_size((100, 24)).columns

    @property
    def color(self) -> bool:
        """Whether stdout takes colours: a terminal that is not dumb, and no NO_COLOR."""
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress | None]:
        """Give a function that draws progress bars on stderr; None where nobody watches."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
        from rich.text import Text

        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        known: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            amount = f"{done:,}" if total is None else f"{done:,} of {total:,}"
            if what not in known:
                known[what] = bars.add_task(
                    Text(_clean(what)).plain.replace("[", "\\["), total=total, amount=""
                )
            bars.update(known[what], completed=done, total=total, amount=amount)

        with bars:
            yield show


def _clean(text: str) -> str:
    from crystal.report.words import clean

    return clean(text)


def _write(stream: Any, text: str) -> None:
    """Write, whatever the stream's encoding; a reader who went away is no error of ours."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with contextlib.suppress(BrokenPipeError):
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
