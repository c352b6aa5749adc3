from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from crystal.errors import SettingsError
from crystal.lab.presets import CONTROLS, PRESETS
from crystal.lab.recipe import STAMP, claim
from crystal.lab.run import Run

FULL = os.environ.get("CRYSTAL_FULL_FAULTS") == "1"
RUNGS = 5  # base 2; sft 1, 2; dpo 2; rl 2


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that must be the same; torch's own archives hold no promise about their bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".pt", ".npz") and "report" not in path.parts
    }


def test_a_run_leaves_samples_exact_answers_logits_weights_and_truth(lab: Path) -> None:
    out = lab / "tiny-0" / "main"
    samples, exact = pq.read_table(out / "samples.parquet"), pq.read_table(out / "exact.parquet")
    between = pq.read_table(out / "between-samples.parquet")
    assert samples.num_rows == 4 * 12 * 12 * PRESETS["tiny"].samples
    assert between["checkpoint"].unique().to_pylist() == ["sft-1"]
    held_out = pq.read_table(out / "held-out-samples.parquet")
    assert (
        samples.num_rows + between.num_rows + held_out.num_rows == RUNGS * 15 * 24 * PRESETS["tiny"].samples
    )
    truth = json.loads((out / "truth.json").read_text())
    assert truth["expected"] == {"picture_holds": [True], "refuted": None}
    assert {name for name, task in truth["tasks"].items() if task["held_out"]} == {"coin", "rps", "card"}
    listed = {name: task["options"] for name, task in truth["tasks"].items()}
    rungs = sorted((lab / "tiny-0" / "phases").glob("*/*-*"))
    assert len(rungs) == RUNGS
    for rung in rungs:
        logits = np.load(rung / "logits.npy")
        assert logits.shape[0] == 15 * 24
        with np.load(rung / "weights.npz") as weights:
            assert sum(weights[name].size for name in weights) == truth["parameters"]
            assert all(weights[name].dtype == np.float16 for name in weights)
    assert {row["option"] for row in exact.to_pylist()} <= {
        word for words in listed.values() for word in words
    }


def test_log_probabilities_of_answers_are_the_exact_ones(lab: Path) -> None:
    out = lab / "tiny-0" / "main"
    exact = {
        (row["checkpoint"], row["task"], row["prompt"], row["option"]): row["probability"]
        for row in pq.read_table(out / "exact.parquet").to_pylist()
    }
    rows = [row for row in pq.read_table(out / "samples.parquet").to_pylist() if row["answer"] is not None]
    assert rows
    for row in rows:
        p = exact[row["checkpoint"], row["task"], row["prompt"], row["answer"]]
        assert np.exp(row["logprobs"][0]) == pytest.approx(p, rel=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(lab: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, "main", "tiny", 0)
    run.write(run.train())
    assert contents(tmp_path) == contents(lab)
    other = Run(tmp_path, "main", "tiny", 1)
    other.write(other.train())
    samples = [pq.read_table(one.out / "samples.parquet")["text"] for one in (run, other)]
    assert samples[0] != samples[1]


@pytest.mark.parametrize("at", range(1, RUNGS + 1) if FULL else [2, 4])
def test_a_killed_run_goes_on_to_the_same_bytes(lab: Path, tmp_path: Path, at: int) -> None:
    script = f"""
import os, signal
from pathlib import Path
from crystal.lab import run
kept = []
def measure(*arguments, own=run.measure):
    kept.append(1)
    own(*arguments)
    if len(kept) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
run.measure = measure
run.Run(Path({str(tmp_path)!r}), "main", "tiny", 0).train()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "tiny-0" / "main").exists()
    run = Run(tmp_path, "main", "tiny", 0)
    run.write(run.train())
    assert contents(tmp_path) == contents(lab)


def test_runs_that_begin_alike_share_what_they_share(lab: Path) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in (lab / "tiny-0" / "phases").rglob("*") if path.is_file()
    }
    run = Run(lab, "rl-outside", "tiny", 0)
    rungs = run.train()
    assert len(rungs) == RUNGS
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    new = {path.name for path in run.phases.iterdir()} - {
        path.relative_to(run.phases).parts[0] for path in before
    }
    assert new == {"base-corpus.sft-seed.dpo-inside.rl-outside"}
    shutil.rmtree(run.phases / "base-corpus.sft-seed.dpo-inside.rl-outside")


@pytest.mark.parametrize("name", CONTROLS)
def test_each_control_says_what_it_is(name: str, tmp_path: Path) -> None:
    run = Run(tmp_path, name, "tiny", 0)
    truth = run.truth()
    assert truth["control"] == name
    assert truth["says"] == CONTROLS[name].says
    assert truth["expected"]["picture_holds"] == ([True] if name == "main" else [False, None])
    stages = [phase["stage"] for phase in truth["phases"]]
    assert ("sft" in stages) == (name not in ("more-pretraining", "rl-from-base"))
    colour = truth["tasks"]["colour"]
    seed = run.world.tasks[list(truth["tasks"]).index("colour")]
    target = {"foreign": seed.foreign, "average": seed.answers("average", 0)}.get(
        name, seed.sources[seed.seed]
    )
    if name in ("per-context", "more-pretraining", "rl-from-base"):
        assert colour["target"] is None
    else:
        np.testing.assert_allclose(colour["target"], target, atol=1e-6)
    assert (colour["seed"] is not None) == (name in ("main", "rl-outside", "blind-reward"))
    if "rl" in stages:
        data = {"rl-outside": "outside", "blind-reward": "blind"}.get(name, "inside")
        assert colour["rewards"]["rl"] == seed.rewards[data].tolist()


def test_more_pretraining_counts_on_and_rl_from_the_base_reads_documents(tmp_path: Path) -> None:
    more = Run(tmp_path, "more-pretraining", "tiny", 0)
    more.write(more.train())
    rows = pq.read_table(more.out / "samples.parquet", columns=["stage", "step"]).to_pylist()
    assert {(row["stage"], row["step"]) for row in rows} == {("base", 2), ("base", 4)}
    straight = Run(tmp_path, "rl-from-base", "tiny", 0)
    straight.write(straight.train())
    rendering = pq.read_table(straight.out / "samples.parquet", columns=["rendering"])["rendering"]
    assert rendering.unique().to_pylist() == ["document"]


def test_a_folder_of_another_size_or_recipe_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path / "tiny-0", PRESETS["tiny"])
    (tmp_path / "tiny-0" / "phases").mkdir()
    before = contents(tmp_path)
    claim(tmp_path / "tiny-0", PRESETS["tiny"])  # runs of the same size and recipe share
    assert contents(tmp_path) == before
    with monkeypatch.context() as patch:
        patch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], batch=9))
        for act in (Run(tmp_path, "main", "tiny", 0).train, Run(tmp_path, "main", "tiny", 0).go):
            with pytest.raises(SettingsError, match=r"another batch.*expected 9, got 8.*another --out"):
                act()
    with monkeypatch.context() as patch:
        patch.setattr("crystal.lab.recipe.RECIPE", 10_000)
        with pytest.raises(SettingsError, match="another recipe"):
            claim(tmp_path / "tiny-0", PRESETS["tiny"])
    assert contents(tmp_path) == before
    for stamp in ("[1]", "nonsense", "[]"):
        (tmp_path / "tiny-0" / STAMP).write_text(stamp)
        with pytest.raises(SettingsError, match="got none in"):
            claim(tmp_path / "tiny-0", PRESETS["tiny"])
    (tmp_path / "tiny-0" / STAMP).unlink()
    with pytest.raises(SettingsError, match="got none in"):  # made before folders were stamped
        claim(tmp_path / "tiny-0", PRESETS["tiny"])


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="preset"):
        Run(tmp_path, "main", "huge", 0)
    with pytest.raises(SettingsError, match="control"):
        Run(tmp_path, "magic", "tiny", 0)
