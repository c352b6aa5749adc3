from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crystal.datasets.shipped import PROVENANCE, TABLES
from crystal.errors import InputError, SettingsError
from crystal.lab.recipe import STAMP
from crystal.lab.run import Run
from crystal.lab.shipping import RUNS, ship


@pytest.fixture(scope="module")
def runs(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all tiny runs that a data set is made of."""
    folder = tmp_path_factory.mktemp("runs") / "lab"
    shutil.copytree(lab, folder)
    for name in RUNS[1:]:
        run = Run(folder, name, "tiny", 0)
        run.write(run.train())
    return folder


def test_the_same_runs_ship_as_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    made = ship(runs, tmp_path / "one", "tiny")
    (tmp_path / "two" / "main").mkdir(parents=True)
    (tmp_path / "two" / "main" / "stale.parquet").write_text("of an earlier shipping")
    assert ship(runs, tmp_path / "two", "tiny") == made
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*")}
    assert files == {path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*")}
    for path in files:
        if (tmp_path / "one" / path).is_file():
            assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_the_rows_are_those_of_the_runs_and_say_what_made_them(runs: Path, tmp_path: Path) -> None:
    made = ship(runs, tmp_path / "out", "tiny")
    assert made["made_by"][0] == (
        "crystal lab --out lab-runs --preset tiny --seeds 0"
        " --control main --control foreign --control rl-outside"
    )
    for name in RUNS:
        for table in TABLES:
            whole = pq.read_table(tmp_path / "out" / name / f"{table}.parquet")
            assert whole.equals(pq.read_table(runs / "tiny-0" / name / f"{table}.parquet"))
            assert json.loads(whole.schema.metadata[PROVENANCE]) == made
            assert whole.schema.metadata[b"crystal.schema_version"] == b"1.0"


def test_a_missing_run_and_another_recipe_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such run.*crystal lab .*--seeds 3"):
        ship(runs, tmp_path / "out", "tiny", 3)
    other = tmp_path / "other"
    shutil.copytree(runs, other)
    (other / "tiny-0" / STAMP).write_text("{}")
    with pytest.raises(SettingsError, match="another"):
        ship(other, tmp_path / "out", "tiny")
    assert not (tmp_path / "out").exists()
