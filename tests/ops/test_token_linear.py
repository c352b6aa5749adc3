"""Statistics from hidden states: against the definitions, chunks, parts, masks, kinds, memory, refusals."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError
from crystal.kernels.token_fields import RESULTS

GENERATOR = torch.Generator().manual_seed(1)
HIDDEN = torch.randn(3, 5, 40, generator=GENERATOR)
WEIGHT = torch.randn(307, 40, generator=GENERATOR) * 0.5
BIAS = torch.randn(307, generator=GENERATOR)
TOKENS = torch.randint(0, 307, (3, 5), generator=GENERATOR)
COUNTS = ("argmax", "n_greater", "n_equal")


def definitions(dtype, temperature=1.0):
    """The whole logits in float64, from the numbers that the dtype holds."""
    hidden, weight, bias = (x.to(dtype).double() for x in (HIDDEN, WEIGHT, BIAS))
    return crystal.token_stats(hidden @ weight.T + bias, TOKENS, temperature)


def hold(got, want, names=RESULTS):
    for name in names:
        error = (torch.as_tensor(getattr(got, name)) - getattr(want, name)).abs().max()
        assert error <= (0 if name in COUNTS else 1e-5), f"{name}: off by {error}"


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_agrees_with_the_whole_logits(dtype, chunk, backend):
    arguments = [x.to(dtype) for x in (HIDDEN, WEIGHT)]
    bias = BIAS.to(dtype)
    got = crystal.linear_token_stats(
        *arguments, TOKENS, bias=bias, temperature=0.7, chunk=chunk, backend=backend
    )
    assert got.entropy.shape == (3, 5)
    assert got.entropy.dtype == torch.float32
    hold(got, definitions(dtype, 0.7))


def test_numpy_in_numpy_out_and_bits_of_bfloat16():
    want = crystal.linear_token_stats(HIDDEN, WEIGHT, TOKENS)
    got = crystal.linear_token_stats(HIDDEN.numpy(), WEIGHT.numpy(), TOKENS.numpy())
    assert isinstance(got.entropy, np.ndarray)
    hold(got, want)
    hidden, weight = HIDDEN.bfloat16(), WEIGHT.bfloat16()
    bits = [x.view(torch.uint16).numpy() for x in (hidden, weight)]
    got = crystal.linear_token_stats(*bits, TOKENS.numpy(), dtype="bfloat16", metrics=["logprob"])
    assert got.entropy is None
    hold(got, crystal.linear_token_stats(hidden, weight, TOKENS), ["logprob"])
    double = crystal.linear_token_stats(HIDDEN.double().numpy(), WEIGHT.double().numpy(), TOKENS.numpy())
    assert double.entropy.dtype == np.float64


def test_ignored_tokens_are_not_multiplied():
    hidden, tokens = HIDDEN.clone(), TOKENS.clone()
    hidden[1] = math.nan
    tokens[1] = -100
    hidden[2, 0] = math.nan
    got = crystal.linear_token_stats(hidden, WEIGHT, tokens, chunk=4)
    assert got.status.tolist() == [[0] * 5, [4] * 5, [2, 0, 0, 0, 0]]
    assert got.logsumexp[1].isnan().all()
    assert got.n_greater[1].tolist() == [-1] * 5
    want = crystal.linear_token_stats(HIDDEN, WEIGHT, TOKENS)
    assert (got.entropy[0] - want.entropy[0]).abs().max() < 1e-5
    nothing = crystal.linear_token_stats(hidden, WEIGHT, torch.full((3, 5), -100))
    assert (nothing.status == 4).all()


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_parts_of_the_vocabulary_give_the_whole(backend):
    logits = HIDDEN @ WEIGHT.T + BIAS
    chosen = logits.gather(-1, TOKENS[..., None])[..., 0]
    tokens = TOKENS.clone()
    tokens[0, 1] = -100
    for known in (chosen, None):
        states = [
            crystal.linear_token_state(
                HIDDEN, WEIGHT[a:b], tokens, a, bias=BIAS[a:b], chosen=known, chunk=6, backend=backend
            )
            for a, b in ((0, 100), (100, 101), (101, 307))
        ]
        got = crystal.merge_token_states(states[::-1]).result()
        want = crystal.token_stats(logits, tokens)
        assert torch.equal(got.status, want.status)
        good = want.status == 0
        for name in RESULTS if known is not None else ("logsumexp", "logprob", "entropy", "argmax"):
            error = (getattr(got, name) - getattr(want, name))[good].abs().max()
            bar = 0 if name in COUNTS else 1e-5
            assert error <= bar, name
        if known is None:
            assert (got.n_greater == -1).all()


def test_the_memory_is_that_of_a_chunk():
    hidden = np.zeros((512, 8), np.float32)
    weight = np.zeros((50_000, 8), np.float32)
    tokens = np.zeros(512, np.int64)
    tracemalloc.start()
    crystal.linear_token_stats(hidden, weight, tokens, chunk=16, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * 16 * 50_000 * 4 < 512 * 50_000 * 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": HIDDEN[0, 0]}, "hidden: wrong shape"),
        ({"weight": WEIGHT[:, :39]}, "weight: wrong shape"),
        ({"weight": WEIGHT.half()}, "weight: unlike the hidden states"),
        ({"weight": WEIGHT.numpy()}, "weight: unlike the hidden states"),
        ({"weight": WEIGHT.T.contiguous().T}, "weight: the width is not contiguous"),
        ({"weight": [[1.0]]}, "weight: not an array"),
        ({"bias": BIAS[:5]}, "bias: does not fit"),
        ({"bias": BIAS.long()}, "bias: does not fit"),
        ({"tokens": TOKENS[0]}, "tokens: wrong shape"),
        ({"tokens": TOKENS + 300}, "an id outside the vocabulary"),
        ({"temperature": 0.0}, "temperature"),
        ({"metrics": ["entropies"]}, "metrics"),
        ({"chunk": 0}, "chunk: out of range"),
        ({"fused": True, "backend": "cpu"}, "fused: only Triton"),
    ],
)
def test_wrong_arguments_are_refused(change, words):
    arguments = {"hidden": HIDDEN, "weight": WEIGHT, "tokens": TOKENS}
    with pytest.raises(SettingsError, match=words):
        crystal.linear_token_stats(**(arguments | change))
    with pytest.raises(SettingsError, match="first_id"):
        crystal.linear_token_state(HIDDEN, WEIGHT, TOKENS, -1)
