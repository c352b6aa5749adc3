"""The change point of a ladder lies where the truth changes, and nowhere in a flat ladder."""

from __future__ import annotations

import msgspec
import pytest

from crystal.phases.long_ladders import change_points
from crystal.phases.settings import Settings
from crystal.testing import planted

QUICK = Settings(draws=999)


def test_the_cut_is_at_the_end_of_the_liquid() -> None:
    for kind, at in (("picture", "sft-1000"), ("per_context", "rl-1500")):
        truth = planted.ladder(kind, tasks=3, prompts=4, options=6)
        (found,) = change_points(truth.tables(60), QUICK)
        assert (found.at, found.low, found.high) == (at, at, at)
        assert found.p < 0.01
        assert not found.gradual


def test_a_flat_ladder_has_a_large_p() -> None:
    (found,) = change_points(planted.ladder("frozen", tasks=3, prompts=4, options=6).tables(60), QUICK)
    assert found.p > 0.05


def test_exact_ladders_and_pairs_of_checkpoints_have_none() -> None:
    truth = planted.ladder("picture", tasks=2, prompts=2, options=6)
    assert change_points(truth.exact_tables(), QUICK) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_order_of_tasks_change_nothing(threads: int) -> None:
    tables = planted.ladder("picture", tasks=3, prompts=2, options=6).tables(20)
    settings = msgspec.structs.replace(QUICK, threads=threads)
    assert change_points(tables, settings) == change_points(tables[::-1], QUICK)
