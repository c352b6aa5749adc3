"""Groups of prompts: what is counted and left out, that cells stand alone, and how groups read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import crystal
from crystal.errors import SettingsError, StateError
from crystal.phases.prompt_groups import Group, PromptGroups, prompt_groups
from crystal.phases.settings import Margins, Settings
from crystal.report.prompt_groups_text import to_text
from crystal.states.measurement import Measurement


def measured(tasks: tuple[str, ...], ladder: str = "mine") -> Measurement:
    """Six prompts a task, even ones of one distribution, odd ones of another; 40 samples each."""
    rng = np.random.default_rng(1)
    rows = [
        {
            "ladder": ladder,
            "stage": "base",
            "step": 0,
            "task": task,
            "prompt": f"p{number}",
            "answer": "abcd"[answer],
        }
        for task in tasks
        for number in range(6)
        for answer in rng.choice(4, 40, p=[0.7, 0.1, 0.1, 0.1] if number % 2 else [0.1, 0.1, 0.1, 0.7])
    ]
    return crystal.measure(pa.Table.from_pylist(rows))


@pytest.fixture(scope="module")
def both() -> tuple[Measurement, list[PromptGroups]]:
    measurement = measured(("one", "two"))
    return measurement, prompt_groups(measurement)


def test_groups_are_the_planted_ones_in_every_task(both: tuple[Measurement, list[PromptGroups]]) -> None:
    _, found = both
    assert [one.task for one in found] == ["one", "two"]
    for one in found:
        assert [group.prompts for group in one.groups] == [("p0", "p2", "p4"), ("p1", "p3", "p5")]
        assert [group.samples for group in one.groups] == [120, 120]
        assert [group.distribution[0][0] for group in one.groups] == ["d", "a"]
        assert all(sum(share for _, share in group.distribution) == pytest.approx(1) for group in one.groups)
        assert one.left_out == 0
        assert not one.exact
        assert one.within is not None
        assert 0 < one.within < 0.2
    assert found[0].tests != found[1].tests


def test_a_task_does_not_depend_on_the_others(both: tuple[Measurement, list[PromptGroups]]) -> None:
    measurement, found = both
    assert prompt_groups(measurement, tasks=["two"]) == found[1:]


def test_prompts_of_few_samples_are_left_out() -> None:
    (found,) = prompt_groups(measured(("one",)), settings=Settings(margins=Margins(min_valid=41)))
    assert found.groups == ()
    assert found.left_out == 6
    assert found.within is None
    assert "no prompt has samples enough; 6 prompts without samples enough" in to_text([found])


def test_what_has_to_be_named() -> None:
    both = measured(("one",))
    both.merge(measured(("one",), ladder="yours"), allow_duplicates=True)
    with pytest.raises(SettingsError, match="one ladder"):
        prompt_groups(both)
    assert prompt_groups(both, ladder="yours", k=1)[0].ladder == "yours"
    with pytest.raises(SettingsError, match="no such checkpoint"):
        prompt_groups(both, ladder="mine", checkpoints=["tuned"])
    with pytest.raises(StateError, match="no such task"):
        prompt_groups(both, ladder="mine", tasks=["three"])


def test_text_is_short_and_clean() -> None:
    group = Group(
        prompts=("x" * 99, "a\nb\x1b[31m", "c", "d", "e"),
        samples=50,
        distribution=tuple((option, 0.2) for option in "abcde"),
    )
    one = PromptGroups("l", "t", "base", False, 1, (group,), 0.1, (), 0.5)
    text = to_text([one])
    assert text == (
        "l, t\n  base: 5 prompts in 1 group, stability 0.50; 1 prompt without samples enough\n"
        f"    5 prompts: a 0.20, b 0.20, c 0.20, d 0.20 and 1 more: {'x' * 59}… | a b | c | 2 more\n"
    )
