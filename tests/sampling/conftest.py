"""A real causal model of a few thousand weights, and a tokenizer made here: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
WORDS = ["heads tails coin flip a the answer is yes no pick number one two three user: assistant: "]


class Tiny(NamedTuple):
    """A folder as ``save_pretrained`` leaves it, and what is in it."""

    path: Path
    network: Any
    tokenizer: Any


def make_tokenizer(template: str | None = TEMPLATE, *, bos: bool = False) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(WORDS * 30, trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    tokenizer.chat_template = template
    return tokenizer


def make_network(kind: str = "llama", seed: int = 0, vocabulary: int = 400) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    if kind == "gpt2":
        config: Any = transformers.GPT2Config(
            vocab_size=vocabulary, n_positions=48, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3
        )
        return transformers.GPT2LMHeadModel(config).eval()
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 48,
        "initializer_range": 0.5,
    }
    if kind == "gemma2":  # caps its logits behind the output layer
        config = transformers.Gemma2Config(**shape, head_dim=8, final_logit_softcapping=2.0)
        return transformers.Gemma2ForCausalLM(config).eval()
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape)).eval()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    pytest.importorskip("transformers")
    import torch

    torch.set_num_threads(1)  # the model is smaller than what a second thread costs
    path = tmp_path_factory.mktemp("model")
    network, tokenizer = make_network(), make_tokenizer()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return Tiny(path, network, tokenizer)


def reference(
    network: Any, context: list[int], reply: list[int], temperature: float = 1.0
) -> tuple[Any, Any]:
    """Log-probabilities and entropies from all of one sample's logits, in float64."""
    import torch

    with torch.no_grad():
        logits = network(input_ids=torch.tensor([context + reply])).logits[0].double() / temperature
    table = torch.log_softmax(logits[len(context) - 1 : -1], dim=-1)
    chosen = table.gather(1, torch.tensor(reply)[:, None])[:, 0]
    return chosen.numpy(), -(table.exp() * table).sum(-1).numpy()
