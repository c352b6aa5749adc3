"""Divergences of two checkpoints on the backends that read CPU memory: small signals first of all."""

from __future__ import annotations

import ctypes
import itertools
import math
import mmap
import os
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import crystal
from crystal.errors import SettingsError
from crystal.ops.core import load
from crystal.ops.token_inputs import LayoutError

torch.set_num_threads(1)
FULL = os.environ.get("CRYSTAL_FULL_GRID") == "1"
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}
FIELDS = ("kl", "kl_reverse", "js", "tv", "hellinger")
MOVES = [0.0, 0.1, 1.0, 5.0, 20.0, -0.1, -1.0, -5.0, -20.0]
avx2 = pytest.mark.skipif(not load().token_path_available("avx2"), reason="this processor has no AVX2")


def definitions(x, y, temperature=1.0):
    """By log_softmax in float64, with sum q - p = 0 written into the sums; nothing is the package's."""
    a, b = (torch.log_softmax(side.double() / temperature, -1) for side in (x, y))
    p, q = a.exp(), b.exp()
    m = torch.logaddexp(a, b) - math.log(2)

    def times(weight, log):
        return torch.where(weight > 0, weight * log, 0.0)

    return {
        "kl": (times(p, a - b) + q - p).sum(-1),
        "kl_reverse": (times(q, b - a) + p - q).sum(-1),
        "js": (times(p, a - m) + times(q, b - m)).sum(-1) / 2,
        "tv": (p - q).abs().sum(-1) / 2,
        "hellinger": (((a / 2).exp() - (b / 2).exp()).square().sum(-1) / 2).sqrt(),
    }


def hold(got, want):
    """The bar of ordinary rows: 2e-6 + 5e-6 of the value; tv has the rounding of the normalisers besides."""
    for name in FIELDS:
        value = getattr(got, name).double()
        equal = (value == want[name]) | ((value - want[name]).abs() <= 2e-6 + 5e-6 * want[name])
        assert equal.all(), f"{name}: off by {(value - want[name]).abs().max():.2e}"


def noisy(rows, vocabulary, dtype, seed=1, spread=3.0, step=0.5):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, vocabulary, generator=generator) * spread
    y = x + torch.randn(rows, vocabulary, generator=generator) * step
    return x.to(dtype), y.to(dtype), torch.randint(0, vocabulary, (rows,), generator=generator)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_small_divergences_are_right(offset, temperature, backend):
    """One logit moved: 1e-4 of KL, KL reverse, JS and Hellinger for KL from 1e-9 to 1; log_softmax fails."""
    generator = torch.Generator().manual_seed(3)
    seen = 0
    for move, vocabulary in itertools.product(MOVES, (7, 1000, 4097, 50257) if FULL else (7, 4097)):
        x = (torch.randn(12, vocabulary, generator=generator) * 3 * 64).round() / 64 + offset
        y, tokens = x.clone(), torch.randint(0, vocabulary, (12,), generator=generator)
        y[torch.arange(12), tokens] += move
        want = definitions(x, y, temperature)
        got = crystal.token_divergence(x, y, tokens, temperature=temperature, backend=backend)
        if move == 0:
            assert all(float(getattr(got, name).max()) == 0.0 for name in FIELDS)
        inside = (want["kl"] >= 1e-9) & (want["kl"] <= 1)
        seen += int(inside.sum())
        for name in ("kl", "kl_reverse", "js", "hellinger"):
            error = ((getattr(got, name) - want[name]).abs() / want[name])[inside]
            assert (error <= 1e-4).all(), f"{name}: {error.max():.1e} for {move}"
        assert ((got.tv - want["tv"]).abs() <= 2e-6).all()
        moved = ((x - y).double().gather(1, tokens[:, None])[:, 0]) / temperature
        ratio = moved - (torch.logsumexp(x.double() / temperature, 1)
                         - torch.logsumexp(y.double() / temperature, 1))  # fmt: skip
        assert ((got.log_ratio - ratio).abs() <= 2e-6 + 1e-6 * ratio.abs()).all()
    assert seen > 10


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "vocabulary", [1, 2, 7, 31, 32, 33, 1000, 2049, 4097, 50257, *([262144] if FULL else [])]
)
def test_agrees_with_the_definitions(vocabulary, dtype):
    x, y, tokens = noisy(2, vocabulary, dtype, seed=vocabulary)
    for temperature in (0.1, 1.0, 10.0):
        got = crystal.token_divergence(x, y, tokens, temperature=temperature, backend="cpu", threads=1)
        hold(got, definitions(x, y, temperature))


def test_float64_agrees_to_the_last_digits():
    x, y, tokens = noisy(4, 900, torch.float64, step=2.0)
    got, want = crystal.token_divergence(x, y, tokens), definitions(x, y)
    for name in FIELDS:
        assert (getattr(got, name) - want[name]).abs().max() < 1e-13, name
    assert got.kl.dtype == torch.float64


def test_by_hand():
    x = np.log(np.array([[1, 3], [1, 3], [1, 1]], np.float32))
    y = np.log(np.array([[1, 1], [1, 3], [3, 1]], np.float32))
    got = crystal.token_divergence(x, y, [1, 0, 0])
    assert isinstance(got.kl, np.ndarray)
    quarter = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    even = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    np.testing.assert_allclose(got.kl, [quarter, 0, even], atol=1e-7)
    np.testing.assert_allclose(got.kl_reverse, [even, 0, quarter], atol=1e-7)
    np.testing.assert_allclose(got.tv, [0.25, 0, 0.25], atol=1e-7)
    overlap = math.sqrt(1 - math.sqrt(0.125) - math.sqrt(0.375))
    np.testing.assert_allclose(got.hellinger, [overlap, 0, overlap], atol=1e-7)
    np.testing.assert_allclose(got.log_ratio, [math.log(1.5), 0, math.log(2 / 3)], atol=1e-7)
    assert got.status.tolist() == [0, 0, 0]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-60, 60, width=32), st.floats(-60, 60, width=32)), min_size=1, max_size=70)
)
def test_any_two_rows(pairs):
    x, y = (torch.tensor([side]) for side in zip(*pairs, strict=True))
    got, back = crystal.token_divergence(x, y), crystal.token_divergence(y, x)
    hold(got, definitions(x, y))
    # Exchanged sides give exchanged results, bounds hold, and Pinsker's inequality with them.
    assert abs(float(got.kl - back.kl_reverse)) <= 1e-6 + 1e-5 * float(got.kl)
    assert 0 <= float(got.js) <= math.log(2) + 1e-7
    assert 0 <= float(got.tv) <= 1
    assert 2 * float(got.tv) ** 2 <= float(got.kl) + 1e-5
    assert float(got.hellinger) ** 2 <= float(got.tv) + 1e-6


@avx2
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", [5, 32, 2100])
def test_both_paths_threads_and_repeats_give_equal_bytes(dtype, vocabulary):
    x, y, _ = noisy(300, vocabulary, dtype, spread=8.0, step=4.0)
    x[0, 1:4] = torch.tensor([math.nan, math.inf, -math.inf]).to(dtype)
    x[1], y[2, 2:], y[3, 0] = -math.inf, -math.inf, -math.inf
    tokens = torch.arange(300) % vocabulary
    tokens[4] = -100

    def run(path, threads):
        bits = [s.view(torch.uint16).numpy() if dtype == torch.bfloat16 else s.numpy() for s in (x, y)]
        found = load().token_divergence(
            *bits, NAMES[dtype], tokens.numpy(), None, None, 0.7, -100, 0, threads, path
        )
        return [array.tobytes() for array in found]

    assert run("scalar", 1) == run("avx2", 1) == run("avx2", 2) == run("best", 2)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_impossible_tokens(backend):
    x = torch.randn(6, 100, generator=torch.Generator().manual_seed(6))
    y = x + 0.5 * torch.randn(6, 100, generator=torch.Generator().manual_seed(7))
    x[:, 90:] = y[:, 90:] = -math.inf  # masked on both sides: no trace of it
    y[1, 3] = -math.inf  # possible under p alone
    x[2, 4] = torch.finfo(torch.float32).min  # counts as -inf: possible under q alone
    y[3, 5] = x[3, 6] = -math.inf
    x[4] = y[4] = -math.inf
    x[4, 0] = y[4, 1] = 2.0  # nothing in common
    y[5, 7] = -300.0  # unlikely, and possible
    got = crystal.token_divergence(x, y, [99, 3, 4, 5, 0, 7], backend=backend)
    assert got.status.tolist() == [0] * 6
    assert torch.isinf(got.kl).tolist() == [False, True, False, True, True, False]
    assert torch.isinf(got.kl_reverse).tolist() == [False, False, True, True, True, False]
    x[2, 4] = -math.inf
    want = definitions(x, y)
    want["kl"][0], want["kl_reverse"][0] = (
        definitions(x[:1, :90], y[:1, :90])[name] for name in ("kl", "kl_reverse")
    )
    want["kl"][5], want["kl_reverse"][5] = (
        definitions(x[5:, :90], y[5:, :90])[name] for name in ("kl", "kl_reverse")
    )
    for name in ("tv", "hellinger"):
        assert (getattr(got, name) - want[name]).abs().max() <= 2e-6, name
    for name in ("kl", "kl_reverse"):
        assert (getattr(got, name) - want[name])[[0, 5]].abs().max() <= 2e-5, name
    assert got.js[4] == pytest.approx(math.log(2), abs=1e-6)
    assert got.noise_floor.isfinite().all()
    assert got.log_ratio[0].isnan()
    assert got.log_ratio[1:5].tolist() == [math.inf, -math.inf, math.inf, math.inf]


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_broken_and_ignored_rows(backend):
    x, y, _ = noisy(7, 50, torch.float32)
    x[0, 3], y[1, 4], x[2], y[3] = math.nan, math.inf, -math.inf, -math.inf
    x[4, 0], y[4] = math.nan, -math.inf
    got = crystal.token_divergence(x, y, [0, 0, 0, 0, 0, -100, 1], backend=backend)
    assert got.status.tolist() == [2, 2, 1, 1, 3, 4, 0]
    clean = crystal.token_divergence(x[6:], y[6:], [1], backend=backend)
    for field in fields(got):
        value = getattr(got, field.name)
        if field.name != "status":
            assert value[:6].isnan().all(), field.name
            assert value[6] == getattr(clean, field.name)[0], field.name


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_noise_floor_is_the_kl_of_rounding(dtype, temperature, backend):
    """Two copies that were rounded independently, one of them after a shift of less than a spacing."""
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(40, 3000, generator=generator, dtype=torch.float64) * 3
    one, two = x.to(dtype), (x + 0.37 * 2.0**-5).to(dtype)
    floor = crystal.token_divergence(one, two, temperature=temperature, backend=backend).noise_floor
    # What each side lost, by float64; independent roundings add.
    lost = sum(
        crystal.token_divergence(side.double(), exact, temperature=temperature).kl
        for side, exact in ((one, x), (two, x + 0.37 * 2.0**-5))
    )
    assert float(floor.mean()) == pytest.approx(float(lost.mean()), rel=0.15)
    if dtype == torch.bfloat16 and temperature == 1.0:
        assert 3e-5 < float(floor.mean()) < 3e-4
        measured = crystal.token_divergence(one, two).kl.mean()
        assert float(measured) == pytest.approx(float(floor.mean()), rel=0.3)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("parts", [2, 7, 64])
def test_parts_of_the_vocabulary_give_the_whole(parts, backend):
    x, y, tokens = noisy(5, 640, torch.float32, step=0.01)
    y[1, 3] = x[2, 600] = -math.inf
    x[3, 8] = math.nan
    edges = np.linspace(0, 640, parts + 1).astype(int).tolist()
    cuts = list(itertools.pairwise(edges))
    whole = [
        crystal.merge_token_states(
            crystal.token_state(side[:, a:b], tokens, a, backend=backend) for a, b in cuts
        ).result().logsumexp
        for side in (x, y)
    ]  # fmt: skip
    states = [
        crystal.token_divergence_state(x[:, a:b], y[:, a:b], *whole, tokens, a, backend=backend)
        for a, b in cuts
    ]
    want = crystal.token_divergence(x, y, tokens, backend=backend)
    for order in (states, states[::-1]):
        total = order[0]
        for state in order[1:]:
            total = total.merge(state)
        got = total.result()
        assert got.status.tolist() == want.status.tolist() == [0, 0, 0, 2, 0]
        for name in (*FIELDS, "noise_floor", "log_ratio"):
            torch.testing.assert_close(
                getattr(got, name).float(), getattr(want, name), atol=1e-7, rtol=1e-5, equal_nan=True
            )


def test_states_of_different_reads_are_refused():
    x, y, tokens = noisy(3, 20, torch.float32)
    lse = [torch.logsumexp(side.double(), 1) for side in (x, y)]
    state = crystal.token_divergence_state(x, y, *lse)
    for other, words in (
        (crystal.token_divergence_state(x, y, *lse, temperature=2.0), "temperature: states of different"),
        (crystal.token_divergence_state(x, y, *lse, tokens), "tokens: states of different"),
        (crystal.token_divergence_state(x, y, lse[0], lse[1] + 1), "states of different logsumexp"),
        (
            crystal.token_divergence_state(x.numpy(), y.numpy(), *lse),
            "states in different array libraries",
        ),
    ):
        with pytest.raises(SettingsError, match=words):
            state.merge(other)
    with pytest.raises(SettingsError, match="q_logsumexp: does not fit"):
        crystal.token_divergence_state(x, y, lse[0], lse[1][:2])
    with pytest.raises(SettingsError, match="first_id: below zero"):
        crystal.token_divergence_state(x, y, *lse, first_id=-1)


def test_any_outer_strides_without_a_copy():
    storage = torch.randn(4, 6, 700, generator=torch.Generator().manual_seed(4))
    x = storage.transpose(0, 1)[1:5, ::2, 13:613]
    y = (storage[::2, 1:5].transpose(0, 1)[..., 50:650]).flip(0)
    for backend in ("cpu", "torch"):
        got = crystal.token_divergence(x, y, backend=backend)
        assert got.kl.shape == (4, 2)
        assert got.log_ratio is None
        hold(got, definitions(x, y))


@pytest.mark.parametrize("path", ["scalar", "best"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_load_leaves_the_storage(dtype, path):
    page, size, vocabulary = mmap.PAGESIZE, torch.empty((), dtype=dtype).element_size(), 33
    memory = mmap.mmap(-1, 4 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    whole = torch.frombuffer(memory, dtype=dtype)
    for begin in (page // size, 3 * page // size - vocabulary):
        view = whole[begin : begin + vocabulary][None]
        view.fill_(0.5)
        bits = view.view(torch.uint16).numpy() if dtype == torch.bfloat16 else view.numpy()
        for edge in (address, address + 3 * page):
            assert libc.mprotect(ctypes.c_void_p(edge), page, 0) == 0
        sums, *_ = load().token_divergence(
            bits, bits, NAMES[dtype], np.zeros(1, np.int64), None, None, 1.0, -100, 0, 1, path
        )
        for edge in (address, address + 3 * page):
            libc.mprotect(ctypes.c_void_p(edge), page, mmap.PROT_READ | mmap.PROT_WRITE)
        assert sums[:6, 0].tolist() == [0.0] * 6


def test_kinds_of_input():
    x, y, tokens = noisy(3, 50, torch.bfloat16)
    want = crystal.token_divergence(x, y, tokens)
    bits = [side.view(torch.uint16).numpy() for side in (x, y)]
    got = crystal.token_divergence(*bits, tokens.numpy(), dtype="bfloat16")
    for field in fields(got):
        value = getattr(got, field.name)
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, getattr(want, field.name).numpy())
    pa = pytest.importorskip("pyarrow")
    assert pa.table(got).column_names == [field.name for field in fields(got)]
    assert crystal.token_divergence(np.zeros((0, 5), np.float32), np.zeros((0, 5), np.float32)).kl.shape == (
        0,
    )
    same = crystal.token_divergence(x, y, [-100, 1, 2], ignored_id=-100)
    assert same.status.tolist() == [4, 0, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"q_logits": np.zeros((2, 6), np.float32)}, "q_logits: another vocabulary than p_logits"),
        ({"q_logits": np.zeros((3, 5), np.float32)}, "tokens: wrong shape"),
        ({"q_logits": np.zeros((2, 5), np.float16)}, "q_logits: another dtype than p_logits"),
        ({"q_logits": torch.zeros(2, 5)}, "q_logits: another kind than p_logits"),
        ({"q_logits": [[0.0] * 5] * 2}, "q_logits: not an array"),
        ({"p_logits": [[0.0] * 5] * 2}, "p_logits: not an array"),
        ({"p_logits": np.zeros(5, np.float32)}, "p_logits: wrong shape"),
        ({"p_logits": np.zeros((2, 5), int)}, "p_logits: wrong dtype"),
        ({"q_logits": np.zeros((2, 5), np.uint16)}, 'pass dtype="bfloat16"'),
        ({"tokens": [0, 5]}, "tokens, position 1: an id outside"),
        ({"tokens": [0]}, "tokens: wrong shape"),
        ({"temperature": 0.0}, "temperature: out of range"),
        ({"backend": "cuda"}, "backend: unknown"),
        (
            {"p_logits": np.zeros((2, 5)), "q_logits": np.zeros((2, 5)), "backend": "cpu"},
            "does not read float64",
        ),
    ],
)
def test_wrong_input_is_refused(change, words):
    arguments = {"p_logits": np.zeros((2, 5), np.float32), "q_logits": np.zeros((2, 5), np.float32)}
    with pytest.raises(SettingsError, match=words):
        crystal.token_divergence(**(arguments | change))


def test_another_stride_along_the_vocabulary_is_refused():
    rows = np.zeros((2, 10), np.float32)
    with pytest.raises(LayoutError, match="q_logits: the vocabulary is not contiguous"):
        crystal.token_divergence(rows[:, :5], rows[:, ::2])


@pytest.mark.skipif(sys.platform != "linux", reason="traces memory as Linux reports it")
def test_memory_grows_with_tokens_only():
    import tracemalloc

    logits = np.zeros((64, 100_000), np.float32)
    tracemalloc.start()
    crystal.token_divergence(logits, logits, np.zeros(64, np.int64), threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 < logits.nbytes


def test_the_core_checks_what_it_gets():
    rows, ids = np.zeros((2, 5), np.float32), np.zeros(2, np.int64)
    for other, levels, words in (
        (np.zeros((2, 6), np.float32), None, "both sides"),
        (rows, np.zeros((2, 3)), "levels, status and tokens"),
    ):
        with pytest.raises(ValueError, match=words):
            load().token_divergence(rows, other, "float32", ids, levels, ids, 1.0, -100, 0, 1, "best")
