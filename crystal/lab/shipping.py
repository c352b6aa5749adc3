"""From runs of the laboratory to a data set that ships: ``python -m crystal.lab.shipping RUNS FOLDER``.

The same runs give the same bytes (with the same version of pyarrow). Torch is not needed.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystal.atomic_write import atomic_path, atomic_write
from crystal.datasets.shipped import PROVENANCE, PROVENANCE_FILE, TABLES
from crystal.errors import InputError
from crystal.lab.presets import preset
from crystal.lab.recipe import check, stamp

RUNS = ("main", "foreign", "rl-outside")
"""The main run, and one control for each clause that SFT and RL can break."""


def ship(runs: Path, folder: Path, size: str = "small", seed: int = 0) -> dict[str, Any]:
    """Write the runs of one size and seed as a data set, in place of what is there.

    Parameters
    ----------
    runs : Path
        Where ``crystal lab`` put its runs.
    folder : Path
        The data set's folder.
    size, seed : str and int
        Which of the runs.

    Returns
    -------
    dict
        The provenance that is written: into ``provenance.json`` and every table's metadata.

    Raises
    ------
    InputError
        If a run is missing.
    SettingsError
        If the runs were made by another recipe.
    """
    source = runs / f"{size}-{seed}"
    for name in RUNS:
        if not (source / name / "truth.json").exists():
            raise InputError("there is no such run", where=str(source / name), fix=_command(size, seed))
    check(source, preset(size))
    truths = {name: json.loads((source / name / "truth.json").read_bytes()) for name in RUNS}
    provenance = {
        "made_by": [_command(size, seed), "python -m crystal.lab.shipping lab-runs FOLDER"],
        "preset": size,
        "seed": seed,
        **stamp(preset(size)),
        "versions": {
            "crystal": truths["main"]["crystal_version"],
            "torch": truths["main"]["torch_version"],
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
        "runs": list(RUNS),
    }
    shutil.rmtree(folder, ignore_errors=True)
    for name in RUNS:
        (folder / name).mkdir(parents=True)
        for table in TABLES:
            _write(
                pq.read_table(source / name / f"{table}.parquet"),
                folder / name / f"{table}.parquet",
                provenance,
            )
        shutil.copyfile(source / name / "truth.json", folder / name / "truth.json")
    shutil.copyfile(source / "main" / "tasks.toml", folder / "tasks.toml")
    atomic_write(folder / PROVENANCE_FILE, json.dumps(provenance, indent=1) + "\n")
    return provenance


def _command(size: str, seed: int) -> str:
    controls = " ".join(f"--control {name}" for name in RUNS)
    return f"crystal lab --out lab-runs --preset {size} --seeds {seed} {controls}"


def _write(table: pa.Table, path: Path, provenance: dict[str, Any]) -> None:
    """Write a table small: probabilities hardly repeat, so their bytes are put in planes."""
    planes = ["probability"] if "probability" in table.column_names else []
    metadata = {**table.schema.metadata, PROVENANCE: json.dumps(provenance).encode()}
    with atomic_path(path) as scratch:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            scratch,
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in table.column_names if name not in planes] if planes else True,
            use_byte_stream_split=planes,
        )


if __name__ == "__main__":
    made = ship(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(json.dumps(made, indent=1) + "\n")
