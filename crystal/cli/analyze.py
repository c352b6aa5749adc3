"""``crystal analyze``: from logs to a report in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from crystal.cli import gate, options
from crystal.cli.guard import GATE
from crystal.cli.screen import Screen

if TYPE_CHECKING:
    from crystal.phases.results import PhaseReport

EXAMPLES = """\b
Examples:
  crystal analyze samples.jsonl --out report
  crystal analyze runs/ --out report --tasks default
  crystal analyze logs/*.csv --map prompt=input,text=output --checkpoint 'base*=my/base/0'
  crystal analyze runs/ --json --fail-on RENUCLEATION > report.json"""


def analyze(
    paths: options.Paths,
    out: options.ReportOut = None,
    log_format: options.Format = "auto",
    tasks: options.Tasks = None,
    answer: options.Answer = "short",
    field_map: options.Map = None,
    checkpoint: options.CheckpointRules = None,
    on_error: options.OnError = "collect",
    allow_duplicates: options.AllowDuplicates = False,
    sequences: options.Sequences = False,
    alpha: options.Alpha = 0.05,
    seed: options.Seed = 0,
    order: options.Order = None,
    change_points: options.ChangePoints = "cuts",
    setting: options.Set = None,
    fail_on: options.FailOn = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Analyse the samples of a post-training ladder.

    Reads logs, counts the answers, classifies every checkpoint and transition, prints a summary, and leaves
    report.html, report.json, metrics.parquet, counts.parquet, measurement.crystal and rejected.jsonl in DIR.
    """
    from crystal import analysis
    from crystal.report.folder import check_folder
    from crystal.report.words import many

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    gates = gate.parse(fail_on)
    chosen = options.settings(alpha, seed, order, setting, change_points)
    if out is not None and (replaced := check_folder(out, overwrite=overwrite)):
        screen.say(f"replacing {replaced}")
    with screen.progress() as progress:
        report = analysis.analyze(
            paths,
            out,
            format=log_format,
            tasks=tasks,
            answer=answer,
            mapping=options.mapping(field_map),
            checkpoints=tuple(checkpoint or ()),
            on_error=on_error,
            allow_duplicates=allow_duplicates,
            sequences=sequences,
            settings=chosen,
            overwrite=overwrite,
            progress=progress,
        )
    show(report, screen)
    if tasks is not None and not _bound(report, tasks):
        screen.say(f"--tasks {tasks} has none of the log's tasks: options are what was seen")
    if out is not None:
        screen.say(f"wrote {out / 'report.html'} and five files beside it")
    if report.inputs.rejected:
        where = f"; see {out / 'rejected.jsonl'}" if out is not None else "; --out DIR lists them"
        screen.say(f"refused {many(report.inputs.rejected, 'record')}{where}")
    hold(report, gates, screen)


def _bound(report: PhaseReport, tasks: str) -> set[str]:
    """Return the tasks of the log that option lists were asked for; a name that differs a little has none."""
    from crystal.tasks import load

    return {task for ladder in report.ladders.values() for task in ladder.tasks} & set(load(tasks).tasks)


def show(report: PhaseReport, screen: Screen) -> None:
    """Print a report: all of it as JSON, or its summary for people."""
    if screen.as_json:
        screen.raw(report.to_json().decode() + "\n")
    elif not screen.quiet:
        from crystal.report.text import to_text

        screen.raw(to_text(report, width=screen.width, color=screen.color))


def hold(report: PhaseReport, gates: tuple[str, ...], screen: Screen) -> None:
    """Leave with exit code 1 if the report meets a condition of ``--fail-on``."""
    failures = gate.failures(report, gates)
    for failure in failures:
        screen.error(f"--fail-on: {failure}")
    if failures:
        raise typer.Exit(GATE)
