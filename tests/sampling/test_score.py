from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crystal
from crystal.errors import InputError, SettingsError
from crystal.sampling import forcing
from crystal.sampling import score as module
from tests.sampling.conftest import Tiny, make_network, make_tokenizer, reference

TEXTS = ["heads", " tails", "the answer is heads", "no", "a coin flip", "yes yes yes yes yes", "é!", "heads"]


def rows(count: int = 8, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "ladder": "l", "stage": "sft", "step": 5, "task": "coin", "prompt": f"flip {i % 3}",
            "text": TEXTS[i % len(TEXTS)], **more,
        }
        for i in range(count)
    ]  # fmt: skip


def log(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


def read_back(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path).read_all()
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def check(row: dict[str, Any], tiny: Any, context: list[int], temperature: float = 1.0) -> None:
    logprobs, entropies = reference(tiny.network, context, row["tokens"], temperature)
    np.testing.assert_allclose(row["logprobs"], logprobs, atol=2e-5)
    np.testing.assert_allclose(row["entropies"], entropies, atol=2e-5)


def chat_ids(tiny: Any, prompt: str) -> list[int]:
    text = f"<s>user: {prompt}</s><s>assistant: "
    ids: list[int] = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_values_are_those_of_a_float64_softmax(tiny: Tiny, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scored{suffix}"
    done = crystal.score(tiny.path, log(tmp_path / "a.jsonl", rows()), out)
    found = read_back(out)
    assert (done.rows, len(found), done.rendering, len(done.rejections)) == (8, 8, "chat", 0)
    assert done.tokens == sum(len(row["tokens"]) for row in found)
    for row, given in zip(found, rows(), strict=True):
        assert (row["text"], row["prompt"], row["checkpoint"]) == (given["text"], given["prompt"], "sft-5")
        assert tiny.tokenizer.decode(row["tokens"]) == given["text"]
        check(row, tiny, chat_ids(tiny, row["prompt"]))
        assert row["score"] == pytest.approx(sum(row["logprobs"]), rel=1e-5)
        assert row["rendering"] == "chat"
    assert not (tmp_path / f"scored{suffix}.parts").exists()


def test_completion_continues_the_prompt(tiny: Tiny, tmp_path: Path) -> None:
    items = [{**row, "score": 0.25} for row in rows()]
    done = crystal.score(
        tiny.path, log(tmp_path / "a.jsonl", items), tmp_path / "b.parquet", rendering="completion"
    )
    assert done.rendering == "completion"
    for row in read_back(tmp_path / "b.parquet"):
        check(row, tiny, tiny.tokenizer(row["prompt"])["input_ids"])
        assert (row["rendering"], row["score"]) == ("completion", 0.25)


def test_a_tokenizer_without_a_template_is_read_as_completion(tmp_path: Path) -> None:
    network, tokenizer = make_network("gpt2"), make_tokenizer(None, bos=True)
    out = tmp_path / "b.parquet"
    table = pa.Table.from_pylist(rows())
    crystal.score(network, table, out, tokenizer=tokenizer)
    for row in read_back(out):
        # The beginning of a text stands before the prompt, its end nowhere.
        context = [0, *tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]]
        check(row, Tiny(out, network, tokenizer), context)
    with pytest.raises(SettingsError, match="no chat template"):
        crystal.score(network, table, out, tokenizer=tokenizer, rendering="chat")
    with pytest.raises(SettingsError, match="needs its tokenizer"):
        crystal.score(network, table, out)


def test_a_template_that_fails_is_named(tiny: Tiny, tmp_path: Path) -> None:
    tokenizer = make_tokenizer("{{ raise_exception('no user turns') }}")
    with pytest.raises(InputError, match=r"task 'coin', prompt 'flip 0'.*no user turns"):
        crystal.score(
            tiny.network, pa.Table.from_pylist(rows(1)), tmp_path / "b.parquet", tokenizer=tokenizer
        )


def test_a_model_that_caps_its_logits(tmp_path: Path) -> None:
    capped = Tiny(tmp_path, make_network("gemma2"), make_tokenizer())
    out = tmp_path / "b.parquet"
    crystal.score(capped.network, pa.Table.from_pylist(rows()), out, tokenizer=capped.tokenizer)
    for row in read_back(out):
        check(row, capped, chat_ids(capped, row["prompt"]))


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_batches_and_blocks_change_no_more_than_rounding(
    tiny: Tiny, tmp_path: Path, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forcing, "LOGIT_BYTES", 3 * 400 * 4)
    out = tmp_path / "b.parquet"
    crystal.score(
        tiny.path,
        log(tmp_path / "a.jsonl", rows(20)),
        out,
        batch_tokens=batch_tokens,
        part_rows=7,
        temperature=0.7,
    )
    for row in read_back(out):
        context = tiny.tokenizer(f"<s>user: {row['prompt']}</s><s>assistant: ", add_special_tokens=False)[
            "input_ids"
        ]
        check(row, tiny, context, 0.7)


def test_logits_of_a_batch_never_exist(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forcing, "LOGIT_BYTES", 3 * 400 * 4)
    network = make_network()
    seen: list[int] = []
    network.lm_head.register_forward_hook(lambda _module, _given, logits: seen.append(logits.numel() // 400))
    done = crystal.score(
        network, pa.Table.from_pylist(rows(20)), tmp_path / "b.parquet", tokenizer=tiny.tokenizer
    )
    probe, blocks = seen[:2], seen[2:]
    assert max(probe) <= 16
    assert max(blocks) == 3
    assert sum(blocks) == done.tokens


def test_rows_are_filed_under_another_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "b.parquet"
    done = crystal.score(tiny.path, log(tmp_path / "a.jsonl", rows(3)), out, checkpoint="other/base/7/first")
    row = read_back(out)[0]
    assert [row[name] for name in ("ladder", "stage", "step", "checkpoint")] == ["other", "base", 7, "first"]
    assert done.rendering == "completion"  # a base model
    crystal.score(tiny.path, tmp_path / "a.jsonl", out, checkpoint="other/rl/7")
    assert [read_back(out)[0][name] for name in ("checkpoint", "rendering")] == ["rl-7", "chat"]
    with pytest.raises(SettingsError, match="ladder/stage/step"):
        crystal.score(tiny.path, tmp_path / "a.jsonl", out, checkpoint="base")


def test_a_checkpoint_that_is_given_need_not_be_in_the_log(tiny: Tiny, tmp_path: Path) -> None:
    items = [{"task": "coin", "prompt": "flip", "text": "heads"}]
    path, out = log(tmp_path / "a.jsonl", items), tmp_path / "b.parquet"
    with pytest.raises(InputError, match="stage"):
        crystal.score(tiny.path, path, out)
    crystal.score(tiny.path, path, out, checkpoint="mine/sft/3")
    assert read_back(out)[0]["checkpoint"] == "sft-3"


def test_wordings_stand_for_their_ids(tiny: Tiny, tmp_path: Path) -> None:
    from crystal.tasks import load

    wording = load("default").tasks["coin"].prompts[0]
    item = {**rows(1)[0], "prompt": wording.id, "family": wording.family}
    network = make_network()
    network.config.max_position_embeddings = 400
    out = tmp_path / "b.parquet"
    crystal.score(network, pa.Table.from_pylist([item]), out, tokenizer=tiny.tokenizer, tasks="default")
    check(read_back(out)[0], tiny, chat_ids(tiny, wording.chat))


def test_tokens_stand_in_for_a_text_and_a_border_is_no_token(tiny: Tiny, tmp_path: Path) -> None:
    """ "he" and "ads" make one token where they meet, so the reply is read alone."""
    items = [{**rows(1)[0], "text": None, "tokens": [5, 6, 7]}, {**rows(1)[0], "prompt": "he", "text": "ads"}]
    out = tmp_path / "b.parquet"
    crystal.score(tiny.path, log(tmp_path / "a.jsonl", items), out, rendering="completion")
    first, second = read_back(out)
    assert first["tokens"] == [5, 6, 7]
    check(first, tiny, tiny.tokenizer("flip 0")["input_ids"])
    joint, alone = (tiny.tokenizer(text)["input_ids"] for text in ("heads", "ads"))
    assert joint[: len(tiny.tokenizer("he")["input_ids"])] != tiny.tokenizer("he")["input_ids"]
    assert second["tokens"] == alone
    check(second, tiny, tiny.tokenizer("he")["input_ids"])


BAD = [
    ({"text": ""}, "text is empty"),
    ({"text": None, "answer": "heads"}, "neither text nor tokens"),
    ({"text": "no " * 60}, "the model takes 48"),
    ({"text": None, "tokens": [5, 400]}, "vocabulary of 400"),
    ({"text": None, "tokens": [-1]}, "vocabulary of 400"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_what_cannot_be_scored_is_refused(
    tiny: Tiny, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    items = rows(3)
    items[1] |= change
    path, out = log(tmp_path / "a.jsonl", items), tmp_path / "b.parquet"
    with pytest.raises(InputError, match=message):
        crystal.score(tiny.path, path, out)
    done = crystal.score(tiny.path, path, out, on_error="collect")
    assert (done.rows, len(done.rejections)) == (2, 1)
    (refused,) = done.rejections
    assert refused.file == str(path)
    assert "sample 2 of those read" in refused.reason
    assert message in refused.reason
    items = [items[1]]
    with pytest.raises(InputError, match="no sample can be scored"):
        crystal.score(tiny.path, log(path, items), out, on_error="collect")
    assert len(read_back(out)) == 2  # the earlier file is as it was
    assert not (tmp_path / "b.parquet.parts").exists()


def test_an_empty_prompt_predicts_nothing(tiny: Tiny, tmp_path: Path) -> None:
    item = {**rows(1)[0], "prompt": ""}
    with pytest.raises(InputError, match="prompt is empty"):
        crystal.score(
            tiny.path, log(tmp_path / "a.jsonl", [item]), tmp_path / "b.parquet", rendering="completion"
        )


class Cut(Exception):  # noqa: N818
    """What a test cuts a run off with."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the samples that go through the network; set [1] to cut the run off there."""
    state = [0, 10**9]
    original = forcing.Forcing.score

    def score(self: forcing.Forcing, samples: Any) -> Any:
        if state[0] >= state[1]:
            raise Cut
        state[0] += len(samples)
        return original(self, samples)

    monkeypatch.setattr(forcing.Forcing, "score", score)
    return state


def test_a_run_that_was_cut_off_goes_on(tiny: Tiny, tmp_path: Path, counted: list[int]) -> None:
    items = rows(23)
    items[2]["text"] = ""
    path, out, whole = log(tmp_path / "a.jsonl", items), tmp_path / "b.parquet", tmp_path / "whole.parquet"
    settings: dict[str, Any] = {"part_rows": 5, "on_error": "collect"}
    crystal.score(tiny.path, path, whole, **settings)
    counted[:] = [0, 14]
    with pytest.raises(Cut):
        crystal.score(tiny.path, path, out, **settings)
    assert not out.exists()
    assert counted[0] == 14
    assert len(list((tmp_path / "b.parquet.parts").iterdir())) == 3
    # A damaged part is made again.
    (tmp_path / "b.parquet.parts" / "000001.arrow").write_bytes(b"ARROW1")
    counted[:] = [0, 10**9]
    done = crystal.score(tiny.path, path, out, **settings)
    assert (done.resumed, counted[0], done.rows) == (2, 13, 22)
    assert read_back(out) == read_back(whole)
    assert [refused.reason for refused in done.rejections] == ["sample 3 of those read: its text is empty"]
    # All is done: nothing is scored again, and what was refused is still told.
    counted[0] = 0
    again = crystal.score(tiny.path, path, out, **settings)
    assert (counted[0], again.rows, again.tokens, len(again.rejections)) == (0, 22, done.tokens, 1)
    assert not (tmp_path / "b.parquet.parts").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.5}, "another temperature .*'1.0'.*'0.5'"),
        ({"rendering": "completion"}, "another rendering .*'chat'.*'completion'"),
        ({"checkpoint": "l/rl/9"}, "another checkpoint"),
        ({"max_length": 30}, "another max_length"),
        ({"model": 1}, "another model"),
        ({"samples": 1}, "another samples"),
    ],
)
def test_parts_of_another_run_are_not_used(
    tiny: Tiny, tmp_path: Path, counted: list[int], change: dict[str, Any], message: str
) -> None:
    path, out = log(tmp_path / "a.jsonl", rows(9)), tmp_path / "b.parquet"
    counted[1] = 5
    with pytest.raises(Cut):
        crystal.score(tiny.path, path, out, part_rows=5)
    counted[:] = [0, 10**9]
    change = dict(change)
    model: Any = tiny.path
    if change.pop("samples", None):
        log(path, rows(9, family="new"))
    if change.pop("model", None):
        model = make_network(seed=1)
        change["tokenizer"] = tiny.tokenizer
    with pytest.raises(SettingsError, match=message):
        crystal.score(model, path, out, part_rows=5, **change)
    assert counted[0] == 0
    done = crystal.score(model, path, out, part_rows=5, restart=True, **change)
    assert (done.rows, done.resumed, counted[0]) == (9, 0, 9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"out": "b.jsonl"}, SettingsError, "lists of numbers"),
        ({"out": "b.txt"}, SettingsError, "which format"),
        ({"part_rows": 0}, SettingsError, "part_rows"),
        ({"batch_tokens": 0}, SettingsError, "batch_tokens"),
        ({"max_length": 0}, SettingsError, "max_length"),
        ({"rendering": "both"}, SettingsError, "unknown rendering"),
        ({"dtype": "int8"}, SettingsError, "unknown dtype"),
        ({"device": "toaster"}, SettingsError, "no such device"),
        ({"temperature": 0.0}, SettingsError, "temperature"),
        ({"model": "absent"}, InputError, "no such folder"),
        ({"out": "absent/b.parquet"}, InputError, "no such folder"),
    ],
)
def test_arguments_that_cannot_be_used(
    tiny: Tiny, tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"model": tiny.path, "out": "b.parquet", **change}
    if arguments["model"] == "absent":
        arguments["model"] = tmp_path / "absent"
    arguments["out"] = tmp_path / arguments["out"]
    with pytest.raises(error, match=message):
        crystal.score(samples=log(tmp_path / "a.jsonl", rows(2)), **arguments)
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_exact_distributions_have_no_texts(tiny: Tiny, tmp_path: Path) -> None:
    item = {**rows(1)[0], "text": None, "option": "heads", "probability": 0.5}
    with pytest.raises(InputError, match="no texts to score"):
        crystal.score(tiny.path, log(tmp_path / "a.jsonl", [item]), tmp_path / "b.parquet")


def test_models_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no causal language model"):
        crystal.score(object(), pa.Table.from_pylist(rows(1)), tmp_path / "b.parquet", tokenizer=object())


def test_progress_and_streams(tiny: Tiny, tmp_path: Path) -> None:
    path = log(tmp_path / "a.jsonl", rows(4))
    told: list[tuple[str, int, int | None]] = []
    stream = crystal.read(path)
    crystal.score(
        tiny.path, stream, tmp_path / "b.parquet", progress=lambda *state: told.append(state), part_rows=3
    )
    size = path.stat().st_size
    assert [what for what, _, _ in told] == ["scoring"] * 2
    assert told[-1][1:] == (size, size)


def test_without_transformers_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(SettingsError, match=r"transformers is not installed.*crystal-phases\[score\]"):
        module.score("model", pa.Table.from_pylist(rows(1)), tmp_path / "b.parquet")
