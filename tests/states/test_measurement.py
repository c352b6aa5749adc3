from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crystal
from crystal.errors import InputError, SettingsError, StateError
from crystal.samples import Checkpoint, Prompt
from crystal.states import measurement_file
from crystal.states.count_table import CountTable
from crystal.states.manifest import Manifest
from crystal.states.measurement import Measurement
from crystal.states.task_options import TaskOptions
from crystal.states.token_sums import CELL, TokenSums

BASE, TUNED = Checkpoint("l", "base", 0, "base"), Checkpoint("l", "sft", 10, "tuned")
FLIP, TOSS = Prompt("verb", "Flip a coin."), Prompt("verb", "Toss a coin.")
TASKS = {"coin": TaskOptions(("heads", "tails"))}


def rows(
    *options: str | None, at: Checkpoint = BASE, task: str = "coin", prompt: Prompt = FLIP
) -> dict[str, Any]:
    count = len(options)
    return {
        "checkpoint": [at.key()] * count,
        "task": [task] * count,
        "prompt": [prompt.key()] * count,
        "option": list(options),
    }


def sampled(*options: str | None, **where: Any) -> Measurement:
    measurement = Measurement(TASKS, {"answer": "short"})
    measurement.update(rows(*options, **where))
    return measurement


def scored(**where: Any) -> Measurement:
    measurement = Measurement(TASKS, {"answer": "short"})
    measurement.update({**rows("heads", "tails", **where), "probability": [0.25, 0.5]})
    return measurement


def both() -> Measurement:
    measurement = sampled("heads", None, "tails")
    measurement.update({**rows("heads", "tails", at=TUNED), "probability": [0.25, 0.5]})
    measurement.update({**rows("tails", prompt=TOSS), "decoding": ['{"temperature":1}'], "count": [5]})
    measurement.manifest.cover("content", 0, 8)
    measurement.manifest.files = ["a.jsonl"]
    return measurement


def test_counts_and_decodings() -> None:
    measurement = both()
    assert measurement.counts.total == 8
    assert measurement.decodings.result().to_pylist() == [
        {"checkpoint": BASE.key(), "task": "coin", "decoding": '{"temperature":1}', "count": 5}
    ]
    assert sorted(measurement.result()) == ["counts", "decodings", "exact", "sequences", "tokens"]


def test_unknown_decodings_are_not_counted() -> None:
    measurement = Measurement()
    measurement.update({**rows("heads", "tails", "tails"), "decoding": [None, "{}", None]})
    assert measurement.decodings.total == 1
    assert measurement.counts.total == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"task": ["a"]}, "other columns"),
        ({**rows("heads"), "colour": ["red"]}, "other columns"),
        ({**rows("heads"), "probability": [1.0], "count": [1]}, "other columns"),
        ({**rows("heads"), "task": [None]}, "column task: a key is null"),
        ({**rows("heads"), "checkpoint": [None]}, "column checkpoint: a key is null"),
        ({**rows("heads"), "option": ["heads", "tails"]}, "differ in length"),
        ({**rows("heads"), "decoding": ["{}", "{}"]}, "differ in length"),
        ({**rows("heads"), "count": [-1]}, "negative"),
        ({**rows("heads", task="new"), "probability": [1.5]}, "outside"),
    ],
)
def test_malformed_batches_are_refused(columns: dict[str, Any], message: str) -> None:
    measurement = both()
    before = measurement.to_bytes()
    with pytest.raises(StateError, match=message):
        measurement.update(columns)
    assert measurement.to_bytes() == before


@pytest.mark.parametrize("first", [sampled, scored])
def test_a_cell_has_samples_or_exact_values(first: Callable[..., Measurement]) -> None:
    one = first("heads") if first is sampled else scored()
    other = scored() if first is sampled else sampled("heads")
    message = r'checkpoint \["l","base",0,"base"\], task coin, prompt .*Flip a coin.*: a cell has both'
    before = one.to_bytes()
    with pytest.raises(StateError, match=message):
        one.merge(other)
    with pytest.raises(StateError, match=message):
        one.update({**rows("tails"), **({"probability": [0.5]} if first is sampled else {})})
    assert one.to_bytes() == before
    # Other cells of the same task may be of the other kind.
    one.merge(sampled("heads", prompt=TOSS) if first is scored else scored(prompt=TOSS))
    one.merge(sampled("heads", at=TUNED) if first is scored else scored(at=TUNED))


def test_a_refused_merge_changes_nothing() -> None:
    one = both()
    one.update({**rows(*["heads"], at=TUNED, task="die"), "count": [2**63 - 20]})
    conflict = Measurement(TASKS, {"answer": "short"})
    conflict.update({**rows("heads", at=TUNED), "probability": [0.75]})
    overlap = sampled("heads")
    overlap.manifest.cover("content", 7, 9)
    too_many = sampled("heads")
    too_many.update({**rows("heads"), "count": [100]})
    too_many.update({**rows("new", at=TUNED, prompt=TOSS), "probability": [0.5]})
    before = one.to_bytes()
    for other, message in ((conflict, "0.25 and 0.75"), (overlap, "counted twice"), (too_many, "int64")):
        with pytest.raises(StateError, match=message):
            one.merge(other)
        assert one.to_bytes() == before


def test_duplicates_may_be_allowed() -> None:
    one, other = both(), sampled("heads")
    other.manifest.cover("content", 6, 10)
    one.merge(other, allow_duplicates=True)
    assert one.counts.total == 9
    assert list(one.manifest) == [("content", 0, 10)]
    assert one.manifest.duplicates == 2


@pytest.mark.parametrize(
    ("other", "values"),
    [
        (Measurement(TASKS, {"answer": "whole"}), ("settings['answer']", "'short'", "'whole'")),
        (Measurement(TASKS), ("settings['answer']", "'short'", "None")),
        (Measurement({}, {"answer": "short"}), ("tasks['coin']", "('heads', 'tails')", "None")),
    ],
)
def test_another_configuration_names_both_values(other: Measurement, values: tuple[str, ...]) -> None:
    with pytest.raises(StateError) as caught:
        sampled("heads").merge(other)
    assert all(value in str(caught.value) for value in values)


def test_the_digest_is_of_the_states_alone() -> None:
    one, other = both(), both()
    other.manifest.cover("elsewhere", 0, 3)
    other.manifest.samples = 3
    assert one.digest() == other.digest()
    assert one != other
    assert one.digest() != sampled("heads").digest()
    assert len(one.digest()) == 32


def test_inputs_are_in_the_manifest() -> None:
    assert both().inputs.files == ["a.jsonl"]
    assert both().ladder_names() == ("l",)


def test_files_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.crystal"
    measurement = both()
    measurement.save(path)
    loaded = Measurement.load(path)
    assert loaded == measurement
    assert (loaded.tasks, loaded.settings) == (TASKS, {"answer": "short"})
    assert loaded.digest() == measurement.digest()
    assert [file.name for file in tmp_path.iterdir()] == ["m.crystal"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.crystal.*cannot be read"):
        Measurement.load(tmp_path / "absent.crystal")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.crystal"
    path.write_bytes(both().to_bytes()[:-8])
    with pytest.raises(StateError, match=r"m\.crystal: the file is cut"):
        Measurement.load(path)


_, GOOD = measurement_file.unpack(both().to_bytes(), where="x")
MANIFEST = json.loads(GOOD["manifest"])
CONFIGURATION = json.loads(GOOD["configuration"])


def packed(**changes: bytes) -> bytes:
    return measurement_file.pack({**GOOD, **changes})


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed(more=b""), "other sections"),
        (measurement_file.pack({"counts": GOOD["counts"]}), "other sections"),
        (packed(configuration=b"{"), "cannot be read"),
        (packed(configuration=b"[" * 100_000), "cannot be read"),
        (packed(configuration=compact({**CONFIGURATION, "settings": {"answer": 1}})), "cannot be read"),
        (packed(configuration=compact({**CONFIGURATION, "tasks": {"coin": {"options": []}}})), "no options"),
        (packed(configuration=GOOD["configuration"] + b" "), "canonical"),
        (packed(manifest=compact({**MANIFEST, "samples": -1})), "not in order"),
        (packed(manifest=compact({**MANIFEST, "ranges": {"d": [[5, 4]]}})), "not in order"),
        (packed(manifest=compact({**MANIFEST, "ranges": {"d": "x"}})), "cannot be read"),
        (packed(counts=GOOD["counts"][:-1]), "checksum"),
        (packed(counts=GOOD["exact"]), "another kind"),
        (packed(counts=GOOD["decodings"]), "other columns"),
        (packed(exact=GOOD["counts"]), "another kind"),
    ],
)
def test_files_that_break_a_rule_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(StateError, match=message):
        Measurement.from_bytes(data)


def test_a_file_with_both_kinds_in_a_cell_is_refused() -> None:
    data = {**GOOD, "counts": sampled("heads", at=TUNED).counts.to_bytes()}
    with pytest.raises(StateError, match="a cell has both"):
        Measurement.from_bytes(measurement_file.pack(data))


def test_null_keys_in_a_file_are_refused() -> None:
    counts = both().counts.empty()
    counts.update({**rows("heads"), "task": [None]})
    with pytest.raises(StateError, match="null keys"):
        Measurement.from_bytes(packed(counts=counts.to_bytes()))


def test_a_key_that_is_no_checkpoint_is_refused_where_it_is_needed() -> None:
    for key in ("x", "[]", '["l","base",0]', "7", "[" * 100_000):
        measurement = Measurement()
        measurement.update({**rows("heads"), "checkpoint": [key]})
        with pytest.raises(StateError, match="not the key of a checkpoint"):
            measurement.ladders()
    measurement = Measurement()
    measurement.update({**rows("heads"), "prompt": ["x"]})
    with pytest.raises(StateError, match="not the key of a prompt"):
        measurement.table("l", "coin")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(both().to_bytes()) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    data = bytearray(both().to_bytes())
    data[at] ^= change
    with pytest.raises(StateError):
        Measurement.from_bytes(bytes(data))


def test_every_truncation_is_refused() -> None:
    data = both().to_bytes()
    for size in range(0, len(data), 7):
        with pytest.raises(StateError):
            Measurement.from_bytes(data[:size])


def test_sizes_and_words() -> None:
    assert both().nbytes > Measurement().nbytes
    assert bool(both())
    assert not Measurement()
    assert "4 counted and 2 exact rows" in repr(both())


def with_tokens() -> Measurement:
    measurement = both()
    tokens = {"logprobs": [[-0.5, -9999.0], None], "entropies": [None, [1.5]]}
    measurement.update({**rows("heads", None), **tokens})
    return measurement


def test_token_lists_become_sums(tmp_path: Path) -> None:
    measurement = with_tokens()
    cell = measurement.tokens.cells()[BASE.key(), "coin", FLIP.key()]
    assert cell["surprisal"].sum / 2**40 == 0.5
    assert (cell["surprisal"].tokens, cell["surprisal"].missing, cell["entropy"].tokens) == (1, 1, 1)
    assert measurement.counts.total == 10
    measurement.save(tmp_path / "m.crystal")
    loaded = Measurement.load(tmp_path / "m.crystal")
    assert loaded == measurement
    loaded.merge(Measurement(TASKS, {"answer": "short"}))
    assert loaded == measurement
    assert loaded.digest() != both().digest()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({**rows("heads"), "logprobs": [[-1.0]], "count": [2]}, "other columns"),
        ({**rows("heads", at=TUNED), "logprobs": [[-1.0]], "probability": [0.5]}, "other columns"),
        ({**rows("heads"), "logprobs": [[-1.0], [-1.0]]}, "differ in length"),
        ({**rows("heads"), "entropies": ["x"]}, "not convert"),
    ],
)
def test_malformed_token_lists_change_nothing(columns: dict[str, Any], message: str) -> None:
    measurement = with_tokens()
    before = measurement.to_bytes()
    with pytest.raises((StateError, InputError, ValueError), match=message):
        measurement.update(columns)
    assert measurement.to_bytes() == before


def test_token_sums_that_overflow_leave_everything_as_it_was() -> None:
    big = TokenSums()
    full = CountTable((*CELL, "sum"))
    full.update({**{name: ["x"] for name in CELL}, "sum": ["entropy.sum.3"]}, counts=[2**63 - 1])
    big.merge(TokenSums.from_bytes(full.to_bytes()))
    other = Measurement.from_bytes(packed_with(tokens=big.to_bytes()))
    measurement = with_tokens()
    before = measurement.to_bytes()
    for refused in (lambda: measurement.merge(other), lambda: other.merge(measurement)):
        with pytest.raises(StateError, match="int64"):
            refused()
    assert measurement.to_bytes() == before
    whole = other.to_bytes()
    with pytest.raises(StateError, match="int64"):
        other.update({**rows("heads", at=TUNED, prompt=TOSS), "entropies": [[1.0]]})
    assert other.to_bytes() == whole


def packed_with(version: int = 2, **sections: bytes) -> bytes:
    manifest = GOOD["manifest"]
    states = {name: data for name, data in GOOD.items() if name != "manifest"}
    empty = {"manifest": msgspec.json.encode(Manifest(), order="sorted")} if sections else {}
    return measurement_file.pack({**states, **sections, "manifest": manifest, **empty}, version=version)


def test_files_of_version_1_are_read() -> None:
    """They have no optional sections; what is written from them is version 2."""
    old = Measurement.from_bytes(packed_with(version=1))
    assert old == both()
    assert old.digest() == both().digest()
    assert old.to_bytes()[8] == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed_with(version=1, tokens=with_tokens().tokens.to_bytes()), "other sections"),
        (packed_with(unheard=b""), "got unheard.*later crystal"),
        (packed_with(tokens=Measurement().tokens.to_bytes()), "canonical"),
        (packed_with(tokens=GOOD["counts"]), "no token sums"),
        (packed_with(tokens=GOOD["counts"][:-9]), "cannot be read"),
    ],
)
def test_sections_that_do_not_belong_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(StateError, match=message):
        Measurement.from_bytes(data)


def test_it_is_pickled_and_copied_by_its_bytes() -> None:
    whole = both()
    for twin in (pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):  # noqa: S301
        assert twin == whole
        twin.merge(Measurement(whole.tasks, whole.settings))
        assert twin == whole


@pytest.mark.parametrize("other", [None, "a.crystal", 5])
def test_what_is_no_measurement_is_refused(other: object) -> None:
    with pytest.raises(SettingsError, match=r"no measurement.*crystal\.Measurement\.load"):
        both().merge(other)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no measurement"):
        crystal.classify(other)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no measurement"):
        crystal.compare(both(), other or [])  # type: ignore[arg-type]
