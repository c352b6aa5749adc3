"""The sentences of a ladder: what small ladders are told."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa

import crystal
from crystal.phases.evidence import _missing
from crystal.phases.results import TransitionResult


def evidence(stages: tuple[str, ...]) -> str:
    rows = [
        {"ladder": "l", "stage": stage, "step": step, "task": "t", "prompt": prompt, "answer": option}
        for step, stage in enumerate(stages)
        for prompt in "pq"
        for option in "abc" * 5
    ]
    report = crystal.classify(crystal.measure(pa.Table.from_pylist(rows)))
    return "\n".join(report.ladders["l"].evidence)


def test_a_ladder_of_one_checkpoint_is_told_so() -> None:
    said = evidence(("base",))
    assert "The ladder has one checkpoint, and so no transition" in said
    assert "No rung is labelled sft" not in said
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
