"""``crystal classify``: a report from a measurement, without reading the logs again."""

from __future__ import annotations

from crystal.cli import gate, options
from crystal.cli.analyze import hold, show
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal classify runs.crystal
  crystal classify runs.crystal --out report --alpha 0.01 --set margins.liquid=0.2"""


def classify(
    path: options.Measurement,
    out: options.ReportOut = None,
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
    """Classify the checkpoints and transitions of a measurement.

    Prints a summary; with --out, leaves the files that analyze leaves (but for rejected.jsonl) in DIR.
    """
    from crystal import analysis
    from crystal.cli.measurements import load
    from crystal.report.folder import check_folder, write_folder

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    gates = gate.parse(fail_on)
    chosen = options.settings(alpha, seed, order, setting, change_points)
    if out is not None and (replaced := check_folder(out, overwrite=overwrite)):
        screen.say(f"replacing {replaced}")
    measurement = load(path)
    with screen.progress() as progress:
        report = analysis.classify_measurement(measurement, settings=chosen, progress=progress)
    if out is not None:
        write_folder(out, report, measurement)
    show(report, screen)
    if out is not None:
        screen.say(f"wrote {out / 'report.html'} and the files beside it")
    hold(report, gates, screen)
