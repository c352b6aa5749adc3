"""Dense tables: checked against a plain dictionary, cell by cell."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import LadderError, StateError
from crystal.samples import Checkpoint, Prompt
from crystal.states.measurement import Measurement
from crystal.states.task_options import TaskOptions

RUNGS = [Checkpoint("l", "base", 0, "a"), Checkpoint("l", "sft", 5, "b"), Checkpoint("m", "base", 0, "c")]
PROMPTS = [Prompt("", "p"), Prompt("f", "a"), Prompt("f", "q")]
ROW = st.tuples(
    st.sampled_from(RUNGS),
    st.sampled_from(["coin", "die"]),
    st.sampled_from(PROMPTS),
    st.none() | st.sampled_from(["heads", "tails", "edge"]),
)


def measured(rows: list[tuple[Checkpoint, str, Prompt, str | None]], **configuration: Any) -> Measurement:
    measurement = Measurement(**configuration)
    if rows:
        rungs, tasks, prompts, options = zip(*rows, strict=True)
        measurement.update(
            {
                "checkpoint": [rung.key() for rung in rungs],
                "task": list(tasks),
                "prompt": [prompt.key() for prompt in prompts],
                "option": list(options),
            }
        )
    return measurement


def score(measurement: Measurement, rung: Checkpoint, prompt: Prompt, options: dict[str, float]) -> None:
    count = len(options)
    measurement.update(
        {
            "checkpoint": [rung.key()] * count,
            "task": ["coin"] * count,
            "prompt": [prompt.key()] * count,
            "option": list(options),
            "probability": list(options.values()),
        }
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=40), st.booleans())
def test_every_sample_is_in_its_cell(
    rows: list[tuple[Checkpoint, str, Prompt, str | None]], bound: bool
) -> None:
    tasks = {"coin": TaskOptions(("tails", "heads"), (0.0, 1.0), 2.0)} if bound else {}
    measurement = measured(rows, tasks=tasks)
    expected = Counter(rows)
    total = 0
    for ladder, rungs in measurement.ladders().items():
        assert set(rungs) == {rung for rung, *_ in rows if rung.ladder == ladder}
        for task in measurement.task_names(ladder):
            table = measurement.table(ladder, task)
            assert (table.ladder, table.task, table.checkpoints) == (ladder, task, rungs)
            assert list(table.prompts) == sorted(
                {p for r, t, p, _ in rows if (r.ladder, t) == (ladder, task)}
            )
            assert not table.exact.any()
            for c, rung in enumerate(table.checkpoints):
                for p, prompt in enumerate(table.prompts):
                    cell = {key[3]: n for key, n in expected.items() if key[:3] == (rung, task, prompt)}
                    listed = {option: cell.pop(option, 0) for option in table.options}
                    assert table.counts[c, p].tolist() == list(listed.values())
                    assert table.invalid[c, p] == sum(cell.values())
            total += int(table.counts.sum() + table.invalid.sum())
            if task == "coin" and bound:
                assert (table.options, table.closed, table.period) == (("tails", "heads"), True, 2.0)
                assert table.positions is not None
                assert table.positions.tolist() == [0.0, 1.0]
            else:
                sums = table.counts.sum(axis=(0, 1))
                ranked = sorted(zip(-sums, table.options, strict=True))
                assert [option for _, option in ranked] == list(table.options)
                assert not table.closed
                assert table.positions is None
    assert total == len(rows)


def test_dtypes_are_those_of_the_contract() -> None:
    table = measured([(RUNGS[0], "coin", PROMPTS[0], "heads")]).table("l", "coin")
    assert table.counts.dtype == table.invalid.dtype == np.int64
    assert table.probabilities.dtype == np.float64
    assert table.counts.shape == (1, 1, 1)
    assert table.invalid.shape == (1, 1)


def test_all_checkpoints_stand_in_every_table() -> None:
    rows = [(RUNGS[0], "coin", PROMPTS[0], "heads"), (RUNGS[1], "die", PROMPTS[0], "6")]
    table = measured(rows).table("l", "coin")
    assert table.checkpoints == (RUNGS[0], RUNGS[1])
    assert table.present.tolist() == [[True], [False]]


def test_a_task_with_invalid_answers_only() -> None:
    table = measured([(RUNGS[0], "coin", PROMPTS[0], None)] * 3).table("l", "coin")
    assert (table.options, table.counts.shape, table.invalid.tolist()) == ((), (1, 1, 0), [[3]])
    assert table.present.all()
    assert not table.exact.any()


def test_exact_values_close_the_list() -> None:
    measurement = Measurement()
    score(measurement, RUNGS[0], PROMPTS[0], {"tails": 0.75, "heads": 0.125})
    score(measurement, RUNGS[1], PROMPTS[0], {"edge": 1.0})
    table = measurement.table("l", "coin")
    assert (table.options, table.closed) == (("edge", "heads", "tails"), True)
    assert table.probabilities[:, 0].tolist() == [[0.0, 0.125, 0.75], [1.0, 0.0, 0.0]]
    assert table.exact.all()
    assert table.counts.sum() == 0


def test_cells_without_exact_values_have_none() -> None:
    measurement = measured([(RUNGS[1], "coin", PROMPTS[1], "tails")] * 2)
    score(measurement, RUNGS[0], PROMPTS[0], {"tails": 0.75, "heads": 0.25})
    table = measurement.table("l", "coin")
    assert table.exact.tolist() == [[True, False], [False, False]]
    assert np.isnan(table.probabilities[1]).all()
    assert (table.options, table.closed) == (("heads", "tails"), True)
    assert table.counts[1, 1].tolist() == [0, 2]


def test_an_answer_that_was_not_scored_opens_the_list() -> None:
    measurement = measured([(RUNGS[1], "coin", PROMPTS[0], option) for option in ("edge", "edge", "tails")])
    score(measurement, RUNGS[0], PROMPTS[0], {"tails": 0.75, "heads": 0.25})
    table = measurement.table("l", "coin")
    assert (table.options, table.closed) == (("edge", "tails", "heads"), False)
    assert table.probabilities[0, 0].tolist() == [0.0, 0.75, 0.25]


def test_scored_options_outside_a_bound_list_are_mass_that_is_missing() -> None:
    measurement = Measurement(tasks={"coin": TaskOptions(("heads", "tails"))})
    score(measurement, RUNGS[0], PROMPTS[0], {"edge": 0.5, "heads": 0.25})
    table = measurement.table("l", "coin")
    assert table.probabilities[0, 0].tolist() == [0.25, 0.0]


def test_decodings_are_told_by_checkpoint_and_task() -> None:
    measurement = measured([(RUNGS[1], "die", PROMPTS[0], "6")])
    columns = {"checkpoint": [RUNGS[0].key()] * 3, "prompt": [PROMPTS[0].key()] * 3, "option": ["heads"] * 3}
    measurement.update({**columns, "task": ["coin", "coin", "die"], "decoding": ["cold", "hot", "hot"]})
    assert measurement.table("l", "coin").decodings == (frozenset({"cold", "hot"}), frozenset())
    assert measurement.table("l", "die").decodings == (frozenset({"hot"}), frozenset())


def test_tables_follow_updates() -> None:
    measurement = measured([(RUNGS[0], "coin", PROMPTS[0], "heads")])
    assert measurement.table("l", "coin").counts.sum() == 1
    measurement.merge(measured([(RUNGS[0], "coin", PROMPTS[1], "heads")]))
    assert measurement.table("l", "coin").counts.sum() == 2


def test_what_is_unknown_is_named() -> None:
    measurement = measured([(RUNGS[0], "coin", PROMPTS[0], "heads"), (RUNGS[2], "die", PROMPTS[0], "6")])
    with pytest.raises(StateError, match=r"'x': no such ladder \(expected l, m"):
        measurement.table("x", "coin")
    with pytest.raises(StateError, match=r"'l': the ladder has no such task.*'die'"):
        measurement.table("l", "die")
    assert measurement.task_names("x") == ()
    assert Measurement().ladders() == {}


def test_an_order_reaches_the_table() -> None:
    rows = [(rung, "coin", PROMPTS[0], "heads") for rung in RUNGS[:2]]
    measurement = measured(rows)
    assert [rung.name for rung in measurement.table("l", "coin", ("b", "a")).checkpoints] == ["b", "a"]
    with pytest.raises(LadderError):
        measurement.table("l", "coin", ("b",))


@pytest.mark.shared_data
def test_a_real_ladder(shared_data: Path) -> None:
    import json

    lines = (shared_data / "tulu3-8b" / "samples.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    rows = [
        (
            Checkpoint(r["ladder"], r["stage"], r["step"], r["checkpoint"]),
            r["task"],
            Prompt(r["family"], r["prompt"]),
            r["text"].split()[0] if r["text"].split() else None,
        )
        for r in records
    ]
    measurement = measured(rows)
    (rungs,) = measurement.ladders().values()
    assert [rung.stage for rung in rungs] == ["base", "sft", "dpo", "rl"]
    tables = [measurement.table("tulu3-8b", task) for task in measurement.task_names("tulu3-8b")]
    assert sum(int(table.counts.sum() + table.invalid.sum()) for table in tables) == 2830
    assert Measurement.from_bytes(measurement.to_bytes()) == measurement
