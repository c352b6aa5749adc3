"""A distribution with a bad row is refused as a whole."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from crystal import readers
from crystal.engine import measure
from crystal.errors import InputError

CELL = {"ladder": "l", "stage": "sft", "step": 1, "task": "t"}


def rows(name: str | None, *probabilities: Any, **more: Any) -> list[dict[str, Any]]:
    return [
        CELL | {"prompt": name, "option": f"o{i}", "probability": p} | more
        for i, p in enumerate(probabilities)
    ]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("bad", [math.nan, None, -0.5, 1.5, "half"])
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_all_rows_of_it_are_listed_and_others_stay(tmp_path: Path, bad: Any, batch_rows: int) -> None:
    lines = rows("spoiled", 0.2, bad, 0.3) + rows("good", 0.5, 0.5) + rows("spoiled", 0.1, stage="rl")
    path = write(tmp_path / "a.jsonl", lines)
    stream = readers.read(path, on_error="collect", batch_rows=batch_rows)
    kept = [(row["prompt"], row["stage"]) for batch in stream for row in batch.to_pylist()]
    assert kept == [("good", "sft"), ("good", "sft"), ("spoiled", "rl")]
    assert [(one.file, one.row) for one in stream.rejections] == [(str(path), row) for row in (2, 1, 3)]
    first, *others = stream.rejections
    assert first.reason.startswith("field 'probability'")
    assert {one.reason for one in others} == {f"another row of its distribution was refused ({path}, row 2)"}
    assert stream.rows == stream.samples + len(stream.rejections) == 6
    with pytest.raises(InputError, match="row 2: field 'probability'"):
        list(readers.read(path))


def test_a_bad_row_spoils_what_came_in_other_files(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", rows("p", 0.2) + rows("q", 1.0))
    write(tmp_path / "b.jsonl", rows("p", math.nan))
    write(tmp_path / "c.jsonl", [*rows("p", 0.2), CELL | {"prompt": "s", "text": "x"}])
    measurement = measure(tmp_path, on_error="collect")
    assert measurement.exact.result()["prompt"].to_pylist() == ['["","q"]']
    assert measurement.counts.total == 1
    assert measurement.manifest.rejected == 3
    assert measurement.manifest.samples == 2


def test_a_row_that_does_not_say_whose_it_is_costs_itself(tmp_path: Path) -> None:
    lines = [*rows("p", 0.4, 0.6), *rows(None, 0.5), *rows("p", 0.5, stage="tuned")]
    stream = readers.read(write(tmp_path / "a.jsonl", lines), on_error="collect")
    assert sum(batch.num_rows for batch in stream) == 2
    assert [one.row for one in stream.rejections] == [3, 4]
