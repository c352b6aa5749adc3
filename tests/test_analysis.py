"""One call, three steps, shards and threads: the same report, byte for byte."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

import crystal
from crystal.errors import SettingsError
from crystal.phases.settings import Settings
from crystal.testing import planted

QUICK = Settings(draws=199, interval_draws=50, splits=4, simulations=10)


def test_unknown_engines_are_named() -> None:
    with pytest.raises(SettingsError, match="engine"):
        crystal.analyze([], engine="cluster")


def test_steps_shards_orders_and_threads_give_the_same_report(tmp_path: Path) -> None:
    samples = planted.ladder("picture", tasks=2, prompts=2, options=4, families=("context",)).samples(20)
    whole = crystal.analyze(samples, settings=QUICK)
    measurement = crystal.measure(samples)
    cuts = [0, 7, 250, 251, samples.num_rows]
    shards = [crystal.measure(samples.slice(a, b - a)) for a, b in pairwise(cuts)]
    merged = shards[2]
    for shard in (shards[0], shards[3], shards[1]):
        merged.merge(shard)
    assert merged.digest() == measurement.digest()
    merged.save(tmp_path / "merged.crystal")
    again = crystal.Measurement.load(tmp_path / "merged.crystal")
    one_thread = msgspec.structs.replace(QUICK, threads=1)
    reports = [
        crystal.classify(measurement, settings=QUICK),
        crystal.classify(again, settings=one_thread),
    ]
    for report in reports:
        assert msgspec.to_builtins(report.ladders) == msgspec.to_builtins(whole.ladders)
        assert report.settings == whole.settings
    assert reports[0].to_json() == whole.to_json()


@pytest.mark.parametrize(("threads", "shards"), [(1, 3), (2, 7), (3, 1)])
def test_threads_files_and_the_order_of_records_leave_the_report_as_it_is(
    threads: int, shards: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so many draws that threads share them; the report names its files, and nothing else may differ."""
    settings = msgspec.structs.replace(QUICK, draws=4_999, interval_draws=300)
    samples = planted.ladder("picture", tasks=2, prompts=3, options=4, families=("context",)).samples(25)
    monkeypatch.setenv("CRYSTAL_THREADS", "1")
    whole = crystal.analyze(samples, settings=settings)
    shuffled = samples.take(np.random.default_rng(shards).permutation(samples.num_rows))
    for shard in range(shards):
        rows = range(shard, shuffled.num_rows, shards)
        pq.write_table(shuffled.take(list(rows)), tmp_path / f"{shard}.parquet")
    monkeypatch.setenv("CRYSTAL_THREADS", str(threads))
    report = crystal.analyze(sorted(tmp_path.glob("*.parquet")), settings=settings)
    assert len(report.inputs.files) == shards
    assert msgspec.structs.replace(report, inputs=whole.inputs).to_json() == whole.to_json()
    assert (report.inputs.samples, report.inputs.rejected) == (samples.num_rows, 0)


def test_a_report_at_a_prompt_is_a_line() -> None:
    report = crystal.analyze(
        planted.ladder("frozen", tasks=1, prompts=2, options=3).samples(5), settings=QUICK
    )
    assert repr(report) == (
        "PhaseReport(80 samples; ladders={'planted-frozen': "
        "LadderResult(the picture is undetermined; tasks=['task-00'])})"
    )


def test_a_report_is_an_arrow_source(tmp_path: Path) -> None:
    import pyarrow as pa

    samples = planted.ladder("frozen", tasks=1, prompts=2, options=3).samples(12)
    report = crystal.analyze(samples, tmp_path / "report", settings=QUICK)
    table = pa.table(report)
    assert table.equals(report.to_arrow())
    ladder = report.ladders["planted-frozen"]
    steps = ladder.tasks["task-00"].transitions
    rows = table.filter((pa.compute.field("metric") == "jsd") & pa.compute.field("family").is_null())
    assert rows["value"].to_pylist() == [step.metrics["jsd"].value for step in steps]
    again = crystal.PhaseReport.from_json((tmp_path / "report" / "report.json").read_bytes())
    assert again.to_json() == report.to_json()
