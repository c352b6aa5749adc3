"""``crystal measure``: count now, judge later (or elsewhere)."""

from __future__ import annotations

from crystal.cli import options
from crystal.cli.measurements import describe, summary
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal measure monday.jsonl --out monday.crystal
  crystal measure runs/ --out runs.crystal --tasks default"""


def measure(
    paths: options.Paths,
    out: options.MeasurementOut,
    log_format: options.Format = "auto",
    tasks: options.Tasks = None,
    answer: options.Answer = "short",
    field_map: options.Map = None,
    checkpoint: options.CheckpointRules = None,
    on_error: options.OnError = "collect",
    allow_duplicates: options.AllowDuplicates = False,
    sequences: options.Sequences = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Count the samples of logs into a mergeable measurement.

    Measurements of different logs can be merged in any order and give the same bytes as one pass over all.
    Refused records are listed beside FILE, in FILE.rejected.jsonl.
    """
    from crystal import analysis
    from crystal.readers.sample_file import check_apart
    from crystal.report.folder import write_rejected
    from crystal.report.words import many

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    check_apart(out, paths)
    with screen.progress() as progress:
        measurement, rejections = analysis.read_and_measure(
            paths,
            format=log_format,
            tasks=tasks,
            answer=answer,
            mapping=options.mapping(field_map),
            checkpoints=tuple(checkpoint or ()),
            on_error=on_error,
            allow_duplicates=allow_duplicates,
            sequences=sequences,
            progress=progress,
        )
    if rejected := write_rejected(rejections, out):
        screen.say(f"refused {many(len(rejections), 'record')}; see {rejected}")
    measurement.save(out)
    screen.result(describe(measurement, out), f"wrote {out}: {summary(measurement)}")
