"""Sums over words and the texts that are kept: by hand, against plain Python, and past the budget."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crystal
from crystal.errors import InputError, StateError
from crystal.samples import Checkpoint, Prompt
from crystal.states.count_table import CountTable
from crystal.states.measurement import Measurement
from crystal.states.sequence_cells import CellTexts, sequence_cells
from crystal.states.sequence_sample import CELL, FRACTION, SUMS, SequenceSample, words_of

RUNG, PROMPT = Checkpoint("l", "base", 0, "b"), Prompt("", "p")


def keys(count: int) -> dict[str, Any]:
    return {"checkpoint": [RUNG.key()] * count, "task": ["t"] * count, "prompt": [PROMPT.key()] * count}


def cell_of(sample: SequenceSample) -> CellTexts:
    return sequence_cells(sample)["l"]["t"]["b"][PROMPT]


def filled(texts: list[str | None], budget: int = 1 << 15) -> SequenceSample:
    sample = SequenceSample(budget)
    sample.update(keys(len(texts)), text=texts)
    return sample


def test_by_hand() -> None:
    cell = cell_of(filled(["a b a b", "c", None, "a b a b", " "]))
    unit = 1 << FRACTION
    assert cell.sums == {
        "samples": 4,
        "words": 9,
        "repeating.1": 3,
        "repeats.1": unit,  # 2 of 4 words, twice
        "squares.1": unit // 2,
        "repeating.2": 2,
        "repeats.2": 2 * ((unit + 1) // 3),  # 1 of 3
        "squares.2": 2 * (((unit + 1) // 3) ** 2 >> FRACTION),
        "repeating.3": 2,
        "repeating.4": 2,
    }
    assert dict(zip(cell.texts, cell.counts, strict=True)) == {"a b a b": 2, "c": 1, " ": 1}


def test_tokens_alone_are_the_text_of_their_ids() -> None:
    sample = SequenceSample()
    tokens = pa.array([[5, 7, 5], None, [1], []], pa.large_list(pa.int32()))
    sample.update(keys(4), text=[None, None, "one", None], tokens=tokens)
    cell = cell_of(sample)
    assert dict(zip(cell.texts, cell.counts, strict=True)) == {"5 7 5": 1, "one": 1, "": 1}
    assert (cell.sums["samples"], cell.sums["from_tokens"], cell.sums["words"]) == (3, 2, 4)


@settings(deadline=None)
@given(texts=st.lists(st.text(alphabet="ab \t\u00a0\u2003\né", max_size=12), max_size=20))
def test_words_are_those_of_python(texts: list[str]) -> None:
    words, offsets = words_of(pa.array(texts, pa.large_string()))
    assert words.to_pylist() == [word for text in texts for word in text.split()]
    assert offsets.tolist()[1:] == [sum(len(t.split()) for t in texts[: i + 1]) for i in range(len(texts))]


def test_kept_texts_are_those_with_the_smallest_hashes_and_their_counts_are_exact() -> None:
    texts = [f"text number {i % 300}" for i in range(1000)]
    truth, sample = Counter(texts), filled(texts, 700)
    cell = cell_of(sample)
    size = sum(len(text) for text in cell.texts)
    assert 700 < size <= 700 + 20
    assert dict(zip(cell.texts, cell.counts, strict=True)) == {text: truth[text] for text in cell.texts}
    whole = CountTable(("text",))
    whole.update({"text": texts})
    assert whole.result()["text"].to_pylist()[: len(cell.texts)] == cell.texts
    assert (cell.sums["samples"], cell.sums["words"]) == (1000, 3000)
    assert SequenceSample.from_bytes(sample.to_bytes()) == sample


def test_memory_does_not_grow_with_samples() -> None:
    sample, most = SequenceSample(1000), 0
    for start in range(0, 40_000, 4_000):
        sample.update(keys(4_000), text=[f"a text that is number {i}" for i in range(start, start + 4_000)])
        most = max(most, sample.nbytes)
    assert len(sample.texts) < 50
    assert most < 32 << 20


def test_a_text_longer_than_the_budget_is_in_the_sums_alone() -> None:
    cell = cell_of(filled(["x " * 50, "y"], 20))
    assert (cell.texts, cell.sums["samples"], cell.sums["words"]) == (["y"], 2, 51)


@pytest.mark.parametrize(
    ("columns", "fields", "error"),
    [
        ({"task": ["t"]}, {"text": ["x"]}, StateError),
        ({**keys(1), "task": [None]}, {"text": ["x"]}, StateError),
        (keys(2), {"text": ["x"]}, StateError),
        (keys(1), {"text": [None], "tokens": pa.array([[1], [2]])}, StateError),
        (keys(1), {"tokens": pa.array(["x"])}, InputError),
        (keys(1), {"tokens": pa.array([["x"]])}, InputError),
    ],
)
def test_malformed_batches_change_nothing(
    columns: dict[str, Any], fields: dict[str, Any], error: type[Exception]
) -> None:
    sample = filled(["x"])
    before = sample.to_bytes()
    with pytest.raises(error):
        sample.update(columns, **fields)
    assert sample.to_bytes() == before


def test_bytes_that_break_a_rule_are_refused() -> None:
    sample = filled(["a b", "c d"])
    data = sample.to_bytes()
    for bad in (b"", data[:10], data[:-1], data + b"x", data[:20] + b"\1" + data[21:]):
        with pytest.raises(StateError):
            SequenceSample.from_bytes(bad)
    with pytest.raises(StateError, match="more texts"):
        SequenceSample.from_bytes((2).to_bytes(8, "little") + data[8:])
    odd = SequenceSample()
    odd.sums.update({**keys(1), "sum": ["other"]})
    with pytest.raises(StateError, match="unknown name"):
        SequenceSample.from_bytes(odd.to_bytes())
    odd = SequenceSample()
    odd.sums = CountTable(CELL)
    with pytest.raises(StateError, match="other columns"):
        SequenceSample.from_bytes(odd.to_bytes())
    assert len(set(SUMS)) == len(SUMS)


def samples(texts: list[str]) -> pa.Table:
    n = len(texts)
    named = {"ladder": "l", "stage": "base", "task": "t", "prompt": "p", "checkpoint": "b"}
    return pa.table({**{k: [v] * n for k, v in named.items()}, "step": [0] * n, "text": texts})


def test_a_measurement_has_texts_where_they_were_asked_for() -> None:
    table = samples(["one two", "three", "one two"])
    plain, asked = crystal.measure(table), crystal.measure(table, sequences=True)
    assert not plain.sequences
    assert asked.sequences.result()["texts"]["count"].to_pylist() in ([1, 2], [2, 1])
    assert Measurement.from_bytes(asked.to_bytes()) == asked
    assert b"three" in asked.to_bytes()
    with pytest.raises(StateError, match="configurations"):
        plain.merge(asked)
    halves = [crystal.measure(table.slice(*part), sequences=True) for part in ((0, 1), (1, 2))]
    halves[0].merge(halves[1], allow_duplicates=True)
    assert halves[0].digest() == asked.digest()
