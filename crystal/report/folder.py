"""The folder that an analysis leaves: its six files, written all or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from crystal.atomic_write import atomic_files, atomic_path
from crystal.errors import SettingsError
from crystal.phases.results import PhaseReport

if TYPE_CHECKING:
    from crystal.readers.rejections import Rejections
    from crystal.states.measurement import Measurement

HTML, JSON, METRICS = "report.html", "report.json", "metrics.parquet"
COUNTS, MEASUREMENT, REJECTED = "counts.parquet", "measurement.crystal", "rejected.jsonl"
FILES = (HTML, JSON, METRICS, COUNTS, MEASUREMENT, REJECTED)


def check_folder(out: str | Path, *, overwrite: bool = False) -> str | None:
    """Say whether a report may be written to a folder, before anything is computed.

    It may if the folder does not exist, is empty, or holds a report that crystal wrote; other folders need
    ``overwrite``. Only files of the names in :data:`FILES` are ever replaced.

    Returns
    -------
    str or None
        What will be replaced, in words, if anything.

    Raises
    ------
    SettingsError
        If ``out`` is a file, or a folder with other things in it.
    """
    folder = Path(out)
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if there.exists() and not there.is_dir():
        raise SettingsError(
            "the place for the report is a file",
            where=str(there),
            expected="a folder",
            fix="choose another --out",
        )
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    version = _written_by(folder / JSON)
    if version is not None:
        return f"the report of crystal {version} in {folder}"
    if names and not overwrite:
        raise SettingsError(
            "the folder has other things in it",
            where=str(folder),
            expected="a new folder, an empty one, or an earlier report",
            got=", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""),
            fix="choose another --out, or pass --overwrite to replace files named "
            f"{', '.join(FILES)} and leave the others alone",
        )
    replaced = [name for name in names if name in FILES]
    return f"{', '.join(replaced)} in {folder}" if replaced else None


def _written_by(path: Path) -> str | None:
    """Return the version of crystal that wrote a report.json, or None if it is not one."""
    try:
        head = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if isinstance(head, dict) and "schema_version" in head and "ladders" in head:
        return str(head.get("crystal_version", "?"))
    return None


def write_folder(
    out: str | Path,
    report: PhaseReport,
    measurement: Measurement,
    rejections: Rejections | None = None,
) -> None:
    """Write a report's files: all of them, or none if anything fails.

    Parameters
    ----------
    out : str or Path
        The folder; made if it is not there.
    report : PhaseReport
        What ``classify`` returned.
    measurement : Measurement
        What it was computed from.
    rejections : Rejections, optional
        What the readers refused; without it ``rejected.jsonl`` is not written.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    from crystal.report.html import to_html
    from crystal.report.tables import counts_table, metrics_table, write_parquet

    # report.json last: whoever waits for it finds the rest.
    with atomic_files(out, last=(JSON,)) as scratch:
        measurement.save(scratch / MEASUREMENT)
        write_parquet(counts_table(measurement), scratch / COUNTS)
        write_parquet(metrics_table(report), scratch / METRICS)
        (scratch / HTML).write_text(to_html(report), encoding="utf-8")
        if rejections is not None:
            rejections.write_jsonl(scratch / REJECTED)
        (scratch / JSON).write_bytes(report.to_json() + b"\n")


def write_rejected(rejections: Rejections, beside: str | Path) -> Path | None:
    """List refused records in ``BESIDE.rejected.jsonl``, if there are any.

    A list of an earlier run is removed: it would tell of records that were not refused.

    Returns
    -------
    Path or None
        The file, if it was written.
    """
    path = Path(f"{beside}.rejected.jsonl")
    if not len(rejections):
        path.unlink(missing_ok=True)
        return None
    with atomic_path(path) as scratch:
        rejections.write_jsonl(scratch)
    return path
