from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

import crystal
from crystal.phases.results import TOKEN_METRICS
from crystal.phases.settings import Settings
from crystal.phases.tokens import MEASURES, token_result
from crystal.samples import Checkpoint, Prompt
from crystal.states.token_cells import TokenCells, token_cells
from crystal.states.token_sums import TokenSums

RUNGS = {"base": Checkpoint("l", "base", 0, "base"), "sft": Checkpoint("l", "sft", 1, "sft")}
LN2 = math.log(2)


def cells(rows: list[tuple[str, str, str, Any, Any]]) -> TokenCells:
    """Rows of (checkpoint, task, prompt, logprobs, entropies)."""
    sums = TokenSums()
    names, tasks, prompts, logprobs, entropies = map(list, zip(*rows, strict=True))
    keys = {
        "checkpoint": [RUNGS[name].key() for name in names],
        "task": tasks,
        "prompt": [Prompt("", prompt).key() for prompt in prompts],
    }
    sums.update(keys, logprobs=logprobs, entropies=entropies)
    return token_cells(sums)["l"]


def result(rows: list[tuple[str, str, str, Any, Any]]) -> Any:
    return token_result(cells(rows), list(RUNGS), Settings())


def test_branching_factor_is_of_each_prompt_then_averaged() -> None:
    """Entropies of 1 and 3 bits: (2 + 8) / 2, not 2^2; the first prompt's many tokens do not weigh more."""
    base = result(
        [("base", "t", "p", [-LN2], [LN2] * 5)] * 2 + [("base", "t", "q", [-3 * LN2], [3 * LN2])] * 2
    ).checkpoints["base"]
    assert base.per_input["branching_factor"].value == pytest.approx(5)
    assert base.per_input["token_entropy"].value == pytest.approx(2 * LN2)
    assert base.per_input["perplexity"].value == pytest.approx(5)
    assert base.across_input["token_entropy_spread"].value == pytest.approx(math.sqrt(2) * LN2)
    assert (base.sequences, base.prompts, base.missing) == (4, 2, 0)


def test_tasks_are_kept_apart_and_prompts_weigh_the_same() -> None:
    rows = [("base", "t", "p", None, [1.0])] * 2 + [("base", "u", "p", None, [2.0])] * 2
    rows += [("base", "u", "q", None, [3.0])] * 2
    found = result(rows)
    assert found.tasks["t"].checkpoints["base"].per_input["token_entropy"].value == 1
    assert found.tasks["u"].checkpoints["base"].per_input["token_entropy"].value == 2.5
    assert found.checkpoints["base"].per_input["token_entropy"].value == 2
    assert found.checkpoints["base"].per_input["surprisal"].value is None
    assert found.checkpoints["base"].per_input["surprisal"].reason == "no sample has logprobs"


def test_changes_are_over_shared_prompts() -> None:
    rows = [("base", "t", "p", None, [x]) for x in (1.0, 2.0)]
    rows += [("sft", "t", "p", None, [x]) for x in (0.5, 1.0)]
    rows += [("base", "t", "only base", None, [9.0])] * 2
    (step,) = result(rows).transitions
    assert (step.paired, step.unpaired) == (1, 1)
    metric = step.metrics["token_entropy_change"]
    assert metric.value == pytest.approx(-0.75)
    assert metric.p is not None
    assert 0 < metric.p < 1
    assert metric.low < -0.75 < metric.high  # type: ignore[operator]
    assert step.metrics["surprisal_change"].reason == "no prompt has logprobs on both sides"


def test_q_is_over_the_tasks() -> None:
    rows = []
    for task, shift in (("t", 1.0), ("u", 0.0)):
        for rung, add in (("base", 0.0), ("sft", shift)):
            rows += [(rung, task, "p", None, [1.0 + 0.1 * i + add]) for i in range(6)]
    found = result(rows)
    p, q = zip(
        *(
            (m.p, m.q)
            for m in (g.transitions[0].metrics["token_entropy_change"] for g in found.tasks.values())
        ),
        strict=True,
    )
    assert q[0] == pytest.approx(2 * p[0])
    assert q[1] == 1.0
    assert found.transitions[0].metrics["token_entropy_change"].q is None


def test_limits_for_new_prompts_need_eight() -> None:
    def base(prompts: int) -> Any:
        rows = [
            ("base", "t", f"p{i}", None, [1.0 + 0.1 * i + 0.01 * j]) for i in range(prompts) for j in range(3)
        ]
        return result(rows).checkpoints["base"].per_input["token_entropy"]

    assert base(7).prompt_low is None
    few = base(8)
    assert few.prompt_low < few.low < few.value < few.high < few.prompt_high


def test_a_perplexity_that_leaves_float64_is_not_given() -> None:
    base = result([("base", "t", "p", [-800.0], None)] * 2).checkpoints["base"]
    assert base.per_input["perplexity"].value is None
    assert "700" in base.per_input["perplexity"].reason
    assert base.per_input["surprisal"].value == 800


def test_only_missing_values_are_no_data_but_are_counted() -> None:
    base = result([("base", "t", "p", [-9999.0], None)] * 2).checkpoints["base"]
    assert (base.sequences, base.tokens, base.missing) == (0, 0, 2)
    assert base.per_input["surprisal"].value is None


def test_the_names_are_those_of_the_results() -> None:
    assert tuple(MEASURES) == TOKEN_METRICS


def test_no_token_data_is_no_section() -> None:
    assert token_result({}, list(RUNGS), Settings()) is None


def test_a_report_has_the_section_and_the_rows() -> None:
    rows = [
        {
            "ladder": "l", "stage": stage, "step": step, "checkpoint": stage, "task": "t", "prompt": "p",
            "text": "yes", "logprobs": [-0.5 - i / 10], "entropies": [1.0],
        }
        for step, stage in enumerate(RUNGS)
        for i in range(3)
    ]  # fmt: skip
    settings = Settings(draws=99, simulations=1, splits=2, interval_draws=20)
    measurement = crystal.measure(pa.Table.from_pylist(rows))
    report = crystal.classify(measurement, settings=settings)
    tokens = report.ladders["l"].tokens
    assert tokens is not None
    assert tokens.checkpoints["base"].per_input["surprisal"].value == pytest.approx(0.6)
    again = type(report).from_json(report.to_json())
    assert again.ladders["l"].tokens == tokens
    table = report.to_arrow()
    found = [row for row in table.to_pylist() if row["metric"] == "surprisal"]
    assert [(row["checkpoint"], row["unit"], row["phase"]) for row in found] == [
        ("base", "nats", None),
        ("sft", "nats", None),
    ]
    assert "branching_factor_change" in table["metric"].to_pylist()
