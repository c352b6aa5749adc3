"""``crystal measure``: count now, judge later (or elsewhere)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.measurements import describe, summary
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal measure monday.jsonl --out monday.crystal
  crystal measure runs/ --out runs.crystal --tasks default"""


def measure(
    paths: options.Paths,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Measurement file to write.", show_default=False),
    ],
    log_format: options.Format = "auto",
    tasks: options.Tasks = None,
    answer: options.Answer = "short",
    field_map: options.Map = None,
    checkpoint: options.CheckpointRules = None,
    on_error: options.OnError = "collect",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Count the samples of logs into a mergeable measurement.

    Measurements of different logs can be merged in any order and give the same bytes as one pass over all.
    Refused records are listed beside FILE, in FILE.rejected.jsonl.
    """
    from crystal import analysis
    from crystal.atomic_write import atomic_path

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    with screen.progress() as progress:
        measurement, rejections = analysis.read_and_measure(
            paths,
            format=log_format,
            tasks=tasks,
            answer=answer,
            mapping=options.mapping(field_map),
            checkpoints=tuple(checkpoint or ()),
            on_error=on_error,
            progress=progress,
        )
    rejected = out.with_name(out.name + ".rejected.jsonl")
    if len(rejections):
        with atomic_path(rejected) as scratch:
            rejections.write_jsonl(scratch)
        screen.say(f"refused {len(rejections):,} records; see {rejected}")
    elif rejected.is_file():
        rejected.unlink()  # of an earlier run: it would tell of records that were not refused
    with atomic_path(out) as scratch:
        measurement.save(scratch)
    screen.result(describe(measurement, out), f"wrote {out}: {summary(measurement)}")
