"""Whole ladders of known truth, through every stage of the judgement."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from crystal.phases.ladder import _ladder_transition, judge
from crystal.phases.results import CHECKPOINT_METRICS, TRANSITION_METRICS, LadderResult, TransitionResult
from crystal.phases.settings import Settings
from crystal.testing import planted

QUICK = Settings(draws=999, interval_draws=200, splits=200, simulations=60)


def verdicts(result: LadderResult) -> list[str]:
    return [transition.verdict for transition in result.transitions]


@pytest.mark.parametrize("kind", ["picture", "foreign", "per_context", "frozen", "small", "escape", "blend"])
def test_exact_ladders_get_their_true_verdicts(kind: str) -> None:
    truth = planted.ladder(kind, tasks=6, prompts=6, options=8, seed=3)
    result = judge(truth.exact_tables(), QUICK)
    assert verdicts(result) == list(truth.verdicts)
    for task in result.tasks.values():
        assert all(m.exact for t in task.transitions for m in t.metrics.values() if m.value is not None)
        assert all(t.p is None and t.q is None for t in task.transitions)


def test_exact_picture_holds_and_its_phases_follow() -> None:
    result = judge(planted.ladder("picture", tasks=6, prompts=6, seed=3).exact_tables(), QUICK)
    assert result.picture_holds is True
    assert [rung.phase for rung in result.checkpoints] == ["LIQUID", "NUCLEATED", "SETTLED", "SETTLED"]
    assert "The picture holds" in result.evidence[0]


@pytest.fixture(scope="module")
def sampled() -> LadderResult:
    truth = planted.ladder("picture", tasks=5, prompts=6, options=6, families=("context",), seed=1)
    return judge(truth.tables(120), QUICK)


def test_sampled_picture_is_seen_and_never_contradicted(sampled: LadderResult) -> None:
    assert sampled.picture_holds is not False
    first, *rest = sampled.transitions
    assert first.verdict == "NUCLEATION"
    assert first.changed == 5
    allowed = {"SETTLING", "FROZEN", "UNDETERMINED"}
    assert {verdict for step in rest for verdict in step.counts} <= allowed


def test_every_metric_stands_in_every_place(sampled: LadderResult) -> None:
    for task in sampled.tasks.values():
        assert set(task.families) == {"context"}
        for checkpoint in task.checkpoints.values():
            assert tuple(checkpoint.metrics) == CHECKPOINT_METRICS
        for transition in task.transitions:
            assert tuple(transition.metrics) == TRANSITION_METRICS
            assert transition.paired == 6
            assert len(transition.by_prompt) == 6
            assert (transition.reason is None) == (transition.verdict != "UNDETERMINED")
            for name, metric in transition.metrics.items():
                assert metric.value is not None or metric.reason, name
                if metric.low is not None and metric.high is not None and metric.value is not None:
                    assert metric.low <= metric.value <= metric.high, name


def test_one_family_stands_under_both_names(sampled: LadderResult) -> None:
    for task in sampled.tasks.values():
        assert msgspec.to_builtins(task.families["context"].transitions) == msgspec.to_builtins(
            task.transitions
        )


def test_the_chain_rule_adds_up(sampled: LadderResult) -> None:
    for task in sampled.tasks.values():
        for transition in task.transitions:
            m = transition.metrics
            parts = [m[name].value for name in ("escape_term", "redistribution", "outside")]
            assert sum(part for part in parts if part is not None) == pytest.approx(
                np.mean(list(transition.by_prompt.values())), abs=1e-9
            )


def test_same_bytes_for_any_threads_and_order_of_tasks() -> None:
    truth = planted.ladder("picture", tasks=3, prompts=3, options=5, families=("context",), seed=2)
    tables = truth.tables(60)
    quick = msgspec.structs.replace(QUICK, interval_draws=50, draws=199, simulations=20)
    one = judge(tables, msgspec.structs.replace(quick, threads=1))
    three = judge(tables, msgspec.structs.replace(quick, threads=3))
    turned = judge(tables[::-1], quick)
    assert msgspec.json.encode(one) == msgspec.json.encode(three)
    assert msgspec.to_builtins(one.tasks) == msgspec.to_builtins(turned.tasks)


def test_another_seed_moves_draws_and_not_values() -> None:
    tables = planted.ladder("escape", tasks=1, prompts=3, options=5, seed=2).tables(40)
    quick = msgspec.structs.replace(QUICK, interval_draws=50, draws=199, simulations=20)
    first = judge(tables, quick).tasks["task-00"].transitions[0].metrics
    second = judge(tables, msgspec.structs.replace(quick, seed=9)).tasks["task-00"].transitions[0].metrics
    assert first["jsd"].value == second["jsd"].value
    assert first["tv"].null != second["tv"].null


def test_frozen_ladders_stay_undetermined_at_small_samples_and_freeze_at_large() -> None:
    truth = planted.ladder("frozen", tasks=3, prompts=3, options=4, families=("context",), seed=5)
    few, many = judge(truth.tables(20), QUICK), judge(truth.tables(5_000), QUICK)
    assert {t.verdict for task in few.tasks.values() for t in task.transitions} == {"UNDETERMINED"}
    assert {t.verdict for task in many.tasks.values() for t in task.transitions} == {"FROZEN"}
    needed = [t.needs_samples for task in few.tasks.values() for t in task.transitions]
    assert any(n is not None and 20 < n <= 2_000 for n in needed)


def test_growing_format_noise_is_an_axis_of_its_own() -> None:
    truth = planted.ladder("format", tasks=2, prompts=3, options=4, families=("context",), seed=5)
    result = judge(truth.tables(4_000), QUICK)
    task = result.tasks["task-00"]
    change = task.transitions[0].metrics["validity_change"]
    assert (change.high or 0.0) < 0
    assert (1.0 if change.p is None else change.p) < 0.01
    assert {t.verdict for t in task.transitions} <= {"FROZEN", "UNDETERMINED"}
    assert task.checkpoints["rl-1500"].validity == pytest.approx(0.7, abs=0.02)


def test_one_prompt_needs_another() -> None:
    truth = planted.ladder("picture", tasks=2, prompts=2, options=5, families=("context",), seed=4)
    tables = [
        replace(
            table,
            prompts=table.prompts[:1],
            counts=table.counts[:, :1],
            invalid=table.invalid[:, :1],
            probabilities=table.probabilities[:, :1],
        )
        for table in truth.tables(200)
    ]
    result = judge(tables, QUICK)
    assert result.picture_holds is None
    for task in result.tasks.values():
        assert task.seed is not None
        assert task.seed.found is None
        changed = task.transitions[0]
        if changed.verdict == "UNDETERMINED":
            assert changed.needs_prompts == 2
        assert task.checkpoints["base-0"].metrics["promptability"].value is None
    assert any("promptability is unknown" in sentence for sentence in result.evidence)


def test_prompts_that_one_side_lacks_are_counted_and_left_out() -> None:
    table = planted.ladder("picture", tasks=1, prompts=3, options=4, families=("context",)).tables(50)[0]
    table.counts[1, 0] = 0
    table.invalid[1, 0] = 0
    transition = judge([table], QUICK).tasks["task-00"].transitions[0]
    assert (transition.paired, transition.unpaired) == (2, 1)
    table.counts[1] = 0
    transition = judge([table], QUICK).tasks["task-00"].transitions[0]
    assert transition.verdict == "UNDETERMINED"
    assert transition.reason == "no shared prompts"
    assert all(metric.value is None for metric in transition.metrics.values())


def test_other_decoding_is_not_compared_unless_asked() -> None:
    table = planted.ladder("picture", tasks=1, prompts=3, options=4, families=("context",)).tables(100)[0]
    hot, cold = frozenset({'{"temperature":1.0}'}), frozenset({'{"temperature":0.7}'})
    table = replace(table, decodings=(hot, cold, cold, frozenset()))
    steps = judge([table], QUICK).tasks["task-00"].transitions
    assert (steps[0].verdict, steps[0].reason) == ("UNDETERMINED", "decoding differs")
    assert (steps[0].p, steps[0].q) == (None, None)
    assert steps[1].reason != "decoding differs"
    assert steps[2].reason != "decoding differs"
    allowed = judge([table], msgspec.structs.replace(QUICK, allow_decoding=True))
    assert allowed.tasks["task-00"].transitions[0].reason != "decoding differs"


@pytest.mark.parametrize(
    ("verdicts", "heading", "reason"),
    [
        ({"NUCLEATION": 1, "UNDETERMINED": 11}, "UNDETERMINED", "NUCLEATION in 1 of 12 tasks, 11 undecided"),
        ({"NUCLEATION": 5, "UNDETERMINED": 7}, "UNDETERMINED", "NUCLEATION in 5 of 12 tasks, 7 undecided"),
        ({"NUCLEATION": 6, "UNDETERMINED": 6}, "NUCLEATION", None),
        ({"NUCLEATION": 6, "FROZEN": 5, "UNDETERMINED": 1}, "NUCLEATION", None),
        ({"SETTLING": 6, "FROZEN": 6}, "UNDETERMINED", "FROZEN in 6 of 12 tasks, SETTLING in 6"),
        ({"SETTLING": 4, "FROZEN": 3, "UNDETERMINED": 1}, "SETTLING", None),
        ({"UNDETERMINED": 3}, "UNDETERMINED", "no task is decided"),
        ({"FROZEN": 1}, "FROZEN", None),
    ],
)
def test_a_step_is_named_by_half_of_its_tasks(
    verdicts: dict[str, int], heading: str, reason: str | None
) -> None:
    tasks = [
        (TransitionResult(from_="a", to="b", verdict=verdict, paired=2, unpaired=0, metrics={}), False)
        for verdict, count in verdicts.items()
        for _ in range(count)
    ]
    step = _ladder_transition(tasks)
    assert (step.verdict, step.reason) == (heading, reason)
    assert step.counts == verdicts
