"""The main job on a real ladder: Tulu 3 8B, sampled and scored exactly, held to what is known of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import crystal
from crystal.phases.results import LadderResult

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def census(shared_data: Path) -> LadderResult:
    report = crystal.analyze(shared_data / "tulu3-8b" / "samples.jsonl")
    assert report.inputs.samples == 2_830
    return report.ladders["tulu3-8b"]


def test_checkpoints_stand_in_training_order(census: LadderResult) -> None:
    assert [rung.stage for rung in census.checkpoints] == ["base", "sft", "dpo", "rl"]


def test_sft_changes_much_and_nothing_after_it(census: LadderResult) -> None:
    """An independent script found 14 of 31, 0 and 0 under a first-word rule."""
    changed = [transition.changed for transition in census.transitions]
    assert changed[0] > 31 / 3
    assert changed[1] <= 2
    assert changed[2] <= 2
    for transition in census.transitions[1:]:
        assert not {"RENUCLEATION", "REMELTING"} & set(transition.counts)


def test_the_words_say_so(census: LadderResult) -> None:
    steps = [sentence for sentence in census.evidence if " -> " in sentence]
    assert ": a change: " in steps[0]
    assert all(": no change shown: " in step or "differ" in step for step in steps[1:3])


def test_one_prompt_a_task_is_what_is_missing(census: LadderResult) -> None:
    for name, task in census.tasks.items():
        for transition in task.transitions:
            if transition.paired == 1:
                assert transition.verdict == "UNDETERMINED", name
                assert transition.needs_prompts == 2, name
    assert census.picture_holds is None
    assert any("more prompts (at least 2 a task)" in sentence for sentence in census.evidence)


def test_the_control_finds_nothing(census: LadderResult) -> None:
    assert census.controls["split_half"]["rejected"] <= 1


def test_authors_rule_gives_the_published_entropies(shared_data: Path) -> None:
    measurement = crystal.measure(shared_data / "tulu3-8b" / "samples.jsonl", answer="modelun")
    published = json.loads((shared_data / "tulu3-8b" / "published.json").read_text(encoding="utf-8"))
    cells = published["census_entropy_bits_plugin"]
    found: dict[str, dict[str, float]] = {stage: {} for stage in cells}
    for task in measurement.task_names("tulu3-8b"):
        table = measurement.table("tulu3-8b", task).family("verb")
        for i, checkpoint in enumerate(table.checkpoints):
            found[checkpoint.stage][task] = float(crystal.entropy(table.counts[i], estimator="plugin")[0])
    means = [np.mean(list(found[stage].values())) for stage in ("base", "sft", "dpo", "rl")]
    assert means == pytest.approx([4.02, 2.95, 3.03, 3.19], abs=0.05)
    close = [
        abs(found[stage][task] - value) < 0.01 for stage, row in cells.items() for task, value in row.items()
    ]
    assert len(close) == 124
    assert sum(close) >= 105


@pytest.fixture(scope="module")
def closed_set(shared_data: Path) -> LadderResult:
    report = crystal.analyze(shared_data / "tulu3-8b" / "closed_set_probabilities.json")
    (ladder,) = report.ladders.values()
    return ladder


def test_closed_sets_have_the_known_divergences(closed_set: LadderResult) -> None:
    for framing, known in (("name", [0.093, 0.008, 0.005]), ("choose", [0.174, 0.008, 0.005])):
        found = [
            np.mean([task.transitions[i].by_prompt[framing] for task in closed_set.tasks.values()])
            for i in range(3)
        ]
        assert found == pytest.approx(known, abs=0.002)


def test_the_base_is_less_promptable_and_the_first_clause_is_refuted(closed_set: LadderResult) -> None:
    names = [rung.checkpoint for rung in closed_set.checkpoints]
    found = [
        np.mean(
            [
                task.families["verb"].checkpoints[name].metrics["promptability"].value
                for task in closed_set.tasks.values()
            ]
        )
        for name in names
    ]
    assert found == pytest.approx([0.008, 0.060, 0.076, 0.079], abs=0.002)
    assert closed_set.clauses["liquid"].holds is False
    assert closed_set.picture_holds is False
    assert (
        "The base is less promptable in family 'verb' than every later checkpoint: base-0 0.008, "
        "sft-1 0.060, dpo-2 0.076, rl-3 0.079 bit (mean over 10 tasks)."
    ) in closed_set.evidence


def test_exact_numbers_have_no_noise(closed_set: LadderResult) -> None:
    for task in closed_set.tasks.values():
        for transition in task.transitions:
            jsd = transition.metrics["jsd"]
            assert jsd.low == jsd.high == jsd.value
            assert (jsd.interval_kind, jsd.n, jsd.p, transition.q) == ("exact", None, None, None)
