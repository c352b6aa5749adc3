"""The report's section about texts: closed forms, budgets, what is left out, and a ladder of known truth."""

from __future__ import annotations

import math
import random
import zlib
from typing import Any

import numpy as np
import pytest

import crystal
from crystal.phases.sequence_draws import Panel, choose
from crystal.phases.sequences import sequence_result
from crystal.phases.settings import Settings
from crystal.samples import Checkpoint, Prompt
from crystal.states.sequence_cells import CellTexts, sequence_cells
from crystal.states.sequence_sample import SequenceSample

NAMES = ("base", "sft", "rl")
RUNGS = {name: Checkpoint("l", name, step, name) for step, name in enumerate(NAMES)}
Rows = list[tuple[str, str, str, str]]


def result(rows: Rows, **fields: Any) -> Any:
    """Rows of (checkpoint, task, prompt, text)."""
    sample = SequenceSample()
    names, tasks, prompts, texts = map(list, zip(*rows, strict=True))
    keys = {
        "checkpoint": [RUNGS[name].key() for name in names],
        "task": tasks,
        "prompt": [Prompt("", prompt).key() for prompt in prompts],
    }
    sample.update(keys, **(fields or {"text": texts}))
    return sequence_result(sequence_cells(sample)["l"], NAMES, Settings())


def test_closed_forms() -> None:
    """Ten samples a prompt: all alike at base, all different after SFT."""
    base = [("base", "t", p, "a b") for p in "pq" for _ in range(10)]
    tuned = [("sft", "t", p, f"x{p}{i} y") for p in "pq" for i in range(10)]
    found = result(base + tuned)
    assert (found.budgets["texts"], found.budgets["1"], found.prompts, found.left_out) == (10, 20, 2, 0)
    first, last = (found.checkpoints[name] for name in ("base", "sft"))
    assert first.per_input["distinct_texts"].value == pytest.approx(0.1)
    assert last.per_input["distinct_texts"].value == pytest.approx(1)
    # Base: the two prompts say the same; tuned: only the word "y" is common.
    assert first.across_input["distinct_texts"].value == pytest.approx(0.05)
    assert last.across_input["distinct_texts"].value == pytest.approx(1)
    assert first.per_input["distinct_1"].value == pytest.approx(2 / 20)
    assert last.per_input["distinct_1"].value == pytest.approx(11 / 20)
    assert last.across_input["distinct_1"].value == pytest.approx(21 / 40)
    assert first.per_input["ngram_entropy_1"].value == pytest.approx(1)
    assert last.per_input["ngram_entropy_1"].value == pytest.approx(0.5 * math.log2(20) + 0.5)
    kinds = 23  # a b y and 20 others, over the ladder
    expected = kinds * (1 - (1 - 1 / kinds) ** 20)
    assert last.per_input["adjusted_distinct_1"].value == pytest.approx(11 / expected)
    step = found.transitions[0].metrics
    assert (found.transitions[0].from_, found.transitions[0].to) == ("base", "sft")
    assert step["distinct_1_change"].value == pytest.approx(9 / 20)
    assert step["overlap_texts"].value == 0
    assert step["overlap_texts"].null > 0.05
    assert first.per_input["distinct_3"].value is None
    assert "less than half" in first.per_input["distinct_3"].reason
    assert (first.samples, first.words, first.kept) == (20, 40, 1)


def test_repetition_is_within_samples_and_over_all_of_them() -> None:
    rows = [("base", "t", "p", text) for text in ("a a", "a b", "a a a a", "c")]
    metric = result(rows).checkpoints["base"].per_input["repetition_1"]
    shares = [0.5, 0, 0.75, 0]
    assert metric.value == pytest.approx(np.mean(shares), abs=1e-6)
    error = np.std(shares, ddof=1) / 2
    assert metric.high - metric.value == pytest.approx(3.182446 * error, rel=1e-5)
    assert metric.low == 0
    assert metric.n == 4


def test_equal_draws_overlap_as_the_null_says() -> None:
    """Where two checkpoints have one distribution, overlap and null agree on average."""
    draw = random.Random(3)  # noqa: S311
    words = [f"w{i}" for i in range(40)]
    rows = [
        (name, "t", f"p{p}", " ".join(draw.choices(words, k=5)))
        for name in ("base", "sft")
        for p in range(200)
        for _ in range(10)
    ]
    metric = result(rows).transitions[0].metrics["overlap_1"]
    assert metric.value == pytest.approx(metric.null, abs=0.015)
    assert metric.prompt_low < metric.null < metric.prompt_high


def test_collapse_is_seen_and_paired_by_prompt() -> None:
    draw = random.Random(5)  # noqa: S311
    rows: Rows = []
    for name, size in zip(NAMES, (400, 20, 20), strict=True):
        words = [f"w{i}" for i in range(size)]
        rows += [
            (name, f"t{p % 2}", f"p{p}", " ".join(draw.choices(words, k=8)))
            for p in range(20)
            for _ in range(15)
        ]
    found = result(rows)
    values = [found.checkpoints[name].per_input["distinct_1"].value for name in NAMES]
    assert values[0] > 2 * values[1]
    fall, still = (step.metrics["distinct_1_change"] for step in found.transitions)
    assert fall.p < 1e-6
    assert fall.prompt_high < 0
    assert still.p > 1e-3
    assert still.prompt_low < 0 < still.prompt_high
    ratios = [found.checkpoints[name].per_input["compression_ratio"].value for name in NAMES]
    assert ratios[0] < ratios[1]
    assert found.tasks.keys() == {"t0", "t1"}
    change = found.tasks["t0"].transitions[0].metrics["distinct_1_change"]
    assert change.prompts == 10
    assert change.p <= change.q


def test_prompts_that_a_checkpoint_lacks_are_left_out() -> None:
    rows = [("base", "t", p, f"{i}") for p in "pq" for i in range(10)]
    rows += [("sft", "t", "q", f"{i}") for i in range(10)]
    found = result(rows)
    assert (found.prompts, found.left_out) == (1, 1)
    assert found.checkpoints["base"].samples == 10
    alone = result([("base", "t", "p", "x"), ("sft", "t", "q", "x")])
    assert (alone.prompts, alone.left_out) == (0, 2)
    assert alone.checkpoints["base"].per_input["distinct_1"].value is None


def test_tokens_alone_are_said() -> None:
    rows: Rows = [("base", "t", "p", "")] * 12
    found = result(rows, tokens=[[1, 2, 3]] * 12)
    assert found.unit == "tokens"
    assert found.checkpoints["base"].per_input["distinct_2"].value == pytest.approx(2 / 20)
    assert "token ids" in found.checkpoints["base"].per_input["compression_ratio"].reason
    mixed = result([("base", "t", "p", "")] * 2, text=["a", None], tokens=[[1], [2]])
    assert mixed.unit == "mixed"
    assert sequence_result({}, NAMES, Settings()) is None


def test_compression_compresses_once_and_gives_each_text_its_share() -> None:
    cell = CellTexts(texts=["a" * 99, "b" * 99], counts=[3, 1])
    panel = Panel([cell], (1,))
    found = panel.compression(np.array([[0]]))
    assert found is not None
    budget, chosen, ratio = found
    data = ("\n".join(["a" * 99] * 2) + "\n").encode()
    assert (budget, chosen.tolist()) == (200, [0])
    expected = {200 / len(zlib.compress(bytes(d), 9)) for d in (data, data[:100] + b"b" * 99 + b"\n")}
    assert ratio[0, 0] in expected
    noise = random.Random(0).randbytes(2000).hex()  # noqa: S311
    plain = Panel([CellTexts(texts=[noise], counts=[1])], (1,)).compression(np.array([[0]]))
    assert plain is not None
    assert 1.6 < plain[2][0, 0] < 2  # hexadecimal digits carry half of their bits


def test_budgets_are_the_largest_that_half_of_the_prompts_reach() -> None:
    assert choose(np.array([[9, 9]]), (10, 20)) is None
    assert choose(np.zeros((2, 0), np.int64), (10,)) is None
    found = choose(np.array([[25, 10, 30, 5], [20, 50, 50, 50]]), (10, 20, 50))
    assert found is not None
    assert (found[0], found[1].tolist()) == (20, [0, 2])


def test_the_report_has_the_section_where_it_was_asked_for() -> None:
    import pyarrow as pa

    rows = [
        {"ladder": "l", "stage": s, "step": k, "task": "t", "prompt": p, "text": f"{w} {w}"}
        for k, s in enumerate(("base", "sft"))
        for p in "pq"
        for w in ("one", "two", "two") * 4
    ]
    table = pa.Table.from_pylist(rows)
    plain, asked = crystal.analyze(table), crystal.analyze(table, sequences=True)
    assert plain.ladders["l"].sequences is None
    section = asked.ladders["l"].sequences
    assert section is not None
    assert section.checkpoints["base-0"].per_input["repetition_1"].value == pytest.approx(0.5)
    names = {row["metric"] for row in asked.to_arrow().to_pylist()}
    assert {"distinct_1", "distinct_1_across", "overlap_1", "repetition_1_change"} <= names
