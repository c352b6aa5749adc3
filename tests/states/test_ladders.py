from __future__ import annotations

import pytest

from crystal.errors import LadderError
from crystal.samples import Checkpoint
from crystal.states.ladders import order_ladders


def names(*rungs: tuple[str, int, str], order: tuple[str, ...] = ()) -> list[str]:
    checkpoints = [Checkpoint("l", *rung) for rung in rungs]
    return [rung.name for rung in order_ladders(checkpoints[::-1], order)["l"]]


def test_steps_that_all_differ_order_whatever_the_stage() -> None:
    assert names(("rl", 1, "a"), ("other", 2, "b"), ("base", 3, "c")) == ["a", "b", "c"]


def test_steps_that_repeat_order_by_stage_then_step() -> None:
    rungs = [
        ("base", 0, "a"),
        ("sft", 0, "b"),
        ("sft", 9, "c"),
        ("dpo", 0, "d"),
        ("rl", 0, "e"),
        ("rl", 2, "f"),
    ]
    assert names(*rungs) == list("abcdef")


def test_other_needs_an_order_where_steps_repeat() -> None:
    rungs = [("base", 0, "a"), ("other", 0, "b")]
    with pytest.raises(LadderError, match="give an order"):
        names(*rungs)
    assert names(*rungs, order=("b", "a")) == ["b", "a"]


def test_one_rung_of_any_stage_is_a_ladder() -> None:
    assert names(("other", 5, "a")) == ["a"]


def test_an_order_rules_over_steps() -> None:
    assert names(("base", 0, "a"), ("sft", 1, "b"), order=("b", "a")) == ["b", "a"]


def test_an_order_is_for_the_ladders_that_it_names() -> None:
    rungs = [Checkpoint("l", "base", 0, "a"), Checkpoint("l", "sft", 1, "b"), Checkpoint("m", "base", 0, "c")]
    ladders = order_ladders(rungs, ["b", "a"])
    assert [[rung.name for rung in rungs] for rungs in ladders.values()] == [["b", "a"], ["c"]]


def test_two_ladders_may_share_a_base() -> None:
    rungs = [Checkpoint("m", "base", 0, "base"), Checkpoint("l", "base", 0, "base")]
    assert list(order_ladders(rungs)) == ["l", "m"]


@pytest.mark.parametrize(
    ("rungs", "order", "message"),
    [
        ([("sft", 1, "a"), ("sft", 1, "b")], (), "sft at step 1 has two names: 'a' and 'b'"),
        ([("sft", 1, "a"), ("rl", 2, "a")], (), "'a' stands for rl at step 2 and for sft at step 1"),
        ([("pre", 1, "a")], (), "stage is unknown"),
        ([("base", 0, "a"), ("sft", 1, "b")], ("a",), "leaves checkpoints out.*got b"),
        ([("base", 0, "a")], ("a", "z"), "no checkpoint has this name.*got z"),
        ([("base", 0, "a")], ("a", "a"), "comes twice"),
    ],
)
def test_bad_ladders_are_refused(
    rungs: list[tuple[str, int, str]], order: tuple[str, ...], message: str
) -> None:
    with pytest.raises(LadderError, match=message):
        names(*rungs, order=order)


def test_no_checkpoints_are_no_ladders() -> None:
    assert order_ladders([]) == {}
