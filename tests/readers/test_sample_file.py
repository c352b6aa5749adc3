from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import crystal
from crystal.errors import InputError, SettingsError
from crystal.readers.sample_file import write_samples

ROWS = {
    "ladder": ["toy"] * 5,
    "stage": ["base"] * 2 + ["sft"] * 3,
    "step": [0] * 2 + [10] * 3,
    "task": ["coin", "die"] * 2 + ["coin"],
    "prompt": ["flip", "roll", "flip", "röll", '"q", é\u2028'],
    "family": [None, "verb", None, "verb", None],
    "text": ["heads", "=1+1", "<b>\n", "", "\x00tail"],
    "temperature": [1.0, 0.5, None, 0.0, None],
}
EXACT = {name: ROWS[name] for name in ("ladder", "stage", "step", "task", "prompt")} | {
    "option": ["a", "b", "a", "b", "a"],
    "probability": [0.5, 0.25, 0.0, 1.0, 1e-9],
}


def rows(source: object, **options: object) -> list[dict[str, object]]:
    found = [row for batch in crystal.read(source, **options) for row in batch.to_pylist()]
    for row in found:
        del row["source"]
    return found


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl"])
@pytest.mark.parametrize("table", [ROWS, EXACT], ids=["samples", "distributions"])
@pytest.mark.parametrize("batch_rows", [2, 65_536])
def test_what_is_written_is_read_again(
    tmp_path: Path, suffix: str, table: dict[str, list[object]], batch_rows: int
) -> None:
    log = pa.table(table)
    file = tmp_path / f"out{suffix}"
    assert write_samples(crystal.read(log, batch_rows=batch_rows), file) == 5
    assert rows(file) == rows(log)


def test_batches_may_bring_their_own_dictionaries(tmp_path: Path) -> None:
    logs = [pa.table({**ROWS, "ladder": [name] * 5}) for name in ("a", "b", "c")]
    batches = [batch for log in logs for batch in crystal.read(log)]
    for suffix in (".parquet", ".arrow"):
        assert write_samples(batches, tmp_path / f"out{suffix}") == 15
        assert [r["ladder"] for r in rows(tmp_path / f"out{suffix}")] == ["a"] * 5 + ["b"] * 5 + ["c"] * 5


def test_two_kinds_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    batches = [batch for log in (ROWS, EXACT) for batch in crystal.read(pa.table(log))]
    with pytest.raises(InputError, match="mixed"):
        write_samples(batches, tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


def test_other_names_and_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.parquet \.arrow \.jsonl"):
        write_samples([], tmp_path / "out.xlsx")
    with pytest.raises(InputError, match="no rows"):
        write_samples([], tmp_path / "out.arrow")
    assert not list(tmp_path.iterdir())
