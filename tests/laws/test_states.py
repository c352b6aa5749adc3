"""Every state of the package under the laws, over batches that a person would not think of too."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystal.samples import Checkpoint, Prompt
from crystal.states.count_table import CountTable
from crystal.states.distribution_table import DistributionTable
from crystal.states.measurement import Measurement
from crystal.states.ngram_table import NgramTable
from crystal.states.sequence_sample import SequenceSample
from crystal.states.sequence_table import SequenceTable
from crystal.states.task_options import TaskOptions
from crystal.states.token_sums import CELL, TokenSums
from crystal.testing.laws import check_laws

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(max_size=5) | st.sampled_from(["", "heads", "tails", "\0", "é", "e\u0301", "x" * 40])
OPTION = st.none() | TEXT
SETTINGS = {"answer": "short"}
TASKS = {"coin": TaskOptions(("heads", "tails"))}


def batches_of(row: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    return st.lists(st.lists(row, min_size=1, max_size=8), min_size=3, max_size=9)


@QUICK
@given(batches=batches_of(st.tuples(TEXT, OPTION, st.integers(1, 2**40))))
def test_count_table(batches: list[list[tuple[str, str | None, int]]]) -> None:
    def update(state: CountTable, batch: list[tuple[str, str | None, int]]) -> None:
        tasks, options, counts = zip(*batch, strict=True)
        state.update({"task": list(tasks), "option": list(options)}, counts=list(counts))

    check_laws(
        lambda: CountTable(("task", "option")),
        batches,
        update=update,
        mismatched=[
            (lambda: CountTable(("task", "answer")), ("option", "answer")),
            (lambda: CountTable(("task",)), ("CountTable(task, option)", "CountTable(task)")),
            (lambda: DistributionTable(("task", "option")), ("CountTable", "DistributionTable")),
        ],
    )


@QUICK
@given(keys=st.lists(st.tuples(TEXT, OPTION), min_size=3, max_size=30, unique=True), data=st.data())
def test_distribution_table(keys: list[tuple[str, str | None]], data: st.DataObject) -> None:
    truth = {key: data.draw(st.floats(0, 1)) for key in keys}
    # The same value may come in many batches.
    batches = [[key, *data.draw(st.lists(st.sampled_from(keys), max_size=4))] for key in keys]

    def update(state: DistributionTable, batch: list[tuple[str, str | None]]) -> None:
        columns = {"task": [task for task, _ in batch], "option": [option for _, option in batch]}
        state.update(columns, [truth[key] for key in batch])

    check_laws(
        lambda: DistributionTable(("task", "option")),
        batches,
        update=update,
        mismatched=[(lambda: DistributionTable(("task", "answer")), ("option", "answer"))],
    )


NATS = st.floats(0, 30, width=32) | st.sampled_from([0.1, 0.3, 1e-12, 9999.0, float("nan")])
LISTS = st.none() | st.lists(NATS, max_size=5)


@QUICK
@given(batches=batches_of(st.tuples(TEXT, TEXT, st.lists(NATS, min_size=1, max_size=5), LISTS)))
def test_token_sums(batches: list[list[tuple[str, str, list[float], list[float] | None]]]) -> None:
    def update(state: TokenSums, batch: list[tuple[str, str, list[float], list[float] | None]]) -> None:
        tasks, prompts, surprisals, entropies = map(list, zip(*batch, strict=True))
        columns = {"checkpoint": ["c"] * len(batch), "task": tasks, "prompt": prompts}
        state.update(columns, logprobs=[[-x for x in some] for some in surprisals], entropies=entropies)

    check_laws(
        TokenSums,
        batches,
        update=update,
        mismatched=[(lambda: CountTable((*CELL, "sum")), ("TokenSums", "CountTable"))],
    )


RUNGS = [Checkpoint("l", "base", 0, "a").key(), Checkpoint("l", "sft", 1, "b").key()]
WORDINGS = [Prompt("", "p").key(), Prompt("f", "q").key()]
SAMPLE = st.tuples(
    st.sampled_from(RUNGS),
    st.sampled_from(["coin", "die"]),
    st.sampled_from(WORDINGS),
    OPTION,
    st.none() | st.sampled_from(['{"temperature":1}', "{}"]),
)


@settings(QUICK, max_examples=6)
@given(batches=batches_of(SAMPLE))
def test_measurement(batches: list[list[tuple[Any, ...]]]) -> None:
    numbered = list(enumerate(batches))

    def update(state: Measurement, batch: tuple[int, list[tuple[Any, ...]]]) -> None:
        number, rows = batch
        names = ("checkpoint", "task", "prompt", "option", "decoding")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        # Batches of all kinds: some with token values, some without.
        if number % 3:
            columns["logprobs"] = [[-0.1 * number, -0.3] for _ in rows]
        if number % 2:
            columns["entropies"] = [[0.7], *[None] * (len(rows) - 1)]
        state.update(columns)
        # The last batch scores a task exactly, so that both tables are filled.
        options = ["heads", f"option {number}"]
        state.update(
            {
                "checkpoint": RUNGS[:1] * 2,
                "task": ["scored"] * 2,
                "prompt": WORDINGS[:1] * 2,
                "option": options,
                "probability": [0.25, 1 / (number + 3)],
            }
        )
        state.manifest.cover("content", 10 * number, 10 * number + 10)
        state.manifest.merge(
            type(state.manifest)(files=[f"{number % 2}.jsonl"], samples=len(rows), rejected=1)
        )

    check_laws(
        lambda: Measurement(TASKS, SETTINGS),
        numbered,
        update=update,
        shards=(1, 2, 7),
        mismatched=[
            (lambda: Measurement(TASKS, {"answer": "whole"}), ("short", "whole")),
            (lambda: Measurement({}, SETTINGS), ("heads", "None")),
            (
                lambda: Measurement({"coin": TaskOptions(("tails", "heads"))}, SETTINGS),
                ("('heads', 'tails')", "('tails', 'heads')"),
            ),
        ],
    )


@pytest.mark.parametrize("shards", [1, 2, 7, 64])
def test_many_rows_in_any_shards_are_the_same_bytes(shards: int) -> None:
    """2,000 distinct rows of 6,000: large enough that tables grow many times on the way."""
    rows = [(f"task {i % 40}", None if i % 11 == 0 else f"option {i * i % 997}") for i in range(6000)]

    def table(part: list[tuple[str, str | None]]) -> CountTable:
        state = CountTable(("task", "option"))
        state.update({"task": [task for task, _ in part], "option": [option for _, option in part]})
        return state

    merged = CountTable(("task", "option"))
    for shard in reversed(range(shards)):
        merged.merge(table(rows[shard::shards]))
    assert merged.to_bytes() == table(rows).to_bytes()


SEQUENCES = st.tuples(TEXT, st.lists(st.integers(0, 3), max_size=5), st.integers(1, 2**40))


@QUICK
@given(batches=batches_of(SEQUENCES))
@pytest.mark.parametrize("verify", [True, False])
def test_sequence_table(verify: bool, batches: list[list[tuple[str, list[int], int]]]) -> None:
    check_laws(
        lambda: SequenceTable(("task",), verify=verify),
        batches,
        update=_count_sequences,
        mismatched=[
            (lambda: SequenceTable(("task",), verify=not verify), ("full keys", "128-bit hashes")),
            (lambda: SequenceTable(("prompt",), verify=verify), ("(task)", "(prompt)")),
            (lambda: SequenceTable(("task",), elements="text", verify=verify), ("of tokens", "of text")),
        ],
    )


@QUICK
@given(batches=batches_of(st.tuples(TEXT, st.lists(st.integers(0, 3), min_size=2, max_size=6), st.just(1))))
def test_ngram_table(batches: list[list[tuple[str, list[int], int]]]) -> None:
    check_laws(
        lambda: NgramTable(2, ("task",)),
        batches,
        update=_count_sequences,
        mismatched=[
            (lambda: NgramTable(3, ("task",)), ("2-grams", "3-grams")),
            (lambda: SequenceTable(("task",)), ("2-grams", "sequences")),
        ],
    )


def _count_sequences(state: SequenceTable, batch: list[tuple[str, list[int], int]]) -> None:
    tasks, rows, counts = zip(*batch, strict=True)
    values = np.array([x for row in rows for x in row], np.int32)
    offsets = np.cumsum([0, *map(len, rows)])
    state.update(values, offsets, {"task": list(tasks)}, counts=np.array(counts))


WORDS = st.lists(st.sampled_from(["a", "b", "cc", "\u2003", "é"]), max_size=6).map(" ".join)


@QUICK
@given(batches=batches_of(st.tuples(TEXT, WORDS)))
@pytest.mark.parametrize("budget", [8, 1 << 15])
def test_sequence_sample(budget: int, batches: list[list[tuple[str, str]]]) -> None:
    def update(state: SequenceSample, batch: list[tuple[str, str]]) -> None:
        prompts, texts = map(list, zip(*batch, strict=True))
        cell = {"checkpoint": ["c"] * len(batch), "task": ["t"] * len(batch), "prompt": prompts}
        state.update(cell, text=texts)

    check_laws(
        lambda: SequenceSample(budget),
        batches,
        update=update,
        mismatched=[(lambda: SequenceSample(9), (f"{budget} bytes", "9 bytes"))],
    )


@pytest.mark.parametrize(
    "state", [CountTable(("task", "option")), NgramTable(3), SequenceSample(), TokenSums()]
)
def test_states_are_pickled_by_their_bytes(state: Any) -> None:
    twin = pickle.loads(pickle.dumps(state))  # noqa: S301
    assert type(twin) is type(state)
    assert twin.to_bytes() == state.to_bytes()
    twin.merge(state)
