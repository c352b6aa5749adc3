from __future__ import annotations

import math

import msgspec
import pytest

from crystal.errors import TaskError
from crystal.states.task_options import TaskOptions


def test_whole_positions_are_the_same_configuration() -> None:
    one, other = TaskOptions(("a", "b"), (0, 1), 2), TaskOptions(("a", "b"), (0.0, 1.0), 2.0)
    assert one == other
    assert msgspec.json.encode(one) == msgspec.json.encode(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "no options"),
        ((("a", "a"),), "'a'"),
        ((("a", "b"), (1.0,)), "one an option"),
        ((("a",), (math.nan,)), "finite"),
        ((("a",), (1.0,), 0.0), "positive"),
        ((("a",), (1.0,), math.inf), "positive"),
        ((("a",), None, 7.0), "needs positions"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        TaskOptions(*arguments)  # type: ignore[arg-type]
