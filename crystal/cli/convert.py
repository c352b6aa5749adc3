"""``crystal convert``: any log into the sample table, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal convert logs/ --out samples.parquet
  crystal convert replies.csv --out samples.jsonl --map prompt=input,text=output"""


def convert(
    paths: options.Paths,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Sample table to write: .parquet, .arrow or .jsonl.",
            show_default=False,
        ),
    ],
    log_format: options.Format = "auto",
    field_map: options.Map = None,
    checkpoint: options.CheckpointRules = None,
    on_error: options.OnError = "collect",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Convert logs of any format into the sample table.

    The table has one row a sample (or one row an option, for exact distributions). Refused records are
    listed beside FILE, in FILE.rejected.jsonl.
    """
    from crystal import analysis

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    with screen.progress() as progress:
        rows, rejected = analysis.convert(
            paths,
            out,
            format=log_format,
            mapping=options.mapping(field_map),
            checkpoints=tuple(checkpoint or ()),
            on_error=on_error,
            progress=progress,
        )
    if rejected:
        screen.say(f"refused {rejected:,} records; see {out}.rejected.jsonl")
    screen.result({"path": str(out), "rows": rows, "rejected": rejected}, f"wrote {out}: {rows:,} rows")
