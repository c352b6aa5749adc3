"""The Triton kernels in the interpreter: accuracy, layouts, special values, determinism."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys

import pytest
import torch

pytestmark = pytest.mark.interpreter

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
SIZES = [1, 2, 7, 1000, 4095, 4097]
LARGE = [32001, 50257, 128256, 151936, 262144]
PROT_NONE = 0
MAP_NORESERVE = 0x4000
FULL = os.environ.get("CRYSTAL_FULL_GRID") == "1"


def draw(rows, vocabulary, dtype, generator, spread=3.0):
    logits = (torch.randn(rows, vocabulary, generator=generator) * spread).to(dtype)
    return logits, torch.randint(0, vocabulary, (rows,), generator=generator)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", SIZES)
def test_agrees_with_the_definitions(launch, house, generator, vocabulary, dtype):
    logits, tokens = draw(2, vocabulary, dtype, generator)
    for temperature in (0.1, 1.0, 10.0) if FULL or vocabulary < 2000 else (1.0,):
        house.hold(launch(logits, tokens, temperature), house.exact(logits, tokens, temperature))


@pytest.mark.parametrize("dtype", DTYPES if FULL else [torch.bfloat16], ids=str)
@pytest.mark.parametrize("vocabulary", LARGE if FULL else [32001, 128256])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0] if FULL else [1.0])
def test_agrees_at_real_vocabulary_sizes(launch, house, generator, vocabulary, dtype, temperature):
    logits, tokens = draw(1, vocabulary, dtype, generator)
    house.hold(launch(logits, tokens, temperature), house.exact(logits, tokens, temperature))


@pytest.mark.parametrize("level", ["core", "standard"])
def test_smaller_levels_give_the_same_bytes(launch, generator, level):
    from crystal.kernels.token_fields import LEVELS

    logits, tokens = draw(2, 5000, torch.bfloat16, generator)
    everything, fewer = launch(logits, tokens, 1.0), launch(logits, tokens, 1.0, level=level)
    for name in LEVELS[level]:
        assert torch.equal(everything[name], fewer[name]), name


@pytest.mark.parametrize("splits", [2, 7, 64])
def test_splits_of_the_vocabulary_agree(launch, house, generator, splits):
    logits, tokens = draw(1, 1500, torch.float32, generator)
    logits[0, 3] = logits[0, 1400] = 14.0  # one maximum in two splits: the smaller id wins
    got = launch(logits, tokens, 1.0, splits=splits)
    house.hold(got, house.exact(logits, tokens))
    whole = launch(logits, tokens, 1.0)
    for name in ("logsumexp", "logprob", "entropy", "varentropy"):
        assert (got[name] - whole[name]).abs().max() <= 2e-6 * whole[name].abs().max().clamp(min=1), name
    assert got["argmax"][0] == 3


def test_few_rows_of_a_large_vocabulary_are_split_by_default():
    from crystal.kernels.token_launch import splits_for

    assert splits_for(1, 262144) == 16
    assert splits_for(8192, 262144) == 1
    assert splits_for(1, 4096) == 1


def test_repeated_runs_are_bitwise_equal(launch, generator):
    logits, tokens = draw(3, 4097, torch.bfloat16, generator)
    first, second = launch(logits, tokens, 1.0), launch(logits.clone(), tokens.clone(), 1.0)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("start", [0, 1, 4, 7])
def test_rows_that_start_anywhere_and_any_stride(launch, house, generator, dtype, start):
    storage, tokens = draw(3, 2081, dtype, generator)
    view = storage[:, start : start + 2070]  # an odd row stride: each row has another misfit
    tokens = tokens.clamp(max=2069)
    house.hold(launch(view, tokens, 1.0), house.exact(view, tokens))


def test_batch_and_time_keep_their_strides(launch, house, generator):
    storage = torch.randn(4, 6, 700, generator=generator)
    view = storage.transpose(0, 1)[1:5, ::2, 13:613]
    tokens = torch.randint(0, 600, (4, 2), generator=generator)
    got = launch(view, tokens, 1.0)
    want = house.exact(view, tokens)
    house.hold(got, {name: value.reshape(-1) for name, value in want.items()})


@pytest.mark.skipif(sys.platform != "linux", reason="reserves 8.6 GB of addresses by a flag of Linux")
def test_row_offsets_are_64_bits_wide(launch, house, generator):
    """Three rows whose last lies 8.6 GB behind the first: untouched pages of the mapping cost nothing."""
    stride = 2**31 - 64
    size = (2 * stride + 64) * 2
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    storage = torch.frombuffer(memory, dtype=torch.float16)
    view = storage.as_strided((3, 1, 40), (stride, 40, 1))
    for row in range(3):
        view[row, 0] = torch.randn(40, generator=generator).half()
    tokens = torch.tensor([[1], [2], [3]])
    got = launch(view, tokens, 1.0)
    house.hold(got, {name: value.reshape(-1) for name, value in house.exact(view, tokens).items()})


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", [1, 9, 513, 1031])
def test_no_load_leaves_the_storage(launch, house, generator, dtype, vocabulary):
    """The row lies between two pages that may not be read, once against either of them."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 4 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    size = torch.empty((), dtype=dtype).element_size()
    whole = torch.frombuffer(memory, dtype=dtype)
    if vocabulary * size > 2 * page:
        vocabulary = 2 * page // size
    for begin in (page // size, 3 * page // size - vocabulary):
        view = whole[begin : begin + vocabulary][None]
        view.copy_((torch.randn(1, vocabulary, generator=generator)).to(dtype))
        tokens = torch.tensor([vocabulary - 1])
        want = house.exact(view, tokens)
        for edge in (address, address + 3 * page):
            assert libc.mprotect(ctypes.c_void_p(edge), page, PROT_NONE) == 0
        try:
            got = launch(view, tokens, 1.0)
        finally:
            for edge in (address, address + 3 * page):
                libc.mprotect(ctypes.c_void_p(edge), page, mmap.PROT_READ | mmap.PROT_WRITE)
        house.hold(got, want)


@pytest.mark.parametrize("level", [-30.0, -110.0, 300.0])
def test_padding_never_enters(launch, house, level):
    """All logits far from zero, a vocabulary no block divides: padding read as 0 would win or lose all."""
    logits = torch.full((2, 4099), level)
    logits[1] += torch.linspace(0, 1, 4099)
    tokens = torch.tensor([0, 4098])
    got = launch(logits, tokens, 1.0)
    house.hold(got, house.exact(logits, tokens))
    assert got["n_equal"].tolist() == [4099, 1]


def test_peaked_rows(launch, house):
    logits = torch.zeros(2, 3000)
    logits[0, 2999] = 200.0
    logits[1] = -200.0
    logits[1, 0] = 0.0
    tokens = torch.tensor([5, 0])
    house.hold(launch(logits, tokens, 1.0), house.exact(logits, tokens))


def test_masked_ids_are_impossible(launch, house, generator):
    logits, tokens = draw(2, 3000, torch.bfloat16, generator)
    logits[:, 1000:2990] = -math.inf
    tokens[:] = torch.tensor([1500, 2])
    got = launch(logits, tokens, 1.0)
    assert got["logprob"][0] == -math.inf
    assert got["mass_above"][0] == pytest.approx(1.0, abs=1e-6)
    assert got["n_greater"][0] == 1010
    assert got["n_equal"][0] == 1990
    want = house.exact(logits, tokens)
    house.hold({n: v[1:] for n, v in got.items()}, {n: v[1:] for n, v in want.items()})


@pytest.mark.parametrize("position", [0, 300, 699])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_nan_or_infinite_logit_poisons_its_row_only(launch, house, generator, position, poison):
    logits, tokens = draw(2, 700, torch.float32, generator)
    logits[0, position] = poison
    got = launch(logits, tokens, 1.0)
    assert got["status"].tolist() == [2, 0]
    for name, value in got.items():
        if value.is_floating_point():
            assert value[0].isnan(), name
        elif name != "status":
            assert value[0] == -1, name
    clean = launch(logits[1:], tokens[1:], 1.0)
    assert all(torch.equal(got[name][1:], clean[name]) for name in got)


def test_a_row_without_any_logit(launch):
    logits = torch.full((1, 2500), -math.inf)
    got = launch(logits, torch.tensor([3]), 1.0)
    assert got["status"].tolist() == [1]
    assert got["logsumexp"].tolist() == [-math.inf]
    assert got["entropy"].isnan().all()
    assert got["argmax"].tolist() == [-1]


def test_ignored_rows_are_not_read(launch):
    logits = torch.full((2, 2500), math.nan)
    logits[1] = 0.0
    got = launch(logits, torch.tensor([-100, 4]), 1.0)
    assert got["status"].tolist() == [4, 0]
    assert got["logsumexp"][0].isnan()
    assert got["entropy"][1].item() == pytest.approx(math.log(2500), abs=3e-6)


def test_an_offset_changes_nothing(launch, generator):
    """Multiples of 1/64 stay representable at 1000, so the two rows are the same distribution exactly."""
    logits = (torch.randn(2, 3001, generator=generator) * 2 * 64).round() / 64
    tokens = torch.tensor([17, 3000])
    base, moved = launch(logits, tokens, 1.0), launch(logits + 1000, tokens, 1.0)
    assert (moved["entropy"] - base["entropy"]).abs().max() <= 5e-6
    assert (moved["varentropy"] - base["varentropy"]).abs().max() <= 5e-5
    assert (moved["logprob"] - base["logprob"]).abs().max() <= 5e-6
    assert (moved["top1"] - base["top1"]).abs().max() <= 5e-7


def test_no_rows(launch):
    got = launch(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64), 1.0)
    assert all(value.shape == (0,) for value in got.values())


def test_the_public_state_finishes_like_the_kernel(launch, generator):
    from crystal.kernels.token_fields import RESULT_FLOATS
    from crystal.kernels.token_launch import launch_state, whole_state
    from crystal.kernels.token_merge import finish

    logits, tokens = draw(2, 900, torch.bfloat16, generator)
    logits += 300  # far from zero the rounding of the scale would show
    kernel = launch(logits, tokens, 0.7)
    for splits in (1, 3):
        state = launch_state(logits, tokens, 0.7, level="all", ignored_id=-100, splits=splits)
        floats, counts = finish(torch, *whole_state(*state, 0.7), 0.7)
        for name, value in zip(RESULT_FLOATS, floats, strict=True):
            bar = 2e-6 * value.abs().clamp(min=1) if name != "varentropy" else 2e-5
            assert ((kernel[name] - value).abs() <= bar).all(), name
        assert torch.equal(counts[2], kernel["n_equal"].long())
