from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import crystal
from crystal.cli.app import app
from crystal.testing.planted_pairs import pair

RUN = CliRunner()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    paths = folder / "a.crystal", folder / "b.crystal"
    for model, path in zip(pair("same", tasks=5, prompts=4, options=6), paths, strict=True):
        crystal.measure(model.distributions()).save(path)
    return paths


def test_text_and_json(files: tuple[Path, Path]) -> None:
    result = RUN.invoke(app, ["compare", *map(str, files)])
    assert result.exit_code == 0, result.output
    assert "Tuned behaviours: " in result.stdout
    assert "task-00" in result.stdout
    assert "SHARED" in result.stdout
    document = json.loads(RUN.invoke(app, ["compare", *map(str, files), "--json"]).stdout)
    assert document["a"]["ladder"] == "model-a"
    assert document["tasks"]["task-00"]["tuned"]["verdict"] in {"SHARED", "UNDETERMINED"}


def test_the_folder_of_a_comparison(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["compare", *map(str, files), "--out", str(out), "--quiet"]
    assert RUN.invoke(app, arguments).exit_code == 0
    assert RUN.invoke(app, arguments).exit_code == 0, "its own files are replaced"
    assert sorted(path.name for path in out.iterdir()) == ["comparison.html", "comparison.json"]
    page = (out / "comparison.html").read_text()
    assert page.count("<tr>") == 6
    assert "model-a" in page
    (out / "mine.txt").write_text("mine")
    assert RUN.invoke(app, arguments).exit_code == 2
    assert RUN.invoke(app, [*arguments, "--overwrite"]).exit_code == 0
    assert RUN.invoke(app, ["compare", *map(str, files), "--out", str(out / "mine.txt")]).exit_code == 2


def test_wrong_usage_and_bad_input(files: tuple[Path, Path]) -> None:
    first = str(files[0])
    assert RUN.invoke(app, ["compare", first, first, first]).exit_code == 2
    assert RUN.invoke(app, ["compare", first, first, "--ladders", "one"]).exit_code == 2
    assert RUN.invoke(app, ["compare", first]).exit_code == 3
    assert RUN.invoke(app, ["compare", first, first]).exit_code == 3
    assert RUN.invoke(app, ["compare", first, "nowhere.crystal"]).exit_code == 3
