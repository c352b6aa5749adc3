"""``crystal demo``: the main job on a ladder whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.analyze import show
from crystal.cli.screen import Screen

TASKS, PROMPTS, SAMPLES = 8, 6, 100
EXAMPLES = """\b
Examples:
  crystal demo
  crystal demo --kind escape --out demo-escape"""


def demo(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the samples and the report's files."),
    ] = Path("demo-report"),
    kind: Annotated[
        str,
        typer.Option("--kind", metavar="NAME", help="The story that is planted: picture, escape, blend, ..."),
    ] = "picture",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Analyse a planted ladder of known truth.

    The samples are drawn from distributions that crystal made up, not from a language model, so that the
    verdict can be compared with the truth. Leaves samples.parquet and the files of an analysis in DIR.
    """
    from crystal import analysis
    from crystal.atomic_write import atomic_path
    from crystal.report.folder import check_folder
    from crystal.report.tables import write_parquet
    from crystal.testing import planted

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    truth = planted.ladder(kind, tasks=TASKS, prompts=PROMPTS, options=8, seed=seed)
    if replaced := check_folder(out, overwrite=overwrite):
        screen.say(f"replacing {replaced}")
    screen.say(f"a planted ladder, not a language model: {planted.KINDS[kind]}")
    samples = truth.samples(SAMPLES)
    screen.say(f"drew {samples.num_rows:,} samples from it")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "samples.parquet") as scratch:
        write_parquet(samples, scratch)
    with screen.progress() as progress:
        report = analysis.analyze(
            [out / "samples.parquet"], out, seed=seed, overwrite=True, progress=progress
        )
    show(report, screen)
    said = {True: "is true", False: "is false", None: "is neither true nor false"}[truth.picture_holds]
    screen.say(f"The truth that was planted: the three-phase picture {said} of this ladder.")
    screen.say(f"Analyse its samples again: crystal analyze {out / 'samples.parquet'} --out DIR")
    screen.say(f"The report: {out / 'report.html'}")
