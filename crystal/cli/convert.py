"""``crystal convert``: any log into the sample table, as one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crystal.cli import options
from crystal.cli.screen import Progress, Screen

if TYPE_CHECKING:
    from crystal.readers.stream import SampleStream

EXAMPLES = """\b
Examples:
  crystal convert logs/ --out samples.parquet
  crystal convert replies.csv --out samples.jsonl --map prompt=input,text=output"""


def convert(
    paths: options.Paths,
    out: options.LogOut,
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
    from crystal.readers import read
    from crystal.readers.sample_file import check_apart, check_target, write_samples
    from crystal.report.folder import write_rejected
    from crystal.report.words import many

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    check_target(out)
    check_apart(out, paths)
    stream = read(
        paths,
        format=log_format,
        mapping=options.mapping(field_map),
        checkpoints=tuple(checkpoint or ()),
        on_error=on_error,
    )
    with screen.progress() as progress:
        rows = write_samples(_watched(stream, progress), out)
    if rejected := write_rejected(stream.rejections, out):
        screen.say(f"refused {many(len(stream.rejections), 'record')}; see {rejected}")
    document = {"path": str(out), "rows": rows, "rejected": len(stream.rejections)}
    screen.result(document, f"wrote {out}: {many(rows, 'row')}")


def _watched(stream: SampleStream, progress: Progress | None) -> Iterator[Any]:
    for batch in stream:
        if progress is not None:
            progress("reading", stream.bytes_read, stream.bytes_total or None)
        yield batch
