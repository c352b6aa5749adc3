from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from crystal.errors import InputError
from crystal.phases.results import CHECKPOINT_METRICS, TRANSITION_METRICS, PhaseReport
from crystal.report.report_json import generate_schema, parse_report, read_report, schema

Factory = Callable[..., PhaseReport]


def test_schema_is_current() -> None:
    assert schema() == generate_schema(), (
        "run: python -m crystal.report.report_json > crystal/report/report.schema.json"
    )


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_schema_describes_fields_in_plain_words() -> None:
    definitions = schema()["$defs"]
    assert "permutation test" in definitions["TransitionResult"]["properties"]["p"]["description"]
    assert "from" in definitions["TransitionResult"]["properties"]
    assert ":func:" not in json.dumps(definitions)
    assert "``" not in json.dumps(definitions)


@pytest.mark.parametrize("picture", [True, False, None])
def test_reports_validate(make_report: Factory, picture: bool | None) -> None:
    report = json.loads(make_report(picture=picture).to_json())
    jsonschema.Draft202012Validator(schema()).validate(report)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("ladders", "olmo", "picture_holds"), "yes"),
        (("ladders", "olmo", "checkpoints", 0, "phase"), "SOLID"),
        (("ladders", "olmo", "transitions", 0, "verdict"), None),
        (("ladders", "olmo", "tasks", "coin", "transitions", 0, "paired"), None),
        (("ladders", "olmo", "tasks", "coin", "checkpoints", "base", "metrics", "entropy", "value"), "1"),
        (("ladders", "olmo", "tasks", "coin", "checkpoints", "base", "metrics", "entropy", "unit"), None),
    ],
)
def test_schema_refuses_what_a_report_cannot_hold(
    make_report: Factory, path: tuple[Any, ...], value: object
) -> None:
    report = json.loads(make_report().to_json())
    place = report
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(report)


def test_round_trip_is_the_same_bytes(make_report: Factory) -> None:
    data = make_report(picture=None).to_json()
    assert parse_report(data).to_json() == data


def test_nan_is_written_as_null(make_report: Factory) -> None:
    report = make_report()
    report.ladders["olmo"].tasks["coin"].checkpoints["base"].metrics["entropy"].value = float("nan")
    again = parse_report(report.to_json())
    assert again.ladders["olmo"].tasks["coin"].checkpoints["base"].metrics["entropy"].value is None


def test_later_minor_version_is_read_and_unknown_keys_ignored(make_report: Factory) -> None:
    raw = json.loads(make_report().to_json())
    raw["schema_version"] = "1.7"
    raw["new"] = raw["ladders"]["olmo"]["new"] = {"a": 1}
    assert parse_report(json.dumps(raw)).ladders["olmo"].picture_holds is True


def test_other_major_version_is_refused_by_name(make_report: Factory) -> None:
    raw = json.loads(make_report().to_json())
    raw["schema_version"] = "2.0"
    with pytest.raises(InputError, match=r"another version.*expected 1\.x, got 2\.0"):
        parse_report(json.dumps(raw))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema_version": "1.0"}', b"\xff\xfe", b"not json"])
def test_what_is_no_report_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(data)
    with pytest.raises(InputError, match="no crystal report"):
        read_report(file)


def test_missing_file_and_folder(tmp_path: Path, make_report: Factory) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_report(tmp_path / "absent.json")
    with pytest.raises(InputError, match="no such file"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_bytes(make_report().to_json())
    assert read_report(tmp_path).inputs.samples == 2830


def test_every_field_and_metric_is_described_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([^`]+)`", page))
    fields = {field for definition in schema()["$defs"].values() for field in definition["properties"]}
    assert fields <= words, fields - words
    metrics = {*CHECKPOINT_METRICS, *TRANSITION_METRICS}
    assert metrics <= words, metrics - words
