"""The benchmark's own honesty, at tiny sizes: answers first, absent peers named, files whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from crystal.benchmarking import clock, machine, operations, peers, picture, run, samples, whole, words
from crystal.benchmarking.clock import Rival, race
from crystal.benchmarking.results import Findings, Peer, Timing, Whole
from crystal.cli.app import app
from crystal.engine import measure
from crystal.errors import SettingsError

TINY = {"js-matrix": 100, "hellinger-matrix": 100, "linkage": 30, "kmeans": 50, "token-stats": 3}


@pytest.mark.parametrize("name", operations.REGISTRY)
def test_every_operation_runs_and_no_peer_contradicts_it(name: str) -> None:
    if name == "token-stats":
        pytest.importorskip("torch")
    found = operations.measure(name, quick=True, seconds=0, with_peers=True, size=TINY.get(name, 1_000))
    assert found.items > 0
    assert isfinite(found.rate)
    assert [peer for peer in found.peers if peer.state == "wrong"] == []


def test_a_peer_with_another_answer_is_not_timed_and_an_absent_one_is_named() -> None:
    rivals = {
        "right": Rival("numpy", "numpy", lambda _: lambda: 1),
        "wrong": Rival("numpy", "numpy", lambda _: lambda: 2),
        "absent": Rival("no-such-package-of-crystal", "nothing", lambda _: lambda: 1),
    }
    timing, found = race(lambda: 1, rivals, peers.equal, seconds=0)
    assert [(peer.name, peer.state) for peer in found] == [
        ("right", "timed"), ("wrong", "wrong"), ("absent", "absent"),
    ]  # fmt: skip
    assert timing.rounds == 2
    assert found[0].ratio is not None
    assert found[1].timing is None


def test_logs_are_reproducible_and_hold_what_they_say(tmp_path: Path) -> None:
    for form in ("parquet", "jsonl"):
        samples.write(tmp_path / f"a.{form}", 2_000, seed=3, tasks=4)
    counted = [measure(tmp_path / f"a.{form}") for form in ("parquet", "jsonl")]
    assert counted[0].digest() == counted[1].digest()
    texts: Counter[Any] = Counter()
    for batch in samples.batches(2_000, 3, 4):
        texts.update(
            zip(*(batch.column(n).to_pylist() for n in ("checkpoint", "task", "prompt", "text")), strict=True)
        )
    rows = counted[0].counts.result().to_pylist()
    answers: Counter[Any] = Counter()
    for (checkpoint, task, prompt, text), count in texts.items():
        answers[checkpoint, task, prompt, text.strip(" .!").lower()] += count
    assert answers == Counter(
        {
            (json.loads(row["checkpoint"])[3], row["task"], json.loads(row["prompt"])[1], row["option"]): row[
                "count"
            ]
            for row in rows
        }
    )


def test_the_base_depends_on_the_prompt_and_later_checkpoints_do_not() -> None:
    base, tuned = samples.distributions(0)
    assert np.ptp(base, axis=1).max() > 0.5
    assert np.ptp(tuned, axis=1).max() == 0


def test_the_whole_job_is_checked_against_group_by(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    (found,) = whole.counting([3_000], "parquet", tmp_path, seconds=0, with_peers=True)
    assert {peer.name: peer.state for peer in found.peers}["duckdb"] == "timed"
    assert (found.samples, list(tmp_path.iterdir())) == (3_000, [])
    assert found.peak_bytes is None or found.peak_bytes > 1 << 20


def test_the_whole_job_is_timed_to_the_end(tmp_path: Path) -> None:
    found = whole.analysis(1, 300, tmp_path)
    assert found.timing.rounds == 1
    assert found.timing.wall_seconds > found.counting.wall_seconds > 0
    assert found.timing.cpu_seconds > found.counting.cpu_seconds
    assert found.rate == 300 / found.timing.wall_seconds
    assert (tmp_path / "report" / "report.json").exists()
    text = words.as_text(msgspec.structs.replace(findings(), analysis=found))
    assert "The whole analyze of 300 samples (1 tasks x 8 checkpoints x 8 prompts)" in text


def test_cpu_seconds_count_processes_that_were_waited_for() -> None:
    before = machine.cpu_seconds()
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert machine.cpu_seconds() - before > 0.25


def findings() -> Findings:
    lines = [
        Whole("parquet", n, n * 8, Timing(n * 1e-6, n * 1e-6, 2), None,
              [Peer("duckdb", "timed", "1", Timing(n * 5e-7, 1.0, 2), 0.5), Peer("polars", "absent")])
        for n in (10_000, 100_000)
    ]  # fmt: skip
    return Findings("1.0", {"cores": "2"}, [], lines, {"parquet": whole.slope(lines)}, None)


def test_losses_are_listed() -> None:
    assert (
        words.losses(findings())[0] == "parquet, 10,000 samples: duckdb takes 0.50 of crystal's CPU seconds"
    )
    assert "polars absent" in words.as_text(findings())
    assert "to the power 1.00" in words.as_markdown(findings())


def test_the_picture_is_svg_with_a_line_for_each() -> None:
    root = ElementTree.fromstring(picture.as_svg(findings()))  # noqa: S314  # our own
    assert sum(node.tag.endswith("path") for node in root.iter()) == 2
    empty = Findings("1.0", {}, [], [], {}, None)
    assert "not timed" in picture.as_svg(empty)


def test_the_command_writes_three_files_and_one_document(tmp_path: Path) -> None:
    out = tmp_path / "bench"
    result = CliRunner().invoke(app, ["bench", "--quick", "--only", "js-matrix", "--json", "--out", str(out)])
    assert result.exit_code == 0
    document = msgspec.json.decode(result.stdout, type=Findings)
    assert [one.name for one in document.operations] == ["js-matrix"]
    assert sorted(path.name for path in out.iterdir()) == ["bench.json", "bench.md", "bench.svg"]
    assert msgspec.json.decode((out / "bench.json").read_bytes(), type=Findings) == document


def test_unknown_operations_are_refused() -> None:
    with pytest.raises(SettingsError, match="no such operation"):
        run.plan(quick=True, only=["nothing"])
    assert CliRunner().invoke(app, ["bench", "--only", "nothing"]).exit_code == 2


def test_plans() -> None:
    assert run.plan(quick=False).sizes == (10**4, 10**5, 10**6, 10**7)
    assert run.plan(quick=False, only=["linkage"]).sizes == ()
    assert run.plan(quick=True).tasks == 0


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "_rounds", interrupted)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["bench", "--quick", "--only", "whole", "--out", str(out)])
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []
