"""From logs to a report, as a user does it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest

from crystal.report.report_json import schema

Run = Callable[..., subprocess.CompletedProcess[str]]
FAST = ("--set", "draws=199", "--set", "interval_draws=100", "--set", "splits=4", "--set", "simulations=4")
FILES = {"report.html", "report.json", "metrics.parquet", "counts.parquet"} | {
    "measurement.crystal",
    "rejected.jsonl",
}
ANSWERS = {"base": "heads tails edge heads tails", "sft": "heads heads heads heads tails"}


def rows(**changes: Any) -> list[dict[str, Any]]:
    """Two checkpoints, two tasks, two prompts, 20 samples each."""
    return [
        {
            "ladder": "toy", "stage": stage, "step": step, "checkpoint": f"toy-{stage}", "task": task,
            "prompt": prompt, "family": "verb", "sample": i, "text": ANSWERS[stage].split()[i % 5], **changes,
        }
        for stage, step in (("base", 0), ("sft", 10))
        for task in ("coin", "toss")
        for prompt in ("Flip a coin.", "Toss a coin.")
        for i in range(20)
    ]  # fmt: skip


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("log") / "a.jsonl", rows())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_a_summary_and_where_they_are(inside: Run, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = inside("analyze", log, "--out", out, *FAST)
    assert done.returncode == 0, done.stderr
    assert set(contents(out)) == FILES
    assert re.search(r"toy-base +base +0 +[A-Z]+\n *toy-sft +sft +10 +[A-Z]+", done.stdout)
    assert re.search(r"toy-base → toy-sft +[A-Z]+", done.stdout)
    assert "160 samples from 1 file, no record refused" in done.stdout
    assert str(out / "report.html") in done.stderr
    report = json.loads((out / "report.json").read_bytes())
    jsonschema.Draft202012Validator(schema()).validate(report)
    assert report["inputs"] == {"files": [str(log)], "samples": 160, "rejected": 0}
    assert [c["checkpoint"] for c in report["ladders"]["toy"]["checkpoints"]] == ["toy-base", "toy-sft"]
    assert (out / "rejected.jsonl").read_bytes() == b""
    counts = pq.read_table(out / "counts.parquet")
    assert sum(counts.column("count").to_pylist()) == 160


def test_json_is_the_report_and_nothing_else(inside: Run, log: Path, tmp_path: Path) -> None:
    done = inside("analyze", log, "--json", "--quiet", "--out", tmp_path / "out", *FAST)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.encode() == (tmp_path / "out" / "report.json").read_bytes()


def test_a_repeated_run_is_the_same_bytes_for_any_threads(crystal: Run, log: Path, tmp_path: Path) -> None:
    for threads in (1, 2):
        done = crystal("analyze", log, "--out", tmp_path / str(threads), *FAST, CRYSTAL_THREADS=str(threads))
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_in_steps_and_in_parts_it_is_the_same_report(inside: Run, tmp_path: Path) -> None:
    records = rows()
    write(tmp_path / "a.jsonl", records[::2])
    write(tmp_path / "b.jsonl", records[1::2])
    whole = inside("analyze", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--out", tmp_path / "whole", *FAST)
    assert whole.returncode == 0, whole.stderr
    for name in "ba":
        done = inside("measure", tmp_path / f"{name}.jsonl", "--out", tmp_path / f"{name}.crystal", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["samples"] == 80
    done = inside("merge", tmp_path / "b.crystal", tmp_path / "a.crystal", "--out", tmp_path / "c.crystal")
    assert "160 samples from 2 files" in done.stdout
    done = inside("classify", tmp_path / "c.crystal", "--out", tmp_path / "parts", *FAST)
    assert done.returncode == 0, done.stderr
    parts = contents(tmp_path / "parts")
    assert set(parts) == FILES - {"rejected.jsonl"}
    assert parts.items() <= contents(tmp_path / "whole").items()
    assert inside("classify", tmp_path / "whole", "--json", *FAST).stdout.encode() == parts["report.json"]


def test_the_same_samples_twice_are_refused(inside: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.jsonl").write_bytes(log.read_bytes())
    for verb, more in (("analyze", ()), ("measure", ("--out", tmp_path / "a.crystal"))):
        done = inside(verb, log, tmp_path / "copy.jsonl", *more)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
    inside("measure", log, "--out", tmp_path / "a.crystal")
    twice = ("merge", tmp_path / "a.crystal", tmp_path / "a.crystal", "--out", tmp_path / "b.crystal")
    assert inside(*twice).returncode == 3
    done = inside(*twice, "--allow-duplicates", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["samples"] == 320


def test_converted_logs_count_the_same(inside: Run, log: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("a.parquet", "a.arrow", "a.jsonl"):
        done = inside("convert", log, "--out", tmp_path / name, "--json")
        assert json.loads(done.stdout) == {"path": str(tmp_path / name), "rows": 160, "rejected": 0}
        done = inside("measure", tmp_path / name, "--out", tmp_path / "m.crystal", "--json")
        digests.add(json.loads(done.stdout)["digest"])
    digests.add(
        json.loads(inside("measure", log, "--out", tmp_path / "m.crystal", "--json").stdout)["digest"]
    )
    assert len(digests) == 1


def test_folders_and_maps_say_what_rows_do_not(inside: Run, tmp_path: Path) -> None:
    for stage, step in (("base", 0), ("sft", 10)):
        records = [
            {"question": r["prompt"], "reply": r["text"], "kind": r["task"]}
            for r in rows()
            if r["stage"] == stage
        ]
        write(tmp_path / "runs" / "mine" / f"{stage}-{step}" / "a.jsonl", records)
        write(tmp_path / "flat" / f"{stage}.jsonl", records)
    fields = ("--map", "prompt=question,text=reply", "--map", "task=kind")
    places = ("--checkpoint", "base*=mine/base/0/one", "--checkpoint", "*=mine/sft/10/two")
    for arguments, names in (
        ((tmp_path / "runs",), ["base-0", "sft-10"]),
        ((tmp_path / "flat", *places), ["one", "two"]),
    ):
        done = inside("analyze", *arguments, *fields, "--json", *FAST)
        assert done.returncode == 0, done.stderr
        ladder = json.loads(done.stdout)["ladders"]["mine"]
        assert [c["checkpoint"] for c in ladder["checkpoints"]] == names


def test_order_where_steps_do_not_give_one(inside: Run, tmp_path: Path) -> None:
    log = write(
        tmp_path / "a.jsonl",
        [{**r, "stage": "other", "step": 0 if r["stage"] == "sft" else 1} for r in rows()],
    )
    other = write(
        tmp_path / "b.jsonl",
        [{**r, "stage": "other" if r["stage"] == "sft" else "base", "step": 0} for r in rows()],
    )
    ordered = inside("analyze", log, "--json", *FAST)
    ladder = json.loads(ordered.stdout)["ladders"]["toy"]
    assert [c["checkpoint"] for c in ladder["checkpoints"]] == ["toy-sft", "toy-base"]
    done = inside("analyze", other, *FAST)
    assert done.returncode == 3
    assert "--order" in done.stderr or "order" in done.stderr
    done = inside("analyze", other, "--order", "toy-sft,toy-base", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    ladder = json.loads(done.stdout)["ladders"]["toy"]
    assert [c["checkpoint"] for c in ladder["checkpoints"]] == ["toy-sft", "toy-base"]


def test_out_that_is_somebody_elses(inside: Run, log: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    assert inside("analyze", log, "--out", mine, *FAST).returncode == 2
    done = inside("analyze", log, "--out", tmp_path, *FAST)
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert set(contents(tmp_path)) == {"mine.txt"}
    assert inside("analyze", log, "--out", tmp_path, "--overwrite", *FAST).returncode == 0
    done = inside("analyze", log, "--out", tmp_path, *FAST)
    assert done.returncode == 0
    assert "replacing the report of crystal" in done.stderr
    assert set(contents(tmp_path)) == FILES | {"mine.txt"}
    assert mine.read_text() == "mine"


def test_a_failed_run_leaves_the_report_that_was_there(inside: Run, log: Path, tmp_path: Path) -> None:
    inside("analyze", log, "--out", tmp_path / "out", *FAST)
    before = contents(tmp_path / "out")
    assert inside("analyze", tmp_path / "absent", "--out", tmp_path / "out", *FAST).returncode == 3
    assert contents(tmp_path / "out") == before


INTERRUPTED_WHILE = """
import contextlib, os, signal, sys
_, stage, *sys.argv = sys.argv
from crystal.cli.screen import Screen

@contextlib.contextmanager
def progress(self):
    def show(what, done, total):
        if what.startswith(stage):
            os.killpg(0, signal.SIGINT)  # as the keyboard does: to all that the command started, too
    yield show

Screen.progress = progress
from crystal.cli.main import run
run()
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("stage", ["reading", "judging tasks", "looking for change points"])
def test_interrupted_analysis_writes_nothing(stage: str, tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", [row for task in "abcdefgh" for row in rows(task=task)])
    words = ("crystal", "analyze", str(log), "--out", str(tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE, stage, *words],
        capture_output=True, text=True, timeout=60, check=False, start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "crystal: error: interrupted; nothing was written\n"
    assert not (tmp_path / "out").exists()


def test_gates(inside: Run, log: Path, tmp_path: Path) -> None:
    done = inside("analyze", log, "--out", tmp_path / "out", "--fail-on", "picture-unknown", "--quiet", *FAST)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--fail-on: toy" in done.stderr
    assert set(contents(tmp_path / "out")) == FILES
    assert inside("report", tmp_path / "out", "--fail-on", "picture-false", "--quiet").returncode == 0


EVIL = '<script>alert(1)</script>\x1b[31m\x07"\'&=HYPERLINK("http://x")\u202e{{7*7}}'


def test_hostile_text_is_harmless_everywhere(inside: Run, tmp_path: Path) -> None:
    records = [
        {**r, "text": EVIL if r["sample"] % 4 == 0 else r["text"], "task": EVIL} for r in rows(ladder=EVIL)
    ]
    records = [
        {**r, "prompt": r["prompt"] + EVIL, "family": EVIL, "checkpoint": r["checkpoint"] + EVIL}
        for r in records
    ]
    log = write(tmp_path / "a.jsonl", records)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps([EVIL]) + "\n")
    out = tmp_path / "out"
    done = inside("analyze", log, "--out", out, "--answer", "whole", *FAST)
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, done.stderr, (out / "report.html").read_text(encoding="utf-8")):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert set(json.loads((out / "report.json").read_bytes())["ladders"]) == {EVIL}
    assert set(pq.read_table(out / "counts.parquet").column("ladder").to_pylist()) == {EVIL}
    assert json.loads((out / "rejected.jsonl").read_text(encoding="utf-8"))["row"] == 161
    assert json.loads((out / "report.json").read_bytes())["inputs"]["rejected"] == 1
    assert "refused 1 record" in done.stderr
    assert "1 record refused" in " ".join(done.stdout.split())


def test_exact_distributions_need_no_samples(inside: Run, tmp_path: Path) -> None:
    records = [
        {"ladder": "exact", "stage": stage, "step": step, "task": "coin", "prompt": prompt, "option": option,
         "probability": p if option == "heads" else 1 - p}
        for stage, step, p in (("base", 0, 0.5), ("sft", 10, 0.9))
        for prompt in ("a", "b")
        for option in ("heads", "tails")
    ]  # fmt: skip
    done = inside("analyze", write(tmp_path / "a.jsonl", records), "--json", *FAST)
    assert done.returncode == 0, done.stderr
    task = json.loads(done.stdout)["ladders"]["exact"]["tasks"]["coin"]
    jsd = task["transitions"][0]["metrics"]["jsd"]
    assert jsd["exact"] is True
    assert jsd["value"] == jsd["low"] == jsd["high"] == pytest.approx(0.1468, abs=1e-4)


def test_a_public_ladder_without_any_flag(inside: Run, shared_data: Path, tmp_path: Path) -> None:
    done = inside("analyze", shared_data / "tulu3-8b" / "samples.jsonl", "--out", tmp_path / "out", *FAST)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    ladder = report["ladders"]["tulu3-8b"]
    assert report["inputs"]["samples"] == 2830
    assert [rung["stage"] for rung in ladder["checkpoints"]] == ["base", "sft", "dpo", "rl"]
    assert ladder["picture_holds"] is None
    assert "neither confirm nor refute" in done.stdout
    assert "base → sft: 2 prompts" in done.stdout
