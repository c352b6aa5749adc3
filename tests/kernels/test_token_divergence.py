"""The Triton kernel of the divergence in the interpreter: small signals, layouts, special values."""

from __future__ import annotations

import ctypes
import math
import mmap
import os

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.interpreter

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
FULL = os.environ.get("CRYSTAL_FULL_GRID") == "1"
MOVES = [0.0, 0.1, 1.0, 5.0, 20.0, -0.1, -1.0, -5.0, -20.0]


def draw(rows, vocabulary, dtype, generator, step=0.5):
    x = torch.randn(rows, vocabulary, generator=generator) * 3
    y = x + torch.randn(rows, vocabulary, generator=generator) * step
    return x.to(dtype), y.to(dtype), torch.randint(0, vocabulary, (rows,), generator=generator)


@pytest.mark.parametrize(
    ("offset", "temperature"),
    [(0, 0.1), (0, 1.0), (0, 10.0), (1000, 1.0), *([(1000, 0.1), (1000, 10.0)] * FULL)],
)
def test_small_divergences_are_right(compare, house, generator, offset, temperature):
    """One logit moved by each of MOVES, for KL from 1e-9 to 1."""
    seen = 0
    for vocabulary in (7, 1000, 4097, 50257) if FULL else (7, 600):
        spread = 3 * min(temperature, 1.0)  # so that no row is all in one token
        x = (torch.randn(len(MOVES), vocabulary, generator=generator) * spread * 1024).round() / 1024 + offset
        y, tokens = x.clone(), torch.randint(0, vocabulary, (len(MOVES),), generator=generator)
        y[torch.arange(len(MOVES)), tokens] += torch.tensor(MOVES)
        got, want = compare(x, y, tokens, temperature), house.divergences(x, y, temperature)
        assert got["kl"][0] == 0.0
        inside = (want["kl"] >= 1e-9) & (want["kl"] <= 1)
        seen += int(inside.sum())
        for name in ("kl", "kl_reverse", "js", "hellinger"):
            error = ((got[name] - want[name]).abs() / want[name])[inside]
            assert (error <= 1e-4).all(), f"{name}: off by {error.max():.1e}"
        assert ((got["tv"] - want["tv"]).abs() <= 2e-6).all()
    assert seen > 5


def test_rounded_levels_are_taken_out(house, generator):
    """At offset 1000 a float32 logsumexp is off by 3e-5: by itself that is a KL of 4.5e-10."""
    from crystal.kernels import divergence_launch

    house.rounded_levels(divergence_launch)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "vocabulary", [1, 2, 7, 1000, 4095, *([4097, 32001, 128256, 262144] if FULL else [])]
)
def test_agrees_with_the_definitions(compare, house, generator, vocabulary, dtype):
    x, y, tokens = draw(1, vocabulary, dtype, generator)
    for temperature in (0.1, 1.0, 10.0) if FULL or vocabulary < 2000 else (1.0,):
        got = compare(x, y, tokens, temperature)
        house.hold_divergences(got, house.divergences(x, y, temperature))


def test_agrees_with_the_plain_form(compare, generator):
    """Field by field, the noise floor and the log-ratio too."""
    from crystal.kernels.divergence_reference import reference_divergence
    from crystal.kernels.divergence_sums import DIVERGENCES

    for dtype in DTYPES:
        x, y, tokens = draw(2, 1300, dtype, generator)
        want, status = reference_divergence(x, y, tokens, 0.7)
        got = compare(x, y, tokens, 0.7)
        assert torch.equal(got["status"], status)
        for name, value in zip(DIVERGENCES, want, strict=True):
            assert ((got[name] - value).abs() <= 3e-6 * value.abs().clamp(min=1e-3)).all(), name


@pytest.mark.parametrize("splits", [2, 7, 64])
def test_splits_of_the_vocabulary_agree(compare, house, generator, splits):
    x, y, tokens = draw(1, 1500, torch.float32, generator, step=1e-3)
    x[0, 1400] = -math.inf
    got, want = compare(x, y, tokens, 1.0, splits=splits), house.divergences(x, y)
    assert got["kl_reverse"].tolist() == [math.inf]
    assert abs(float(got["kl"] / want["kl"]) - 1) <= 1e-5
    assert abs(float(got["js"] / want["js"]) - 1) <= 1e-5


def test_repeated_runs_are_bitwise_equal(compare, generator):
    x, y, tokens = draw(2, 2049, torch.bfloat16, generator)
    first, second = compare(x, y, tokens, 1.0), compare(x.clone(), y.clone(), tokens.clone(), 1.0)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("p_start", "q_start"), [(0, 0), (1, 1), (4, 4), (0, 3), (7, 2)])
def test_rows_that_start_anywhere_and_any_stride(compare, house, generator, dtype, p_start, q_start):
    """An odd row stride gives each row another misfit; the two sides share it, or do not."""
    p_storage, q_storage, tokens = draw(3, 1081, dtype, generator)
    x, y = p_storage[:, p_start : p_start + 1070], q_storage[:, q_start : q_start + 1070]
    house.hold_divergences(compare(x, y, tokens.clamp(max=1069), 1.0), house.divergences(x, y))


def test_batch_and_time_keep_their_strides(compare, house, generator):
    storage = torch.randn(4, 6, 700, generator=generator)
    x = storage.transpose(0, 1)[1:5, ::2, 13:613]
    y = storage[::2, 1:5].transpose(0, 1)[..., 50:650]
    got = compare(x, y, torch.randint(0, 600, (4, 2), generator=generator), 1.0)
    want = {name: value.reshape(-1) for name, value in house.divergences(x, y).items()}
    house.hold_divergences(got, want)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", [9, 1031])
def test_no_load_leaves_the_storage(compare, house, generator, dtype, vocabulary):
    """Both rows lie between two pages that may not be read, once against either of them."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 4 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    size = torch.empty((), dtype=dtype).element_size()
    whole = torch.frombuffer(memory, dtype=dtype)
    views = [
        whole[begin : begin + vocabulary][None] for begin in (page // size, 3 * page // size - vocabulary)
    ]
    for view in views:
        view.copy_(torch.randn(1, vocabulary, generator=generator).to(dtype))
    want = house.divergences(*views)
    for edge in (address, address + 3 * page):
        assert libc.mprotect(ctypes.c_void_p(edge), page, 0) == 0
    try:
        got = compare(*views, torch.tensor([vocabulary - 1]), 1.0)
    finally:
        for edge in (address, address + 3 * page):
            libc.mprotect(ctypes.c_void_p(edge), page, mmap.PROT_READ | mmap.PROT_WRITE)
    house.hold_divergences(got, want)


@pytest.mark.parametrize("level", [-30.0, -110.0, 300.0])
def test_padding_never_enters(compare, house, level):
    """All logits far from zero, a vocabulary that no block divides."""
    x = torch.full((1, 611), level)
    y = x + torch.linspace(0, 0.01, 611)
    got, want = compare(x, y, torch.tensor([0]), 1.0), house.divergences(x, y)
    for name in ("kl", "kl_reverse", "js", "hellinger"):
        assert abs(float(got[name] / want[name]) - 1) <= 1e-4, f"{name}: off by {got[name]} {want[name]}"


def test_impossible_tokens_broken_and_ignored_rows(compare, generator):
    x, y, tokens = draw(8, 300, torch.float32, generator)
    x[:, 280:] = y[:, 280:] = -math.inf
    y[1, 3] = x[2, 4] = -math.inf
    x[3, 5] = torch.finfo(torch.float32).min
    x[4, 6], y[5] = math.nan, -math.inf
    tokens[6] = -100
    x[7] = y[7] = -math.inf
    x[7, 0] = y[7, 1] = 1.0
    got = compare(x, y, tokens, 1.0)
    assert got["status"].tolist() == [0, 0, 0, 0, 2, 1, 4, 0]
    assert torch.isinf(got["kl"]).tolist() == [False, True, *[False] * 5, True]
    assert torch.isinf(got["kl_reverse"]).tolist() == [False, False, True, True, *[False] * 3, True]
    for name in ("js", "tv", "hellinger", "noise_floor"):
        assert got[name].isfinite().tolist() == [True] * 4 + [False] * 3 + [True], name
    assert got["js"][7] == pytest.approx(math.log(2), abs=1e-6)
    assert [float(got[name][7]) for name in ("tv", "hellinger")] == pytest.approx([1.0, 1.0], abs=1e-6)


def test_no_rows(compare):
    none = torch.zeros(0, 10)
    assert all(v.shape == (0,) for v in compare(none, none, torch.zeros(0, dtype=torch.int64), 1.0).values())


def test_through_the_public_door():
    import crystal

    x, y = (np.linspace(-1, end, 14, dtype=np.float32).reshape(2, 7) for end in (1, 2))
    with np.errstate(all="ignore"):
        got = crystal.token_divergence(x, y, [0, 6], backend="triton")
    want = crystal.token_divergence(x, y, [0, 6], backend="cpu")
    assert isinstance(got.kl, np.ndarray)
    for name in ("kl", "kl_reverse", "js", "tv", "hellinger", "noise_floor", "log_ratio"):
        np.testing.assert_allclose(getattr(got, name), getattr(want, name), rtol=1e-5, atol=1e-7)
