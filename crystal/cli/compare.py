"""``crystal compare``: whether two models share the tuned behaviour, and the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal compare runs-a.crystal runs-b.crystal
  crystal compare both.crystal --ladders llama,mistral --json
  crystal compare report-a report-b --out comparison"""


def compare(
    paths: options.Measurements,
    ladders: Annotated[
        str | None,
        typer.Option(
            "--ladders",
            metavar="A,B",
            help="The ladder of each, where there are several.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, options.out("DIR", "Folder for comparison.html and comparison.json.")] = None,
    alpha: options.Alpha = 0.05,
    seed: options.Seed = 0,
    order: options.Order = None,
    setting: options.Set = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare two ladders, task by task: the tuned behaviours, and the seeds they nucleated on.

    Give a measurement of each, or one that holds both.
    SHARED and DIFFERENT are said where the samples show them, with a control: how near the two would be if
    the names of the options meant nothing.
    """
    import json

    from crystal.cli.measurements import load
    from crystal.errors import SettingsError
    from crystal.phases.compare import compare as compared
    from crystal.report.compare_text import to_text
    from crystal.report.comparison import check_folder, write_folder

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    if len(paths) > 2:
        raise SettingsError("two ladders are compared", where="MEASUREMENT...", got=f"{len(paths)} paths")
    given = (*options.names(ladders), None, None)
    if len(given) not in (2, 4):
        raise SettingsError("two ladders are compared", where="--ladders", expected="A,B", got=repr(ladders))
    chosen = options.settings(alpha, seed, order, setting)
    if out is not None:
        check_folder(out, overwrite=overwrite)
    first = load(paths[0])
    second = load(paths[1]) if len(paths) > 1 else None
    with screen.progress() as progress:
        result = compared(first, second, ladders=(given[0], given[1]), settings=chosen, progress=progress)
    if out is not None:
        write_folder(out, result)
    screen.result(json.loads(result.to_json()), to_text(result))
    if out is not None:
        screen.say(f"wrote {out / 'comparison.html'} and comparison.json beside it")
