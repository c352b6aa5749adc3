"""The C++ backend: accuracy, both paths to the byte, layouts, threads, special values, memory."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import crystal
from crystal.errors import SettingsError
from crystal.kernels.token_fields import RESULTS
from crystal.ops.core import load
from crystal.ops.token_backends import choose
from crystal.ops.token_inputs import TokenInput

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}
VECTORS = [
    pytest.param(
        path,
        marks=pytest.mark.skipif(not load().token_path_available(path), reason=f"no {path} here"),
    )
    for path in ("avx2", "avx512")
]


def bits(logits):
    return logits.view(torch.uint16).numpy() if logits.dtype == torch.bfloat16 else logits.numpy()


def states(logits, tokens, path, level="all", temperature=1.0, threads=1):
    floats, counts = load().token_state(
        bits(logits), NAMES[logits.dtype], tokens.numpy(), None, [temperature], level, -100, 0, threads, path
    )
    return floats[:, 0], counts[:, 0]


def definitions(logits, tokens, temperature=1.0):
    x = logits.double() / temperature
    logp = torch.log_softmax(x, -1)
    p = logp.exp()
    entropy = -torch.where(p > 0, p * logp, 0.0).sum(-1)
    chosen = x.gather(-1, tokens[..., None])
    return {
        "logsumexp": (torch.logsumexp(x, -1), 2e-6),
        "logprob": (logp.gather(-1, tokens[..., None])[..., 0], 3e-6),
        "entropy": (entropy, 3e-6),
        "varentropy": ((p * (torch.where(p > 0, logp, 0.0) + entropy[..., None]) ** 2).sum(-1), 2e-5),
        "collision": ((p * p).sum(-1), 5e-7),
        "top1": (p.amax(-1), 5e-7),
        "mass_above": (torch.where(x > chosen, p, 0.0).sum(-1), 1e-6),
        "argmax": ((x == x.amax(-1, keepdim=True)).int().argmax(-1), 0),
        "n_greater": ((x > chosen).sum(-1), 0),
        "n_equal": ((x == chosen).sum(-1), 0),
    }


def hold(got, want):
    for name, (value, bar) in want.items():
        error = (getattr(got, name) - value).abs()
        assert (error <= bar + 2e-7 * value.abs() * (bar > 0)).all(), f"{name}: off by {error.max():.2e}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", [1, 2, 7, 31, 32, 33, 1000, 2047, 2049, 4097, 50257, 262144])
def test_agrees_with_the_definitions(vocabulary, dtype):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = (torch.randn(2, vocabulary, generator=generator) * 3).to(dtype)
    tokens = torch.randint(0, vocabulary, (2,), generator=generator)
    for temperature in (0.1, 1.0, 10.0):
        got = crystal.token_stats(logits, tokens, temperature, backend="cpu", threads=1)
        hold(got, definitions(logits, tokens, temperature))


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("level", ["core", "standard", "all"])
@pytest.mark.parametrize("vocabulary", [5, 32, 63, 64, 2100])
def test_all_paths_give_equal_bytes(vocabulary, level, dtype, vector):
    generator = torch.Generator().manual_seed(5)
    logits = (torch.randn(9, vocabulary, generator=generator) * 8).to(dtype)
    logits[0, 1:4] = torch.tensor([math.nan, math.inf, -math.inf]).to(dtype)
    logits[1, 2] = math.inf
    logits[2] = -math.inf
    logits[3, 2:] = -math.inf
    logits[5] *= 100  # steps below the clamp
    logits[6, ::3] = math.nan  # NaN beside, before and after larger logits
    logits[7] = math.nan
    logits[8] = logits[8].sort().values  # the maximum moves in every chunk
    tokens = torch.tensor([0, 1, 2, 3, -100, 4, 0, 1, 2])
    for one, two in zip(*(states(logits, tokens, path, level) for path in ("scalar", vector)), strict=True):
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("vector", VECTORS)
def test_every_half_is_read_alike(vector):
    """All 65,536 bit patterns of both 16-bit formats, as one row each, through both paths and torch."""
    for dtype in (torch.float16, torch.bfloat16):
        values = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(dtype)[:, None].contiguous()
        tokens = torch.zeros(65536, dtype=torch.int64)
        one, two = (states(values, tokens, path, "core")[0] for path in ("scalar", vector))
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[6], values[:, 0].double().numpy())


@pytest.mark.parametrize("vector", VECTORS)
def test_every_binade_of_the_exponential_is_alike(vector):
    """Gaps from 0 to 130 binary steps, halves between two integers among them: rounding and clamp."""
    gaps = torch.linspace(0, 130, 8321, dtype=torch.float64)
    logits = -torch.stack([torch.zeros_like(gaps), gaps * math.log(2)], 1).float()
    tokens = torch.zeros(len(gaps), dtype=torch.int64)
    for one, two in zip(*(states(logits, tokens, path) for path in ("scalar", vector)), strict=True):
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("path", ["scalar", *VECTORS])
def test_every_place_between_two_powers_of_two_is_right(path):
    """One logit over 255 equal ones, at gaps of 0 to 3 binary steps: all of each entry's span."""
    gaps = torch.arange(1536, dtype=torch.float64) / 512 * math.log(2)
    logits = torch.zeros(1536, 256)
    logits[:, 1:] = -gaps.float()[:, None]
    floats, _ = states(logits, torch.zeros(1536, dtype=torch.int64), path)
    e = logits.double().exp().numpy()
    d = logits.double().numpy() / math.log(2)
    for place, power in ((2, 0), (3, 1), (4, 2)):
        error = np.abs(floats[place] - (e * d**power).sum(1))
        assert (error <= 1.2e-6 * (e * (np.abs(d) + 1.5) ** power).sum(1)).all(), place
    np.testing.assert_allclose(floats[5], (e * e).sum(1), rtol=2.4e-6)


@pytest.mark.parametrize("path", ["scalar", *VECTORS])
@pytest.mark.parametrize("offset", [0, 5670, 5690, -5690])
def test_runs_of_chunks_in_and_out_of_range_are_one_row(path, offset):
    """Chunks beyond the table's range, masked, higher and ordinary; offsets around log2(e) x = 8192."""
    logits = (torch.randn(1, 6400, generator=torch.Generator().manual_seed(9)) * 128).round() / 64 + offset
    logits[0, 640:1280] -= 100
    logits[0, 1280:1300] = -math.inf
    logits[0, 2000:2640:3] -= 300
    logits[0, 3200] = offset + 20
    logits[0, 5000:5100] = offset + 18 - torch.arange(100) / 64
    tokens = torch.tensor([5000])
    floats, counts = states(logits, tokens, path)
    x = logits.double() - 20 - offset
    e, d = x.exp(), torch.where(x > -1e9, x, 0.0) / math.log(2)
    steps = float(floats[0, 0] * 1.4426950408889634 - floats[1, 0])
    assert abs(steps) < 1e-3
    for place, want in ((2, e), (3, e * (d + steps)), (4, e * (d + steps) ** 2)):
        assert floats[place, 0] == pytest.approx(float(want.sum()) * 2**steps, rel=2e-6), place
    assert counts[0, 0] == 3200
    assert counts[1, 0] == int((logits > logits[0, 5000]).sum())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("payload", [0x7FC00000, 0x7FC00001, 0x7FFFFFFF, 0xFFC01234])
@pytest.mark.parametrize("path", ["scalar", *VECTORS])
def test_every_kind_of_nan_is_found(path, payload, dtype):
    if dtype == torch.float32:
        poison = np.array([payload], np.uint32).view(np.float32)[0]
        logits = torch.zeros(1, 70)
        logits.numpy()[0, 50] = poison
    else:
        logits = torch.zeros(1, 70, dtype=dtype)
        logits[0, 50] = math.nan
    assert math.isnan(states(logits, torch.tensor([3]), path)[0][2, 0])


def test_threads_and_repeats_give_equal_bytes():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(40, 70_000, generator=generator).bfloat16()
    tokens = torch.randint(0, 70_000, (40,), generator=generator)
    first, second, third = (states(logits, tokens, "best", threads=n) for n in (1, 2, 2))
    for a, b, c in zip(first, second, third, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


def test_smaller_levels_give_the_same_values():
    logits = torch.randn(4, 3000, generator=torch.Generator().manual_seed(3))
    tokens = torch.tensor([0, 5, 2999, 7])
    whole = crystal.token_stats(logits, tokens, backend="cpu")
    for names in (
        ["logsumexp", "logprob", "entropy"],
        ["varentropy", "collision", "top1", "argmax", "n_greater"],
    ):
        part = crystal.token_stats(logits, tokens, backend="cpu", metrics=names)
        for name in names:
            assert (getattr(part, name) - getattr(whole, name)).abs().max() <= 2e-6, name


def test_any_outer_strides_without_a_copy():
    storage = torch.randn(4, 6, 700, generator=torch.Generator().manual_seed(4))
    view = storage.transpose(0, 1)[1:5, ::2, 13:613]
    tokens = torch.randint(0, 600, (4, 2), generator=torch.Generator().manual_seed(5))
    hold(crystal.token_stats(view, tokens, backend="cpu"), definitions(view, tokens))
    flipped = storage.numpy()[::-1, 0]  # a negative stride, and one shared by all rows
    got = crystal.token_stats(flipped, [1, 2, 3, 4])
    want = crystal.token_stats(flipped.copy(), [1, 2, 3, 4])
    np.testing.assert_array_equal(got.entropy, want.entropy)
    same = np.broadcast_to(storage.numpy()[0, 0], (3, 700))
    assert len(set(crystal.token_stats(same, [1, 1, 1]).entropy.tolist())) == 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("path", ["scalar", *VECTORS])
@pytest.mark.parametrize("vocabulary", [1, 33, 1000])
def test_no_load_leaves_the_storage(vocabulary, path, dtype):
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 4 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    size = torch.empty((), dtype=dtype).element_size()
    whole = torch.frombuffer(memory, dtype=dtype)
    for begin in (page // size, 3 * page // size - vocabulary):
        view = whole[begin : begin + vocabulary][None]
        view.fill_(0.5)
        for edge in (address, address + 3 * page):
            assert libc.mprotect(ctypes.c_void_p(edge), page, 0) == 0
        floats, _ = states(view, torch.tensor([0]), path)
        for edge in (address, address + 3 * page):
            libc.mprotect(ctypes.c_void_p(edge), page, mmap.PROT_READ | mmap.PROT_WRITE)
        assert floats[2, 0] == pytest.approx(vocabulary, rel=1e-6)


@pytest.mark.parametrize("level", [-30.0, -110.0, 300.0])
def test_padding_never_enters(level):
    logits = torch.full((2, 4099), level)
    logits[1] += torch.linspace(0, 1, 4099)
    tokens = torch.tensor([0, 4098])
    hold(crystal.token_stats(logits, tokens, backend="cpu"), definitions(logits, tokens))


def test_special_rows():
    logits = torch.randn(7, 100, generator=torch.Generator().manual_seed(6))
    logits[0] = -math.inf
    logits[1, 99] = math.nan
    logits[2, 0] = math.inf
    logits[4] = torch.finfo(torch.float32).min
    logits[5, 50:] = -math.inf
    got = crystal.token_stats(logits, [0, 0, 0, -100, 1, 70, 4], backend="cpu")
    assert got.status.tolist() == [1, 2, 2, 4, 1, 0, 0]
    assert got.logsumexp[0] == -math.inf
    assert got.entropy[:5].isnan().all()
    assert got.argmax[:5].tolist() == [-1] * 5
    assert got.logprob[5] == -math.inf
    assert (got.n_greater[5], got.n_equal[5]) == (50, 50)
    clean = crystal.token_stats(logits[6:], [4], backend="cpu")
    assert all(getattr(got, name)[6] == getattr(clean, name)[0] for name in RESULTS)


@pytest.mark.parametrize("path", ["scalar", *VECTORS])
@pytest.mark.parametrize("huge", [7e8, 3003121664.0, 1e10, 1e20])
def test_huge_logits_neither_overflow_nor_spoil_what_follows(huge, path):
    """Their float32 products with log2(e) are rounded by more than the 127 steps of an exponent."""
    logits = torch.full((3, 1000), -huge)
    logits[1, 500:] = torch.linspace(0, 1, 500)  # a mask, then a row
    logits[2, 7] = huge
    floats, counts = states(logits, torch.tensor([3, 600, 7]), path)
    # The exponent that the largest logit has in the sums.
    steps = floats[0] * 1.4426950408889634 - floats[1]
    e = (torch.linspace(0, 1, 500).double() - 1).exp().numpy()
    want = np.array([1000, e.sum(), 1]), np.array([1000, (e * e).sum(), 1])
    np.testing.assert_allclose(floats[2], want[0] * 2**steps, rtol=1e-6)
    np.testing.assert_allclose(floats[5], want[1] * 4**steps, rtol=2e-6)
    assert np.isfinite(floats).all()
    assert counts[0].tolist() == [0, 999, 7]


def test_an_offset_changes_nothing():
    logits = (torch.randn(3, 4001, generator=torch.Generator().manual_seed(8)) * 128).round() / 64
    base, moved = (crystal.token_stats(logits + o, [0, 17, 4000], backend="cpu") for o in (0, 1000))
    assert (moved.entropy - base.entropy).abs().max() <= 5e-6
    assert (moved.varentropy - base.varentropy).abs().max() <= 5e-5
    assert (moved.top1 - base.top1).abs().max() <= 5e-7


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=80), st.data())
def test_any_row_of_finite_logits(row, data):
    logits = torch.tensor([row])
    tokens = torch.tensor([data.draw(st.integers(0, len(row) - 1))])
    hold(crystal.token_stats(logits, tokens, backend="cpu"), definitions(logits, tokens))


def test_no_rows():
    assert crystal.token_stats(np.zeros((0, 5), np.float32), []).entropy.shape == (0,)
    assert crystal.token_stats(np.zeros((2, 0, 5), np.float32), np.zeros((2, 0), int)).status.shape == (2, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory as Linux reports it")
def test_memory_grows_with_tokens_only():
    import tracemalloc

    logits = np.zeros((64, 100_000), np.float32)
    tracemalloc.start()
    crystal.token_stats(logits, np.zeros(64, np.int64), threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 < logits.nbytes


def test_backends_refuse_what_they_cannot_read():
    with pytest.raises(SettingsError, match="cpu does not read float64"):
        crystal.token_stats(np.zeros((1, 2)), [0], backend="cpu")
    with pytest.raises(SettingsError, match="not in CPU memory"):
        choose(TokenInput("torch", None, None, (1,), "float32", on_gpu=True), "cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "float16"}, "does not hold logits"),
        ({"level": "most"}, "unknown name most"),
        ({"path": "sse"}, "unknown name sse"),
        ({"tokens": np.zeros(3, np.int64)}, "do not match"),
    ],
)
def test_the_core_checks_what_it_gets(change, words):
    arguments = {
        "logits": np.zeros((2, 5), np.float32),
        "type": "float32",
        "tokens": np.zeros(2, np.int64),
        "chosen": None,
        "temperatures": [1.0],
        "level": "all",
        "ignored_id": -100,
        "first_id": 0,
        "threads": 1,
        "path": "best",
    }
    with pytest.raises(ValueError, match=words):
        load().token_state(**(arguments | change))
