"""The fused kernel in the interpreter: accuracy, ties, splits, special rows, the public door."""

from __future__ import annotations

import math
import os
import warnings

import numpy as np
import pytest
import torch

import crystal
from crystal.kernels.token_fields import RESULT_COUNTS, RESULT_FLOATS
from crystal.kernels.token_merge import finish

pytestmark = pytest.mark.interpreter

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
FULL = os.environ.get("CRYSTAL_FULL_GRID") == "1"
SIZES = [1, 2, 7, 1000, 4095, 4097] if FULL else [1, 7, 1000]
LARGE = [32001, 50257, 128256, 151936, 262144] if FULL else [32001]


@pytest.fixture(autouse=True)
def quiet():
    # A GPU does not warn of the NaN and infinities that tests send through.
    with np.errstate(all="ignore"), warnings.catch_warnings(category=RuntimeWarning, action="ignore"):
        yield


def run(hidden, weight, tokens, temperature=1.0, **options):
    from crystal.kernels.linear_launch import launch_linear

    state = launch_linear(hidden, weight, tokens, temperature, **options)
    floats, counts = finish(torch, *state, temperature)
    return dict(zip((*RESULT_FLOATS, *RESULT_COUNTS), (*floats, *counts), strict=True))


def draw(rows, width, vocabulary, dtype, generator):
    hidden = torch.randn(rows, width, generator=generator).to(dtype)
    weight = (torch.randn(vocabulary, width, generator=generator) / math.sqrt(width) * 3).to(dtype)
    return hidden, weight, torch.randint(0, vocabulary, (rows,), generator=generator)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("rows", "width", "vocabulary"), [(1, 1, 1), (3, 33, 7), (70, 96, 513)])
def test_agrees_with_the_definitions(house, generator, rows, width, vocabulary, dtype):
    hidden, weight, tokens = draw(rows, width, vocabulary, dtype, generator)
    bias = torch.randn(vocabulary, generator=generator)
    for temperature, own in ((1.0, bias), (0.3, None)):
        logits = hidden.double() @ weight.double().T + (0.0 if own is None else own.double())
        got = run(hidden, weight, tokens, temperature, bias=own)
        # The product itself is rounded: the bar of the streaming kernels, several times over.
        house.hold(got, house.exact(logits, tokens, temperature), slack=6.0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", SIZES)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_agrees_at_every_temperature(house, generator, vocabulary, dtype, temperature):
    hidden, weight, tokens = draw(2, 40, vocabulary, dtype, generator)
    got = run(hidden, weight, tokens, temperature)
    # Errors of the product are divided by the temperature, as the logits are.
    logits = hidden.double() @ weight.double().T
    house.hold(got, house.exact(logits, tokens, temperature), slack=6.0 * max(1.0, 0.5 / temperature))


@pytest.mark.parametrize(
    ("vocabulary", "dtype"),
    [(size, torch.float16) for size in LARGE] + [(32001, torch.float32), (32001, torch.bfloat16)] * FULL,
    ids=str,
)
def test_agrees_at_real_vocabulary_sizes(house, generator, vocabulary, dtype):
    """A size sets the number of tiles. What a dtype or a temperature changes, a tile shows: smaller sizes."""
    hidden, weight, tokens = draw(1, 16, vocabulary, dtype, generator)
    got = run(hidden, weight, tokens)
    house.hold(got, house.exact(hidden.double() @ weight.double().T, tokens), slack=6.0)


@pytest.mark.parametrize("level", [-30.0, -110.0, 300.0])
def test_padding_never_enters(house, level):
    """All logits far from zero, and neither ids, nor rows, nor the width fill a tile."""
    hidden, weight = torch.ones(2, 5), torch.full((131, 5), level / 5)
    weight[:, 4] += torch.linspace(0, 1, 131)
    tokens = torch.tensor([0, 130])
    house.hold(
        run(hidden, weight, tokens), house.exact(hidden.double() @ weight.double().T, tokens), slack=6.0
    )


def test_peaked_rows(house):
    weight = torch.zeros(700, 1)
    weight[699] = 200.0
    hidden, tokens = torch.tensor([[1.0], [-1.0]]), torch.tensor([5, 699])
    house.hold(run(hidden, weight, tokens), house.exact(hidden @ weight.T, tokens))


def test_an_offset_changes_nothing(generator):
    """Products of small integers over 64 are exact, and so are their sums with 1000: one distribution."""
    hidden = torch.randint(-8, 9, (2, 24), generator=generator) / 8
    weight = torch.randint(-8, 9, (901, 24), generator=generator) / 8
    tokens = torch.tensor([17, 900])
    base, moved = (run(hidden, weight, tokens, bias=torch.full((901,), offset)) for offset in (0.0, 1000.0))
    assert (moved["entropy"] - base["entropy"]).abs().max() <= 5e-6
    assert (moved["varentropy"] - base["varentropy"]).abs().max() <= 5e-5
    assert (moved["logprob"] - base["logprob"]).abs().max() <= 5e-6
    assert (moved["top1"] - base["top1"]).abs().max() <= 5e-7


@pytest.mark.parametrize("splits", [2, 7, 64])
def test_any_number_of_splits_is_the_whole(generator, splits):
    hidden, weight, tokens = draw(3, 24, 8200, torch.float16, generator)
    whole, parts = (run(hidden, weight, tokens, splits=n) for n in (1, splits))
    for name, value in whole.items():
        assert (parts[name] - value).abs().max() <= 2e-6 * max(1.0, float(value.abs().max())), name


@pytest.mark.parametrize("splits", [1, 2, 5])
def test_splits_agree_and_the_first_of_equal_maxima_wins(house, generator, splits):
    hidden, weight, tokens = draw(4, 16, 640, torch.float32, generator)
    weight[500] = weight[20] = hidden[0] * 3  # one maximum of row 0 in two splits
    got = run(hidden, weight, tokens, splits=splits)
    house.hold(got, house.exact(hidden.double() @ weight.double().T, tokens), slack=6.0)
    assert got["argmax"][0] == 20


def test_a_token_equals_itself_and_its_copies(generator):
    hidden, weight, tokens = draw(40, 64, 300, torch.float16, generator)
    weight[200] = weight[7]
    tokens[:] = 7
    got = run(hidden, weight, tokens)
    x = hidden.double() @ weight.double().T
    assert (got["n_equal"] >= 1).all()
    assert torch.equal(got["n_greater"] + got["n_equal"], (x >= x[:, 7:8]).sum(1))


def test_special_rows(generator):
    hidden, weight, tokens = draw(4, 8, 50, torch.float32, generator)
    hidden[1] = math.nan
    bias = torch.zeros(50)
    bias[30:] = -math.inf
    tokens[2] = 40
    got = run(hidden, weight, tokens, bias=bias)
    assert got["status"].tolist() == [0, 2, 0, 0]
    assert got["logprob"][2] == -math.inf
    assert (got["n_greater"][2], got["n_equal"][2]) == (30, 20)
    assert got["entropy"][1].isnan()
    nothing = run(hidden, weight, tokens, bias=torch.full((50,), -math.inf))
    assert nothing["status"].tolist() == [1, 2, 1, 1]
    assert nothing["argmax"].tolist() == [-1] * 4


def test_repeated_runs_are_bitwise_equal_and_no_rows_are_none(generator):
    hidden, weight, tokens = draw(9, 20, 130, torch.float16, generator)
    first, second = run(hidden, weight, tokens), run(hidden.clone(), weight.clone(), tokens)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert run(hidden[:0], weight, tokens[:0])["entropy"].shape == (0,)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_the_public_door(generator, kind):
    hidden, weight, tokens = draw(10, 24, 200, torch.float32, generator)
    tokens[3] = -100
    arguments = [
        x if kind == "torch" else x.numpy() for x in (hidden.view(2, 5, 24), weight, tokens.view(2, 5))
    ]
    got = crystal.linear_token_stats(*arguments, fused=True)
    want = crystal.linear_token_stats(*arguments)
    assert got.status.tolist() == want.status.tolist()
    assert type(got.entropy) is type(arguments[0])
    np.testing.assert_allclose(got.entropy, want.entropy, atol=1e-5)
    np.testing.assert_array_equal(got.n_greater, want.n_greater)
    chosen = (hidden * weight[tokens.clamp(min=0)]).sum(1).view(2, 5)
    parts = [
        crystal.linear_token_state(
            arguments[0], arguments[1][a:b], arguments[2], a, chosen=chosen, fused=True
        )
        for a, b in ((0, 90), (90, 200))
    ]
    whole = parts[0].merge(parts[1]).result()
    np.testing.assert_allclose(whole.mass_above, want.mass_above, atol=1e-5)
    np.testing.assert_array_equal(whole.n_equal, want.n_equal)
