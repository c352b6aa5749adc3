"""``crystal report``: a report.json shown again, as text or as a web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import gate, options
from crystal.cli.analyze import hold, show
from crystal.cli.screen import Screen
from crystal.errors import SettingsError

EXAMPLES = """\b
Examples:
  crystal report report/
  crystal report report/report.json --format html --out page.html
  crystal report report/ --fail-on picture-false --quiet"""


def report(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A report.json, or the folder it is in.", show_default=False),
    ],
    render: Annotated[str, typer.Option("--format", metavar="text|html", help="What to write.")] = "text",
    out: Annotated[Path | None, options.out("FILE", "Where to write it; stdout if not given.")] = None,
    fail_on: options.FailOn = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show a report again."""
    from crystal.report.report_json import read_report

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    gates = gate.parse(fail_on)
    if render not in ("text", "html"):
        raise SettingsError(
            "there is no such format", where="--format", expected="text or html", got=repr(render)
        )
    if as_json and render == "html":
        raise SettingsError("one output at a time", where="--json", expected="--json or --format html")
    found = read_report(path)
    if as_json or (out is None and render == "text"):
        show(found, screen)
    else:
        from crystal.report.html import to_html
        from crystal.report.text import to_text

        page = to_html(found) if render == "html" else to_text(found)
        if out is None:
            screen.raw(page)
        else:
            from crystal.atomic_write import atomic_write

            atomic_write(out, page)
            screen.say(f"wrote {out}")
    hold(found, gates, screen)
