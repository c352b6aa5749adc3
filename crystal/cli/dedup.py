"""``crystal dedup``: open-ended answers into classes, which ``analyze`` then reads as answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal dedup stories.jsonl --out classes.parquet
  crystal dedup runs/ --out classes.parquet --classes normalised --cells cells.parquet
  crystal analyze classes.parquet --out report"""


def dedup(
    paths: options.Paths,
    out: options.LogOut,
    classes: Annotated[
        str,
        typer.Option(
            "--classes",
            metavar="KIND",
            help="Which texts are one answer: exact, normalised (case, punctuation and articles aside) or "
            "near-duplicate (nearly the same words).",
        ),
    ] = "near-duplicate",
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", help="Least Jaccard similarity of near-duplicates (5-character shingles)."
        ),
    ] = 0.8,
    cells: Annotated[
        Path | None,
        typer.Option(
            "--cells",
            metavar="FILE",
            help="Classes, largest share and coverage by checkpoint and prompt: .parquet or .jsonl.",
            show_default=False,
        ),
    ] = None,
    log_format: options.Format = "auto",
    field_map: options.Map = None,
    checkpoint: options.CheckpointRules = None,
    on_error: options.OnError = "collect",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Sort open-ended answers into classes.

    Texts of one task that are equal, equal but for case and punctuation, or nearly equal become one answer,
    over all checkpoints and prompts. The table that it writes has the class in the column "answer", which
    analyze reads. Logs are read twice; memory grows with the distinct texts.
    """
    from crystal.engine.dedup import dedup as run
    from crystal.readers.sample_file import check_apart
    from crystal.report.folder import write_rejected
    from crystal.report.words import many

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    if cells is not None:
        _check_cells(cells)
        check_apart(cells, paths)
    with screen.progress() as progress:
        done = run(
            paths,
            out,
            classes,  # type: ignore[arg-type]
            threshold=threshold,
            progress=progress,
            format=log_format,
            mapping=options.mapping(field_map),
            checkpoints=tuple(checkpoint or ()),
            on_error=on_error,
        )
    if cells is not None:
        _write_cells(done.cells, cells)
    if rejected := write_rejected(done.rejections, out):
        screen.say(f"refused {many(len(done.rejections), 'record')}; see {rejected}")
    document = {
        "path": str(out),
        "kind": classes,
        "threshold": threshold if classes == "near-duplicate" else None,
        "rows": done.rows,
        "rejected": len(done.rejections),
        "texts": done.texts,
        "classes": done.classes,
        "cells": done.cells,
    }
    summary = f"wrote {out}: {many(done.rows, 'row')}; {done.texts} different texts, {done.classes} classes"
    screen.result(document, "\n".join([summary, *_table(done.cells)]))


def _table(cells: list[dict[str, Any]]) -> list[str]:
    """Return a line a checkpoint: means over its prompts."""
    from crystal.report.words import clean

    rungs: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for cell in cells:
        key = (cell["ladder"], cell["stage"], cell["step"], cell["checkpoint"])
        rungs.setdefault(key, []).append(cell)
    lines = [
        f"{'checkpoint':<32} {'prompts':>7} {'samples':>9} {'classes':>8} {'largest':>8} {'coverage':>8}"
    ]
    for (ladder, stage, step, _), some in rungs.items():
        name = clean(f"{ladder}/{stage}/{step}")
        valid = [cell for cell in some if cell["classes"]]
        means = [
            sum(cell[field] for cell in valid) / len(valid) if valid else float("nan")
            for field in ("classes", "largest_share", "coverage")
        ]
        samples = sum(cell["samples"] for cell in some)
        lines.append(
            f"{name:<32} {len(some):>7} {samples:>9} {means[0]:>8.1f} {means[1]:>8.3f} {means[2]:>8.3f}"
        )
    return lines


def _check_cells(path: Path) -> None:
    from crystal.errors import SettingsError

    if path.suffix.lower() not in (".parquet", ".jsonl"):
        raise SettingsError(
            "the name does not say which format",
            where=str(path),
            expected="a name that ends in .parquet or .jsonl",
        )


def _write_cells(cells: list[dict[str, Any]], path: Path) -> None:
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from crystal.atomic_write import atomic_path

    with atomic_path(path) as scratch:
        if path.suffix.lower() == ".parquet":
            pq.write_table(pa.Table.from_pylist(cells), scratch)
        else:
            scratch.write_bytes(b"".join(msgspec.json.encode(cell) + b"\n" for cell in cells))
