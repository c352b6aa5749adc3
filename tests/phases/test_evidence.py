"""The sentences of a ladder: what small ladders are told."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa

import crystal
from crystal.phases.evidence import _missing
from crystal.phases.results import TransitionResult


def evidence(stages: tuple[str, ...], *, apart: bool = False) -> str:
    rows = [
        {
            "ladder": "l",
            "stage": stage,
            "step": step,
            "task": "t",
            "prompt": f"{stage}-{prompt}" if apart else prompt,
            "answer": option,
        }
        for step, stage in enumerate(stages)
        for prompt in "pq"
        for option in "abc" * 5
    ]
    report = crystal.classify(crystal.measure(pa.Table.from_pylist(rows)))
    return "\n".join(report.ladders["l"].evidence)


def test_a_ladder_of_one_checkpoint_is_told_so() -> None:
    said = evidence(("base",))
    assert "The ladder has one checkpoint, and so no transition" in said
    assert "is labelled" not in said
    assert "Promptability" not in said


def test_promptability_that_does_not_move_is_said_so() -> None:
    assert (
        "neither above nor below the base's at every later checkpoint: base-0 0.000, sft-1 0.000"
        in evidence(("base", "sft"))
    )


def test_one_open_transition_is_no_list() -> None:
    def said(*needs: int) -> str:
        steps = [
            TransitionResult(
                from_="a",
                to="b",
                verdict="UNDETERMINED",
                reason="few samples",
                needs_samples=need,
                paired=2,
                unpaired=0,
                metrics={},
            )
            for need in needs
        ]
        return " ".join(_missing(SimpleNamespace(tasks={"t": SimpleNamespace(transitions=steps)})))  # type: ignore[arg-type]

    assert said(880) == (
        "1 task transition is UNDETERMINED: few samples. "
        "It could be settled by more samples: 880 a prompt in total, at each checkpoint."
    )
    assert said(5000, 20, 300) == (
        "3 task transitions are UNDETERMINED: 3 x few samples. "
        "3 of them could be settled by more samples: 20 to 5,000 a prompt in total, at each checkpoint "
        "(median 300)."
    )


def test_checkpoints_without_a_shared_prompt_are_not_called_alike() -> None:
    said = evidence(("base", "sft"), apart=True)
    assert "base-0 -> sft-1: nothing was compared: no task has a prompt with valid answers at both." in said
    assert "no change shown" not in said
    assert "no change shown" in evidence(("base", "sft"))


def test_a_ladder_without_its_base_is_not_told_that_it_has_no_sft() -> None:
    said = evidence(("sft", "rl"))
    assert "labelled sft" not in said
    assert "No rung is labelled base" in said
    assert "No rung after the base is labelled sft" in evidence(("base", "rl"))


def test_many_steps_without_a_change_are_one_sentence() -> None:
    said = evidence(("base", *["sft"] * 8))
    assert "base-0 -> sft-8, 8 steps: no change shown at any. Verdicts, over all: " in said
    assert "base-0 -> sft-1" not in said
