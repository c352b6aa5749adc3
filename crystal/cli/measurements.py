"""What the verbs that handle measurement files say about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystal.errors import InputError

if TYPE_CHECKING:
    from crystal.states.measurement import Measurement


def load(path: Path) -> Measurement:
    """Read a measurement file.

    Raises
    ------
    InputError
        If it is not there or is no measurement.
    """
    from crystal.states.measurement import Measurement

    if path.is_dir():
        path = path / "measurement.crystal"
    if not path.exists():
        raise InputError("there is no such file", where=str(path), expected="a measurement file")
    return Measurement.load(path)


def describe(measurement: Measurement, path: Path) -> dict[str, Any]:
    """Return what is in a measurement, for ``--json``."""
    manifest = measurement.manifest
    return {
        "path": str(path),
        "digest": measurement.digest(),
        "files": list(manifest.files),
        "samples": manifest.samples,
        "rejected": manifest.rejected,
        "settings": dict(measurement.settings),
        "tasks": sorted(measurement.tasks),
    }


def summary(measurement: Measurement) -> str:
    """Say what is in a measurement, on one line."""
    from crystal.report.words import many

    manifest = measurement.manifest
    read = f"{many(manifest.samples, 'sample')} from {many(len(manifest.files), 'file')}"
    return f"{read}, {many(manifest.rejected, 'record')} refused"
