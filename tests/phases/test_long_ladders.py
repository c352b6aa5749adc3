"""The change point of a ladder lies where the truth changes, and nowhere in a flat ladder."""

from __future__ import annotations

import msgspec
import pytest

from crystal.phases.long_ladders import scan_ladder
from crystal.phases.settings import Settings
from crystal.testing import planted
from crystal.testing.planted_long import long_ladder

QUICK = Settings(draws=999)
METHODS = ("cuts", "arnold-linear", "arnold-tv", "arnold-js")


def test_the_cut_is_at_the_end_of_the_liquid() -> None:
    for kind, at in (("picture", "sft-1000"), ("per_context", "rl-1500")):
        truth = planted.ladder(kind, tasks=3, prompts=4, options=6)
        found, scan = scan_ladder(truth.tables(60), QUICK)
        first = min(found, key=lambda change: change.p)
        assert (first.at, first.low, first.high) == (at, at, at)
        assert first.p < 0.01
        assert not first.gradual
        assert scan is not None
        assert (scan.method, scan.prompts) == ("cuts", 24)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_planted_cuts_and_nothing_in_a_flat_ladder(method: str) -> None:
    settings = msgspec.structs.replace(QUICK, change_points=method)
    truth = long_ladder("cuts", rungs=24, changes=(8, 16), tasks=2, prompts=2, options=5)
    found, scan = scan_ladder(truth.tables(40), settings)
    rungs = [rung.name for rung in truth.truth.checkpoints]
    assert [change.at for change in found] == [rungs[8], rungs[16]]
    assert {change.gradual for change in found} == {False if method == "cuts" else None}
    assert scan is not None
    assert scan.method == method
    assert len(scan.curve) == len(scan.null) == (0 if method == "cuts" else 23)
    flat, scan = scan_ladder(planted.ladder("frozen", tasks=3, prompts=4, options=6).tables(60), settings)
    assert flat == []
    assert scan is not None
    assert scan.p is not None
    assert scan.p > 0.05


def test_exact_ladders_have_a_curve_and_no_test() -> None:
    truth = planted.ladder("picture", tasks=2, prompts=2, options=6)
    assert scan_ladder(truth.exact_tables(), QUICK) == ([], None)
    found, scan = scan_ladder(
        truth.exact_tables(), msgspec.structs.replace(QUICK, change_points="arnold-js", change_window=1)
    )
    assert found == []
    assert scan is not None
    assert scan.p is None
    assert scan.curve[0] == max(scan.curve)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_order_of_tasks_change_nothing(threads: int) -> None:
    tables = planted.ladder("picture", tasks=3, prompts=2, options=6).tables(20)
    for method in METHODS:
        settings = msgspec.structs.replace(QUICK, threads=threads, change_points=method)
        quick = msgspec.structs.replace(QUICK, change_points=method)
        assert scan_ladder(tables, settings) == scan_ladder(tables[::-1], quick)
