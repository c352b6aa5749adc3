from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import crystal
from crystal import datasets
from crystal.datasets.shipped import DATA, PROVENANCE, TABLES
from crystal.errors import SettingsError
from crystal.lab.presets import CONTROLS, preset
from crystal.lab.recipe import stamp
from crystal.lab.world import CONTEXTS, World
from crystal.samples import distribution_schema, sample_schema

LADDER = datasets.load("lab-small")
ENDS = ["base-500", "sft-60", "dpo-20", "rl-30"]


def test_what_there_is() -> None:
    assert datasets.names() == ("lab-small",)
    assert list(LADDER.runs) == ["main", "foreign", "rl-outside"]
    with pytest.raises(SettingsError, match=r"no such data set \(expected lab-small, got 'lab-large'\)"):
        datasets.load("lab-large")
    with pytest.raises(SettingsError, match="expected samples, exact"):
        LADDER.runs["main"].table("weights")


def test_it_is_small_and_nothing_else_lies_there() -> None:
    files = [path for path in DATA.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
    expected = {LADDER.tasks, LADDER.folder / "provenance.json"}
    for run in LADDER.runs.values():
        expected |= {run.folder / "truth.json", *(run.path(table) for table in TABLES)}
    assert set(files) == expected


def test_it_was_made_by_the_recipe_of_this_version() -> None:
    """Whoever raises the recipe must ship again: docs/lab.md has the two commands."""
    provenance = LADDER.provenance
    assert {name: provenance[name] for name in stamp(preset("small"))} == stamp(preset("small"))
    assert provenance["made_by"][0].startswith("crystal lab ")
    assert (provenance["preset"], provenance["seed"]) == ("small", 0)
    assert set(provenance["versions"]) == {"crystal", "torch", "numpy", "pyarrow"}
    for run in LADDER.runs.values():
        for table in TABLES:
            assert json.loads(pq.read_schema(run.path(table)).metadata[PROVENANCE]) == provenance


@pytest.mark.parametrize("name", LADDER.runs)
def test_the_truth_is_that_of_the_world_it_comes_from(name: str) -> None:
    truth, world = LADDER.runs[name].truth, World(0)
    assert truth["says"] == CONTROLS[name].says
    assert truth["expected"] == {
        "picture_holds": list(CONTROLS[name].expected),
        "refuted": CONTROLS[name].refuted,
    }
    for task in world.tasks:
        own = truth["tasks"][task.id]
        assert own["options"] == list(task.options)
        np.testing.assert_allclose([own["sources"][context] for context in CONTEXTS], task.sources, atol=1e-6)
        assert own["seed"] == (None if name == "foreign" else CONTEXTS[task.seed])


@pytest.mark.parametrize("name", LADDER.runs)
def test_replies_follow_the_exact_probabilities(name: str) -> None:
    run = LADDER.runs[name]
    for replies, exact in (("samples", "exact"), ("between-samples", "between-exact")):
        drawn, listed = run.table(replies), run.table(exact)
        assert drawn.column_names == sample_schema().names
        assert listed.column_names == distribution_schema().names
        place = ["checkpoint", "task", "prompt"]
        counts = drawn.group_by([*place, "answer"]).aggregate([([], "count_all")])
        seen = {tuple(row[c] for c in [*place, "answer"]): row["count_all"] for row in counts.to_pylist()}
        rows = listed.select([*place, "option", "probability"]).to_pylist()
        assert len(drawn) == 50 * len({tuple(row[c] for c in place) for row in rows})
        p = np.array([row["probability"] for row in rows])
        found = np.array([seen.get(tuple(row[c] for c in [*place, "option"]), 0) for row in rows])
        # Squared standardised counts have mean 1; those of cells that expect 1 or more, a variance below 4.
        big = (50 * p >= 1) & (p < 0.98)
        squares = (found - 50 * p)[big] ** 2 / (50 * p * (1 - p))[big]
        assert abs(squares.mean() - 1) < 5 * np.sqrt(4 / big.sum())
    assert run.table().column("checkpoint").unique().to_pylist() == ENDS


def test_exact_probabilities_give_each_verdict_that_is_true() -> None:
    for name, run in LADDER.runs.items():
        report = crystal.analyze(run.exact, tasks=LADDER.tasks)
        ladder = report.ladders[run.truth["ladder"]]
        assert ladder.picture_holds is (name == "main")
        refuted = run.truth["expected"]["refuted"]
        assert refuted is None or ladder.clauses[refuted].holds is False
        assert [rung.checkpoint for rung in ladder.checkpoints] == ENDS


def test_the_whole_ladder_reads_as_one() -> None:
    run = LADDER.runs["main"]
    measurement = crystal.measure(crystal.read([run.samples, run.between], tasks=LADDER.tasks))
    (rungs,) = measurement.ladders().values()
    assert [rung.name for rung in rungs] == [
        "base-500", "sft-2", "sft-4", "sft-8", "sft-16", "sft-60", "dpo-20", "rl-10", "rl-30",
    ]  # fmt: skip


def test_paths_are_those_of_the_package() -> None:
    assert LADDER.folder.is_relative_to(Path(datasets.__file__).parent)
    assert LADDER.runs["main"].between == LADDER.runs["main"].path("between-samples")
