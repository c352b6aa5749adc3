from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crystal.errors import InputError, SettingsError
from crystal.phases.results import PhaseReport
from crystal.readers.rejections import Rejection, Rejections
from crystal.report import folder, html
from crystal.report.folder import FILES, check_folder, write_folder, write_rejected
from crystal.report.report_json import read_report
from crystal.report.tables import counts_schema, counts_table
from crystal.samples import Checkpoint, Prompt
from crystal.states.measurement import Measurement
from crystal.states.task_options import TaskOptions

Factory = Callable[..., PhaseReport]
BASE, SFT = Checkpoint("toy", "base", 0, "toy-base"), Checkpoint("toy", "sft", 10, "toy-sft")
FLIP, ROLL = Prompt("", "flip"), Prompt("verb", "=roll()\x1b[0m")


def measured(*, tasks: dict[str, TaskOptions] | None = None) -> Measurement:
    measurement = Measurement(tasks=tasks)
    measurement.update(
        {
            "checkpoint": [SFT.key(), BASE.key(), BASE.key(), BASE.key()],
            "task": ["coin"] * 4,
            "prompt": [FLIP.key()] * 3 + [ROLL.key()],
            "option": ["heads", "heads", None, "tails"],
            "count": [7, 2, 1, 3],
        }
    )
    measurement.update(
        {
            "checkpoint": [BASE.key()] * 2,
            "task": ["die"] * 2,
            "prompt": [FLIP.key()] * 2,
            "option": ["six", "one"],
            "probability": [0.25, 0.5],
        }
    )
    return measurement


def refusals(count: int) -> Rejections:
    found = Rejections()
    for row in range(1, count + 1):
        found.append(Rejection("a.jsonl", row, "no text"))
    return found


def test_counts_are_every_cell_in_order() -> None:
    table = counts_table(measured())
    assert table.schema.equals(counts_schema(), check_metadata=True)
    table.validate(full=True)
    toy = ("toy", "base", 0, "toy-base")
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (*toy, "coin", "verb", "=roll()\x1b[0m", "tails", True, 3, None),
        (*toy, "coin", None, "flip", "heads", True, 2, None),
        (*toy, "coin", None, "flip", None, False, 1, None),
        (*toy, "die", None, "flip", "one", True, None, 0.5),
        (*toy, "die", None, "flip", "six", True, None, 0.25),
        ("toy", "sft", 10, "toy-sft", "coin", None, "flip", "heads", True, 7, None),
    ]


def test_answers_outside_a_bound_list_are_not_valid() -> None:
    options = TaskOptions(options=("heads",), positions=None, period=None)
    table = counts_table(measured(tasks={"coin": options})).to_pylist()
    assert {(row["task"], row["option"]): row["valid"] for row in table} == {
        ("coin", "tails"): False,
        ("coin", "heads"): True,
        ("coin", None): False,
        ("die", "one"): True,
        ("die", "six"): True,
    }


def test_counts_of_nothing_are_an_empty_table() -> None:
    assert counts_table(Measurement()).num_rows == 0


def test_folder_has_all_files_and_they_agree(tmp_path: Path, make_report: Factory) -> None:
    out = tmp_path / "deep" / "out"
    report, measurement = make_report(), measured()
    write_folder(out, report, measurement, refusals(2))
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert read_report(out).to_json() == report.to_json()
    assert pq.read_table(out / "metrics.parquet").equals(report.to_arrow())
    assert pq.read_table(out / "counts.parquet").equals(counts_table(measurement))
    assert Measurement.load(out / "measurement.crystal") == measurement
    assert (out / "report.html").read_text(encoding="utf-8") == html.to_html(report)
    assert [json.loads(line)["row"] for line in (out / "rejected.jsonl").read_bytes().splitlines()] == [1, 2]


def test_the_same_report_is_the_same_bytes(tmp_path: Path, make_report: Factory) -> None:
    for name in ("a", "b"):
        write_folder(tmp_path / name, make_report(), measured(), refusals(1))
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_failed_run_harms_nothing(
    tmp_path: Path, make_report: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, make_report(), measured(), refusals(1))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(report: PhaseReport) -> str:
        raise RuntimeError

    monkeypatch.setattr(html, "to_html", fail)
    with pytest.raises(RuntimeError):
        write_folder(tmp_path, make_report(picture=False), measured(), refusals(5))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_report_without_readings_leaves_the_list_of_refusals(tmp_path: Path, make_report: Factory) -> None:
    write_folder(tmp_path, make_report(), measured(), refusals(1))
    write_folder(tmp_path, make_report(picture=False), measured())
    assert (tmp_path / "rejected.jsonl").read_bytes()
    assert read_report(tmp_path).ladders["olmo"].picture_holds is False


def test_new_empty_and_own_folders_are_free(tmp_path: Path, make_report: Factory) -> None:
    assert check_folder(tmp_path / "absent") is None
    assert check_folder(tmp_path) is None
    write_folder(tmp_path, make_report(), measured())
    (tmp_path / "notes.txt").write_text("mine")
    assert check_folder(tmp_path) == f"the report of crystal 0.1.0 in {tmp_path}"
    write_folder(tmp_path, make_report(), measured())
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"schema_version": "1.0"}'])
def test_folders_of_others_need_a_word(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(SettingsError, match=r"report\.json.*--overwrite"):
        check_folder(tmp_path)
    assert check_folder(tmp_path, overwrite=True) == f"report.json in {tmp_path}"
    (tmp_path / "report.json").rename(tmp_path / "samples.jsonl")
    with pytest.raises(SettingsError, match=r"samples\.jsonl"):
        check_folder(tmp_path)
    assert check_folder(tmp_path, overwrite=True) is None


def test_a_file_is_no_folder(tmp_path: Path, make_report: Factory) -> None:
    (tmp_path / "out").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(SettingsError, match="is a file"):
            check_folder(tmp_path / "out", overwrite=overwrite)
        with pytest.raises(SettingsError, match=r"out: .*is a file"):
            check_folder(tmp_path / "out" / "main" / "here", overwrite=overwrite)
    with pytest.raises(InputError):
        write_folder(tmp_path / "out", make_report(), measured())
    assert (tmp_path / "out").read_text() == "mine"


def test_refusals_beside_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.crystal"
    assert write_rejected(refusals(0), file) is None
    assert write_rejected(refusals(2), file) == tmp_path / "a.crystal.rejected.jsonl"
    assert len((tmp_path / "a.crystal.rejected.jsonl").read_bytes().splitlines()) == 2
    write_rejected(refusals(0), file)
    assert not list(tmp_path.iterdir())


def test_every_file_is_described() -> None:
    page = (Path(folder.__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    for name in FILES:
        assert f"| `{name}` |" in page
