"""``crystal merge``: several measurements into one."""

from __future__ import annotations

from crystal.cli import options
from crystal.cli.measurements import describe, summary
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal merge monday.crystal tuesday.crystal --out both.crystal"""


def merge(
    paths: options.Measurements,
    out: options.MeasurementOut,
    allow_duplicates: options.AllowDuplicates = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Merge measurements; the order does not matter.

    Samples that two of them counted from the same place are refused, unless told otherwise.
    """
    from crystal.cli.measurements import load

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    total = load(paths[0])
    for path in paths[1:]:
        total.merge(load(path), allow_duplicates=allow_duplicates)
    total.save(out)
    screen.result(describe(total, out), f"wrote {out}: {summary(total)}")
