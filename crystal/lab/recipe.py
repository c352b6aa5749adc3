"""What a folder of runs was made with: its runs are gone on with, and shipped, by the same recipe only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crystal.atomic_write import atomic_write
from crystal.errors import SettingsError
from crystal.lab.presets import RECIPE, Preset

STAMP = "recipe.json"


def stamp(preset: Preset) -> dict[str, Any]:
    """Return the version of the recipe and the numbers of a preset, as JSON has them."""
    found: dict[str, Any] = json.loads(json.dumps({"recipe": RECIPE, **vars(preset)}))
    return found


def claim(folder: Path, preset: Preset) -> None:
    """Stamp the folder that runs of one size and seed share, or see that it is of this recipe.

    Raises
    ------
    SettingsError
        If it was made with another preset or another version of the recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(path.is_dir() for path in folder.iterdir()):
        check(folder, preset)
    else:
        atomic_write(folder / STAMP, json.dumps(stamp(preset), indent=1) + "\n")


def check(folder: Path, preset: Preset) -> None:
    """See that the runs in a folder were made by this recipe.

    Raises
    ------
    SettingsError
        If they were not, or nothing says so.
    """
    ours = stamp(preset)
    try:
        theirs = dict(json.loads((folder / STAMP).read_bytes()))
    except (OSError, ValueError, TypeError):
        theirs = {}
    for name in sorted({*ours, *theirs}):
        if theirs.get(name) != ours.get(name):
            raise SettingsError(
                f"these runs were made with another {name}",
                where=str(folder),
                expected=json.dumps(ours.get(name)),
                got=json.dumps(theirs[name]) if name in theirs else f"none in {STAMP}",
                fix="give another --out, or remove the folder to make its runs again",
            )
