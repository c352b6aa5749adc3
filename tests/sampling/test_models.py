from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import crystal
from crystal.errors import InputError
from crystal.sampling.models import Model, load
from tests.sampling.conftest import Tiny, make_network, make_tokenizer


@pytest.fixture
def broken(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the checkpoint, for a test to break."""
    return Path(shutil.copytree(tiny.path, tmp_path / "copy"))


def test_a_loaded_model_is_the_one_that_was_saved(tiny: Tiny) -> None:
    loaded = load(tiny.path, device="cpu")
    assert (loaded.context, loaded.vocabulary, loaded.name) == (48, 400, str(tiny.path))
    assert loaded.identity() == load(tiny.path).identity()
    assert str(load(tiny.path, dtype="bfloat16").network.dtype) == "torch.bfloat16"
    assert load(tiny.path, dtype="bfloat16").identity() != loaded.identity()


def test_identity_tells_weights_tokenizers_and_templates_apart() -> None:
    same = Model.of(make_network(), make_tokenizer(), "a").identity()
    assert Model.of(make_network(), make_tokenizer(), "b").identity() == same
    assert Model.of(make_network(seed=1), make_tokenizer(), "a").identity() != same
    assert Model.of(make_network(), make_tokenizer(None), "a").identity() != same


def test_damaged_weights(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        load(broken)


def test_a_damaged_configuration(broken: Path) -> None:
    (broken / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(broken)


def test_missing_weights_are_not_made_up(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights.*model\.norm\.weight"):
        load(broken)


def test_code_of_a_checkpoint_is_not_run(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "own.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(broken)


@pytest.mark.parametrize("name", ["./absent", "{folder}/absent", "a/b/absent", "x.gguf"])
def test_a_mistyped_path_is_told_at_once(tmp_path: Path, name: str) -> None:
    """A hub would be asked for it, again and again."""
    with pytest.raises(InputError, match="no such folder or file"):
        load(name.format(folder=tmp_path))


def test_samples_are_looked_for_before_the_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl: there is no such file"):
        crystal.score("nobody-has-this", tmp_path / "absent.jsonl", tmp_path / "out.parquet")
