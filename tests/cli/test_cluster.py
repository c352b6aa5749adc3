from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import crystal
from crystal.cli.app import app

RUN = CliRunner()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six prompts: three of each of two distributions at the base, one distribution when tuned."""
    rng = np.random.default_rng(0)
    p = {"base": [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], "tuned": [[0.1, 0.8, 0.1]] * 2}
    rows = [
        {
            "ladder": "mine",
            "stage": stage,
            "step": step,
            "task": task,
            "prompt": f"wording {number}",
            "answer": "abc"[answer],
        }
        for stage, step, name in (("base", 0, "base"), ("sft", 9, "tuned"))
        for task in ("letter", "other")
        for number in range(6)
        for answer in rng.choice(3, 60 if number < 5 else 4, p=p[name][number % 2])
    ]
    path = tmp_path_factory.mktemp("groups") / "m.crystal"
    log = path.with_suffix(".jsonl")
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    crystal.measure(crystal.read([log])).save(path)
    return path


def test_text_and_json(file: Path) -> None:
    result = RUN.invoke(app, ["cluster", str(file)])
    assert result.exit_code == 0, result.output
    assert "mine, letter" in result.stdout
    assert "5 prompts in 2 groups" in result.stdout
    assert "1 prompt without samples enough" in result.stdout
    done = RUN.invoke(app, ["cluster", str(file), "--task", "letter", "--json"])
    cells = json.loads(done.stdout)["cells"]
    assert [cell["task"] for cell in cells] == ["letter", "letter"]
    base, tuned = cells
    assert [group["prompts"] for group in base["groups"]] == [
        ["wording 0", "wording 2", "wording 4"],
        ["wording 1", "wording 3"],
    ]
    assert [group["samples"] for group in base["groups"]] == [180, 120]
    assert base["groups"][1]["distribution"][0][0] == "c"
    assert base["left_out"] == 1
    assert len(tuned["groups"]) == 1
    assert tuned["tests"][0]["p"] > 0.05
    again = RUN.invoke(app, ["cluster", str(file), "--task", "letter", "--json"])
    assert again.stdout == done.stdout


def test_choices(file: Path) -> None:
    name = json.loads(RUN.invoke(app, ["cluster", str(file), "--json"]).stdout)["cells"][0]["checkpoint"]
    arguments = ["cluster", str(file), "--checkpoint", name, "--k", "99", "--method", "average", "--json"]
    cells = json.loads(RUN.invoke(app, arguments).stdout)["cells"]
    assert [cell["checkpoint"] for cell in cells] == [name, name]
    assert [len(cell["groups"]) for cell in cells] == [5, 5]
    assert cells[0]["tests"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--k", "few"], 2),
        (["--k", "0"], 2),
        (["--method", "ward"], 2),
        (["--geometry", "flat"], 2),
        (["--ladder", "yours"], 2),
        (["--checkpoint", "none"], 2),
        (["--task", "none"], 3),
        (["--method", "single"], 2),
    ],
)
def test_wrong_usage(file: Path, arguments: list[str], code: int) -> None:
    assert RUN.invoke(app, ["cluster", str(file), *arguments]).exit_code == code


def test_bad_input(tmp_path: Path) -> None:
    assert RUN.invoke(app, ["cluster", str(tmp_path / "nowhere.crystal")]).exit_code == 3


def test_exact_distributions(tmp_path: Path) -> None:
    """Two groups of exact rows, with a gap between them."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        p = rng.dirichlet(90 * np.array([0.7, 0.2, 0.1] if number % 2 else [0.1, 0.2, 0.7]))
        rows += [
            {
                "ladder": "mine", "stage": "base", "step": 0, "task": "t", "prompt": f"{number}",
                "option": "abc"[i], "probability": p[i],
            }
            for i in range(3)
        ]  # fmt: skip
    log = tmp_path / "exact.parquet"
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), log)
    path = tmp_path / "m.crystal"
    crystal.measure(crystal.read([log])).save(path)
    (cell,) = json.loads(RUN.invoke(app, ["cluster", str(path), "--json"]).stdout)["cells"]
    assert cell["exact"]
    assert [len(group["prompts"]) for group in cell["groups"]] == [12, 12]
    assert cell["groups"][0]["samples"] is None
