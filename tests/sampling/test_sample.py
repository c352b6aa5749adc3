"""``crystal.sample`` on a transformers model."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crystal
from crystal.errors import InputError, SettingsError, TaskError
from crystal.sampling import forms, local
from crystal.tasks.task import Task, TaskSuite, Wording
from tests.sampling.conftest import Tiny, make_network, make_tokenizer, reference


def suite(options: tuple[str, ...] = ("heads", "tails"), prompts: int = 2, **more: Any) -> TaskSuite:
    wordings = tuple(
        Wording(id=f"verb/{i}", family="verb", completion=f"flip {i}\nanswer:", chat=f"flip {i}")
        for i in range(prompts)
    )
    return TaskSuite({"coin": Task(id="coin", options=options, prompts=wordings, **more)})


def draw(model: Any, out: Path, **more: Any) -> Any:
    given: dict[str, Any] = {"checkpoint": "l/base/3", "samples": 6, "max_tokens": 4, "tasks": suite()} | more
    return crystal.sample(model, given.pop("tasks"), out, **given)


def rows(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path).read_all()
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_draws_have_the_model_s_own_probabilities(tiny: Tiny, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"a{suffix}"
    done = draw(tiny.path, out, temperature=0.8)
    found = rows(out)
    assert (done.rows, done.units, done.missing, done.rendering) == (12, 2, 0, "completion")
    assert [(row["prompt"], row["sample"]) for row in found] == [
        (f"verb/{i}", j) for i in range(2) for j in range(6)
    ]
    assert done.tokens == sum(len(row["tokens"]) for row in found)
    first = found[0]
    place = [first[name] for name in ("ladder", "stage", "step", "checkpoint", "task", "family", "rendering")]
    assert place == ["l", "base", 3, "base-3", "coin", "verb", "completion"]
    assert first["decoding"] == {
        "temperature": 0.8, "top_p": 1.0, "top_k": None, "max_tokens": 4, "template": None,
    }  # fmt: skip
    for row in found:
        context = tiny.tokenizer(f"flip {row['prompt'][-1]}\nanswer:")["input_ids"]
        logprobs, entropies = reference(tiny.network, context, row["tokens"], 0.8)
        np.testing.assert_allclose(row["logprobs"], logprobs, atol=2e-5)
        np.testing.assert_allclose(row["entropies"], entropies, atol=2e-5)
        assert row["text"] == tiny.tokenizer.decode(row["tokens"], skip_special_tokens=True)
    # The file is one that crystal reads.
    assert sum(batch.num_rows for batch in crystal.read(out)) == 12


def test_draws_follow_the_distribution(tiny: Tiny, tmp_path: Path) -> None:
    """Chi-square of 4,000 first tokens against the model's own probabilities, in ten groups of tokens."""
    out = tmp_path / "a.parquet"
    draw(tiny.path, out, samples=4000, max_tokens=1, tasks=suite(prompts=1), temperature=2.0)
    import torch

    with torch.no_grad():
        ids = torch.tensor([tiny.tokenizer("flip 0\nanswer:")["input_ids"]])
        p = (tiny.network(input_ids=ids).logits[0, -1].double() / 2).softmax(-1).numpy()
    end = tiny.tokenizer.eos_token_id
    drawn = np.array([row["tokens"][0] if row["tokens"] else end for row in rows(out)])
    group = np.arange(len(p)) % 10
    seen = np.bincount(group[drawn], minlength=10)
    expected = np.bincount(group, p, minlength=10) * 4000
    assert ((seen - expected) ** 2 / expected).sum() < 27.9  # p = 0.001 at nine degrees of freedom


def test_a_sample_depends_on_its_own_number_alone(tiny: Tiny, tmp_path: Path) -> None:
    few, more, other = (tmp_path / f"{name}.parquet" for name in ("few", "more", "other"))
    draw(tiny.path, few, samples=3)
    draw(tiny.path, more, samples=70, max_tokens=6)
    draw(tiny.path, other, samples=3, seed=1)
    texts = {
        path: {(row["prompt"], row["sample"]): row["tokens"][:4] for row in rows(path)}
        for path in (few, more, other)
    }
    assert texts[few].items() <= texts[more].items()
    assert texts[few] != texts[other]
    firsts = [tokens for (prompt, _), tokens in texts[more].items() if prompt == "verb/0"]
    assert len({tuple(tokens) for tokens in firsts}) > 30


def test_replies_end_where_the_model_ends_them(tiny: Tiny, tmp_path: Path) -> None:
    import torch

    network = make_network()
    with torch.no_grad():  # the end of a text becomes about as probable as all else
        network.lm_head.weight[1] = 0
        network.lm_head.weight[2:] *= 0.05
    out = tmp_path / "a.parquet"
    draw(network, out, tokenizer=tiny.tokenizer, samples=200, max_tokens=3, temperature=0.05)
    lengths = {len(row["tokens"]) for row in rows(out)}
    assert lengths <= {0, 1, 2, 3}
    for row in rows(out):
        assert 1 not in row["tokens"]
        assert len(row["tokens"]) == len(row["logprobs"]) == len(row["entropies"])


@pytest.mark.parametrize(("top_p", "top_k"), [(1.0, 5), (0.5, 0), (0.9, 8), (1e-6, 0)])
def test_cuts_keep_the_most_probable(tiny: Tiny, tmp_path: Path, top_p: float, top_k: int) -> None:
    import torch

    out = tmp_path / "a.parquet"
    draw(tiny.path, out, samples=100, max_tokens=1, top_p=top_p, top_k=top_k, tasks=suite(prompts=1))
    with torch.no_grad():
        ids = torch.tensor([tiny.tokenizer("flip 0\nanswer:")["input_ids"]])
        p = tiny.network(input_ids=ids).logits[0, -1].double().softmax(-1).numpy()
    order = np.argsort(-p, kind="stable")[: top_k or None]
    share = p[order] / p[order].sum()
    keep = order[: int(np.searchsorted(share.cumsum(), top_p)) + 1]
    left = dict(zip(keep.tolist(), p[keep] / p[keep].sum(), strict=True))
    for row in rows(out):
        if row["tokens"]:
            assert math.exp(row["logprobs"][0]) == pytest.approx(left[row["tokens"][0]], rel=1e-4)
        entropy = -sum(x * math.log(x) for x in left.values())
        assert not row["tokens"] or row["entropies"][0] == pytest.approx(entropy, abs=1e-5)


def test_the_prompt_is_read_once(tiny: Tiny, tmp_path: Path) -> None:
    network = make_network()
    seen: list[tuple[int, ...]] = []
    network.model.embed_tokens.register_forward_hook(lambda _m, given, _r: seen.append(tuple(given[0].shape)))
    draw(network, tmp_path / "a.parquet", tokenizer=tiny.tokenizer, tasks=suite(prompts=1))
    prompt = len(tiny.tokenizer("flip 0\nanswer:")["input_ids"])
    assert seen[0] == (1, prompt)
    assert set(seen[1:]) == {(6, 1)}
    assert len(seen) <= 4


def brute_force(
    tiny: Tiny, text: str, options: tuple[str, ...], gaps: tuple[str, ...] = (" ", "")
) -> dict[str, float]:
    """Every way to write an option, each with its own pass over prompt and option, in float64."""
    context = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    ways: dict[tuple[int, ...], str] = {}
    for option, gap in itertools.product(options, gaps):
        for form in {option, option.lower(), option[0].upper() + option[1:]}:
            joint = tiny.tokenizer(text + gap + form, add_special_tokens=False)["input_ids"]
            alone = tiny.tokenizer(gap + form, add_special_tokens=False)["input_ids"]
            whole = joint[: len(context)] == context
            ways[tuple(joint[len(context) :] if whole else alone)] = option
    p = {}
    for way in ways:
        logprobs, _ = reference(tiny.network, context, list(way))
        p[way] = math.exp(logprobs.sum())
    found = dict.fromkeys(options, 0.0)
    for way, option in ways.items():
        longer = [other for other in ways if len(other) > len(way) and other[: len(way)] == way]
        # The events "goes on as OTHER" are nested where one continuation begins another: count the outermost.
        outer = [o for o in longer if not any(o != x and o[: len(x)] == x for x in longer)]
        found[option] += p[way] - sum(p[o] for o in outer)
    return found


OPTIONS = ("heads", "tails", "1", "10", "100", "no", "none", "yes yes", "yes", "Pick")


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2"])
def test_exact_distributions_are_those_of_brute_force(tmp_path: Path, kind: str) -> None:
    tiny = Tiny(tmp_path, make_network(kind), make_tokenizer(None))
    out = tmp_path / "a.parquet"
    done = draw(tiny.network, out, tokenizer=tiny.tokenizer, exact=True, tasks=suite(OPTIONS))
    found = rows(out)
    assert (done.rows, done.units) == (20, 2)
    for i in range(2):
        ours = {row["option"]: row["probability"] for row in found if row["prompt"] == f"verb/{i}"}
        theirs = brute_force(tiny, f"flip {i}\nanswer:", OPTIONS)
        assert list(ours) == list(OPTIONS)
        for option in OPTIONS:
            # Ways whose first token is below 1e-9 are left out; all else is float32 arithmetic.
            assert ours[option] == pytest.approx(theirs[option], rel=2e-4, abs=1e-7), option
        assert 0 < sum(ours.values()) <= 1


def test_exact_in_chat_and_in_small_blocks(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOGIT_BYTES", 12 * 400 * 3)
    out = tmp_path / "a.parquet"
    done = draw(tiny.path, out, exact=True, tasks=suite(OPTIONS, 1), checkpoint="l/sft/3")
    assert done.rendering == "chat"
    ours = {row["option"]: row["probability"] for row in rows(out)}
    # Behind white space there is no further space.
    theirs = brute_force(tiny, "<s>user: flip 0</s><s>assistant: ", OPTIONS, ("",))
    for option in OPTIONS:
        assert ours[option] == pytest.approx(theirs[option], rel=2e-4, abs=1e-7), option


def test_exact_agrees_with_draws(tmp_path: Path) -> None:
    """The share of draws that begin with an option's tokens is its exact probability."""
    import torch

    network, tokenizer = make_network(), make_tokenizer(None)
    with torch.no_grad():
        network.lm_head.weight.mul_(0.1)
        for word in (" heads", " tails", "h", "heads"):
            network.lm_head.weight[tokenizer(word)["input_ids"][0]] *= 12
    out, drawn = tmp_path / "a.parquet", tmp_path / "b.parquet"
    draw(network, out, tokenizer=tokenizer, exact=True, tasks=suite(prompts=1))
    draw(network, drawn, tokenizer=tokenizer, tasks=suite(prompts=1), samples=3000, max_tokens=3)
    exact = {row["option"]: row["probability"] for row in rows(out)}
    ways = {
        option: {
            tuple(tokenizer(gap + form)["input_ids"])
            for gap in (" ", "")
            for form in (option, option.title())
        }
        for option in ("heads", "tails")
    }
    for option, p in exact.items():
        hits = sum(
            any(tuple(row["tokens"][: len(way)]) == way for way in ways[option]) for row in rows(drawn)
        )
        error = math.sqrt(p * (1 - p) / 3000) + 1e-9
        assert abs(hits / 3000 - p) < 4.5 * error, option


def test_prefixes_by_hand() -> None:
    ways: dict[tuple[object, ...], str] = {(1,): "1", (1, 0): "10", (1, 0, 0): "100", (2,): "2", (3, 1): "3"}
    p = {(1,): 0.5, (1, 0): 0.25, (1, 0, 0): 0.0625, (2,): 0.125}
    found = forms.of_options(
        ["1", "10", "100", "2", "3"], ways, {path: math.log(value) for path, value in p.items()}
    )
    assert found == pytest.approx({"1": 0.25, "10": 0.1875, "100": 0.0625, "2": 0.125, "3": 0.0})
    with pytest.raises(InputError, match=r"writes two options alike.*'a' and 'b'"):
        forms.by_path([((1,), "a"), ((1,), "b")], "here")
    with pytest.raises(InputError, match="no number"):
        forms.of_options(["1"], ways, {(1,): math.nan})


def test_histories_are_prompts_of_their_own_family(tiny: Tiny, tmp_path: Path) -> None:
    tasks = suite(("heads", "tails"))
    outs = [tmp_path / f"{i}.parquet" for i in range(2)]
    network = make_network()
    network.config.max_position_embeddings = 400
    for out in outs:
        draw(network, out, tokenizer=tiny.tokenizer, tasks=tasks, histories=3, history_length=2, exact=True)
    found = rows(outs[0])
    assert [row["probability"] for row in found] == [row["probability"] for row in rows(outs[1])]
    by_prompt = {(row["family"], row["prompt"]) for row in found}
    assert by_prompt == {
        ("verb", "verb/0"),
        ("verb", "verb/1"),
        *(("history", f"history/{i}") for i in (1, 2, 3)),
    }
    plain, steered = (
        [row["probability"] for row in found if row["prompt"] == name] for name in ("verb/0", "history/1")
    )
    assert plain != steered


class Cut(Exception):  # noqa: N818
    """What a test cuts a run off with."""


@pytest.mark.parametrize("exact", [False, True])
def test_a_run_that_was_cut_off_goes_on(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "a.parquet"
    tasks = suite(prompts=5)
    draw(tiny.path, whole, tasks=tasks, exact=exact)
    asked: list[str] = []
    name = "distribution" if exact else "draw"
    original = getattr(local.Local, name)

    def counted(self: Any, unit: Any, note: Any) -> Any:
        if len(asked) == 3:
            raise Cut
        asked.append(unit.wording.id)
        return original(self, unit, note)

    monkeypatch.setattr(local.Local, name, counted)
    with pytest.raises(Cut):
        draw(tiny.path, out, tasks=tasks, exact=exact)
    assert not out.exists()
    (tmp_path / "a.parquet.parts" / "000001.arrow").write_bytes(b"damaged")
    asked[:] = ["", ""]
    with pytest.raises(Cut):
        draw(tiny.path, out, tasks=tasks, exact=exact)
    asked.clear()
    done = draw(tiny.path, out, tasks=tasks, exact=exact)
    assert (asked, done.resumed) == (["verb/3", "verb/4"], 3)
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "a.parquet.parts").exists()
    # Finished: nothing is asked again; with another setting all is.
    asked.clear()
    assert draw(tiny.path, out, tasks=tasks, exact=exact).resumed == 5
    assert asked == []
    monkeypatch.setattr(local.Local, name, original)
    draw(tiny.path, out, tasks=tasks, exact=exact, temperature=0.5)
    assert out.read_bytes() != whole.read_bytes()


def test_parts_of_another_run_are_not_mixed_in(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.parquet"

    def broken(*_arguments: Any) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr("crystal.sampling.sample.write_samples", broken)
        with pytest.raises(Cut):
            draw(tiny.path, out)
    for change in ({"seed": 1}, {"temperature": 0.5}, {"exact": True}, {"checkpoint": "l/base/4"}):
        with pytest.raises(SettingsError, match="another"):
            draw(tiny.path, out, **change)
    with pytest.raises(SettingsError, match="another samples"):
        draw(tiny.path, out, tasks=suite(prompts=3, title="x"), samples=5)
    assert draw(tiny.path, out, seed=1, restart=True).resumed == 0


def test_a_prompt_that_is_too_long_is_left_out_or_refused(tiny: Tiny, tmp_path: Path) -> None:
    tasks = suite(prompts=2)
    long = Wording(id="long", family="verb", completion="flip " * 60, chat="flip " * 60)
    task = tasks.tasks["coin"]
    tasks = TaskSuite({"coin": Task(id="coin", options=task.options, prompts=(*task.prompts, long))})
    with pytest.raises(InputError, match="longer than the model takes"):
        draw(tiny.path, tmp_path / "a.parquet", tasks=tasks)
    done = draw(tiny.path, tmp_path / "a.parquet", tasks=tasks, on_error="collect")
    assert (done.rows, done.missing) == (12, 1)
    (failure,) = done.failures
    assert "longer than the model takes" in failure.reason
    with pytest.raises(InputError, match="nothing could be sampled"):
        draw(
            tiny.path,
            tmp_path / "b.parquet",
            on_error="collect",
            tasks=TaskSuite({"coin": Task(id="coin", options=task.options, prompts=(long,))}),
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "samples"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 0.0}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"on_error": "shrug"}, "on_error"),
        ({"checkpoint": "base"}, "ladder/stage/step"),
        ({"only": ["coin", "dice"]}, "no such task.*got dice"),
        ({"histories": -1}, "histories"),
        ({"rendering": "loud"}, "rendering"),
    ],
)
def test_settings_that_cannot_be_used(
    tiny: Tiny, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        draw(tiny.path, tmp_path / "a.parquet", **change)
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    with pytest.raises(SettingsError, match="lists of numbers"):
        draw(tiny.path, tmp_path / "a.jsonl")
    with pytest.raises(SettingsError, match="needs its tokenizer"):
        draw(tiny.network, out)
    with pytest.raises(InputError, match="no such folder"):
        draw(tiny.path, tmp_path / "absent" / "a.parquet")
    with pytest.raises(TaskError, match="without prompts"):
        draw(tiny.path, out, tasks=suite(prompts=0))
    with pytest.raises(TaskError, match="no tasks"):
        draw(tiny.path, out, tasks=TaskSuite())
    with pytest.raises(InputError, match="no such folder or file"):
        draw(tmp_path / "model.gguf", out)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match="cannot be loaded"):
        draw(tmp_path / "model.gguf", out)


def test_a_model_without_a_cache_of_keys_is_refused(tmp_path: Path) -> None:
    import transformers

    shape = {"vocab_size": 400, "hidden_size": 16, "state_size": 4, "num_hidden_layers": 1}
    network = transformers.MambaForCausalLM(transformers.MambaConfig(**shape))
    for exact in (False, True):
        with pytest.raises(SettingsError, match="no cache that samples could share"):
            draw(network, tmp_path / "a.parquet", tokenizer=make_tokenizer(None), exact=exact)


def test_progress_is_told(tiny: Tiny, tmp_path: Path) -> None:
    told: list[Any] = []
    draw(tiny.path, tmp_path / "a.parquet", progress=lambda *state: told.append(state))
    assert told == [("sampling", 1, 2), ("sampling", 2, 2)]


def test_the_suite_s_wordings_are_asked_in_both_renderings(tiny: Tiny, tmp_path: Path) -> None:
    network = make_network()
    network.config.max_position_embeddings = 1000
    asked = {}
    for stage in ("base", "sft"):
        out = tmp_path / f"{stage}.parquet"
        done = crystal.sample(
            network, "default", out, tokenizer=tiny.tokenizer, checkpoint=f"l/{stage}/1", samples=1,
            max_tokens=1, only=["coin", "rps"],
        )  # fmt: skip
        asked[done.rendering] = [(row["task"], row["family"], row["prompt"]) for row in rows(out)]
    assert asked["completion"] == asked["chat"]
    assert len(asked["chat"]) == 20
    assert {family for _, family, _ in asked["chat"]} == {"paraphrase", "verb", "context", "persona"}
