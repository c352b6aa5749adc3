"""The tests bite: each known mistake, put into a copy of the kernels, is caught by the check named for it."""

from __future__ import annotations

import importlib
import math
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import crystal.kernels

pytestmark = pytest.mark.interpreter
SOURCE = Path(crystal.kernels.__path__[0])


@pytest.fixture
def mutate(tmp_path, monkeypatch):
    """Copy the kernels, replace every occurrence of some texts, and return a launching module of the copy."""

    def make(module, **files):
        name = re.sub(r"\W", "_", tmp_path.name)
        copy = tmp_path / name
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file, changes in files.items():
            path = copy / f"{file}.py"
            text = path.read_text()
            for old, new in changes:
                assert old in text, f"{old!r} is no longer in {file}.py: the mutant has to follow"
                text = text.replace(old, new)
            path.write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module(f"{name}.{module}")

    return make


def padded(run, house):
    logits = torch.full((1, 611), -30.0)
    logits[0, 5] = -math.inf
    tokens = torch.tensor([5])
    house.hold(
        {n: v for n, v in run(logits, tokens, 1.0).items() if n != "logprob"}, house.exact(logits, tokens)
    )


def deep(run, house):
    logits = torch.full((1, 611), -110.0)
    house.hold(run(logits, torch.tensor([0]), 1.0), house.exact(logits, torch.tensor([0])))


def ranked(run, house):
    logits = torch.tensor([[3.0, 1.0, 1.0, 2.0] * 80])
    house.hold(run(logits, torch.tensor([3]), 1.0), house.exact(logits, torch.tensor([3])))


def moved(run, house):
    logits = (torch.randn(1, 901, generator=torch.Generator().manual_seed(1)) * 128).round() / 64
    base, far = (run(logits + offset, torch.tensor([0]), 1.0) for offset in (0, 1000))
    assert (far["entropy"] - base["entropy"]).abs() <= 5e-6


UNCENTRED = {
    "token_stats": [
        ("tl.fma(e, d, ts)", "tl.fma(e, tl.where(e > 0, x[piece] * scale, 0.0), ts)"),
        ("t = keep * (t + delta * s) + ", "t = keep * t + "),
        ("tl.sum(keep * (t + delta * s), axis=0)", "tl.sum(keep * t, axis=0)"),
    ],
    "token_finish": [
        ("keep * (t + ours * s) + part_keep * (part_t + theirs * part_s)", "keep * t + part_keep * part_t"),
        ("tl.log2(s) - mean", "tl.log2(s) + shift - mean"),
    ],
}
MUTANTS = {
    "padding read as zero": (padded, {"token_stats": [('other=float("-inf")', "other=0.0")]}),
    "padding counted": (padded, {"token_stats": [("same = same & mask", "same = same")]}),
    "maximum started at zero": (deep, {"token_stats": [("tl.full([R], -_LARGEST", "tl.full([R], 0.0")]}),
    "> and >= swapped": (
        ranked,
        {"token_stats": [("beyond = x[piece] > chosen", "beyond = x[piece] >= chosen")]},
    ),
    "entropy not centred": (moved, UNCENTRED),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name, mutate, house, launch):
    check, files = MUTANTS[name]
    check(launch, house)
    stats = mutate("token_launch", **files).launch_stats
    with pytest.raises(AssertionError, match=r"off by|n_|<="):
        check(lambda *args, **kwargs: launch(*args, stats=stats, **kwargs), house)


def tiny(run, house):
    """KL of 4e-8: a probability moved by a millionth."""
    x = torch.zeros(1, 40)
    y = x.clone()
    y[0, 3] = 2**-10
    got, want = run(x, y, torch.tensor([3]), 1.0), house.divergences(x, y)
    for name in ("kl", "kl_reverse", "js", "hellinger"):
        assert abs(got[name] / want[name] - 1) <= 1e-4, f"{name}: off by {got[name] - want[name]}"


def far(run, house):
    """Far from zero a normaliser that was rounded to float32 shows in every weight."""
    x = (torch.randn(6, 40, generator=torch.Generator().manual_seed(1)) * 64).round() / 64 + 1000
    y = x.flip(1)
    house.hold_divergences(run(x, y, torch.full((6,), 3), 1.0), house.divergences(x, y))


def lopsided(run, house):
    x, y = torch.tensor([[0.0, 5.0, 5.0]]), torch.tensor([[4.0, 0.0, 1.0]])
    house.hold_divergences(run(x, y, torch.tensor([0]), 1.0), house.divergences(x, y))


def deep_pair(run, house):
    x = torch.full((1, 611), -110.0)
    y = x + torch.linspace(0, 1, 611)
    house.hold_divergences(run(x, y, torch.tensor([0]), 1.0), house.divergences(x, y))


def masked(run, house):
    x, y = torch.zeros(2, 40), torch.zeros(2, 40)
    y[:, 0] = 1.0
    x[:, 20:] = y[:, 20:] = -math.inf
    y[1, 3] = -math.inf
    got = run(x, y, torch.tensor([0, 0]), 1.0)
    assert got["kl"].tolist()[1] == math.inf, "off by infinity"
    house.hold_divergences(
        {name: value[:1] for name, value in got.items()}, house.divergences(x[:1, :20], y[:1, :20])
    )


_CLAMPS = [("x = tl.maximum(x, -_LARGEST)", "x = x"), ("y = tl.maximum(y, -_LARGEST)", "y = y")]
PAIR_MUTANTS = {
    "padding read as zero": (deep_pair, "token_divergence", [('other=float("-inf")', "other=0.0")]),
    "-inf met by -inf": (masked, "token_divergence", _CLAMPS),
    "-inf on one side forgotten": (masked, "divergence_sums", [("highest > INFINITE_GAP", "highest < 0")]),
    "p and q swapped": (lopsided, "token_divergence", [("above = w > 0.0", "above = w < 0.0")]),
    "small terms as differences": (tiny, "token_divergence", [("near = v < _SERIES_END", "near = v < 0.0")]),
    "levels rounded to float32": (far, "token_divergence", [("return (x - high) - low", "return x - high")]),
}


@pytest.mark.parametrize("name", PAIR_MUTANTS)
def test_a_mutant_of_the_divergence_is_caught(name, mutate, house, compare):
    check, file, changes = PAIR_MUTANTS[name]
    check(compare, house)
    find = mutate("divergence_launch", **{file: changes}).launch_divergence
    with pytest.raises(AssertionError, match="off by"):
        check(lambda *args, **kwargs: compare(*args, find=find, **kwargs), house)


def test_the_rounding_of_normalisers_kept_is_caught(mutate, house):
    with pytest.raises(AssertionError, match="kl: off by"):
        house.rounded_levels(
            mutate(
                "divergence_launch", divergence_sums=[("forward + square + (log - u)", "forward + square")]
            )
        )


def product(run, house, hidden, weight, tokens, bias=None):
    logits = hidden.double() @ weight.double().T + (0.0 if bias is None else bias.double())
    house.hold(run(hidden, weight, tokens, 1.0, bias=bias), house.exact(logits, tokens), slack=6.0)


def padded_product(run, house):
    product(run, house, torch.ones(1, 2), torch.full((131, 2), -15.0), torch.tensor([0]))


def masked_product(run, house):
    """Ids that a bias makes impossible, the token among them: what fills the last tile is not one of them."""
    bias = torch.zeros(131)
    bias[40:] = -math.inf
    got = run(torch.ones(1, 2), torch.ones(131, 2), torch.tensor([50]), 1.0, bias=bias)
    assert got["n_equal"].tolist() == [91], "n_equal"


def deep_product(run, house):
    product(run, house, torch.ones(1, 2), torch.full((131, 2), -55.0), torch.tensor([0]))


def ranked_product(run, house):
    product(run, house, torch.ones(1, 1), torch.tensor([3.0, 1.0, 1.0, 2.0] * 40)[:, None], torch.tensor([3]))


def wide_product(run, house):
    """A width of several steps that the last does not fill, beside storage that is not zero."""
    generator = torch.Generator().manual_seed(1)
    hidden, weight = torch.randn(3, 150, generator=generator), torch.randn(140, 150, generator=generator)
    product(run, house, hidden[:, :70], weight[:, :70] / 8, torch.tensor([0, 5, 139]))


def biased_product(run, house):
    bias = torch.linspace(-3, 3, 140)
    product(run, house, torch.ones(2, 1), torch.ones(140, 1), torch.tensor([4, 139]), bias)


def moved_product(run, house):
    generator = torch.Generator().manual_seed(1)
    weight, tokens = torch.randint(-256, 257, (901, 1), generator=generator) / 64, torch.tensor([0])
    base, far = (
        run(torch.ones(1, 1), weight, tokens, 1.0, bias=torch.full((901,), offset))
        for offset in (0.0, 1000.0)
    )
    assert (far["entropy"] - base["entropy"]).abs() <= 5e-6


# t becomes the sum of e x in float32, centred only when it is finished.
UNCENTRED_PRODUCT = [
    (
        "keep * (t + delta * s) + tl.sum(ed, axis=1)",
        "keep * t + tl.sum(e * tl.where(e > 0, x * scale, 0.0), axis=1)",
    ),
    ("tl.store(floats + 3 * plane + out, t, mask", "tl.store(floats + 3 * plane + out, t - shift * s, mask"),
]
PRODUCT_MUTANTS = {
    "padding read as zero": (
        padded_product,
        [('valid[None, :], x, float("-inf")', "valid[None, :], x, 0.0")],
    ),
    "padding counted": (
        masked_product,
        [("(x == chosen[:, None]) & valid[None, :]", "x == chosen[:, None]")],
    ),
    "the width's end not masked": (wide_product, [("& inside[None, :]", "& True")]),
    "the token's bias forgotten": (
        biased_product,
        [("chosen += tl.load(bias", "chosen += 0 * tl.load(bias")],
    ),
    "maximum started at zero": (deep_product, [("tl.full([M], -_LARGEST", "tl.full([M], 0.0")]),
    "> and >= swapped": (ranked_product, [("x > chosen[:, None], 1.0", "x >= chosen[:, None], 1.0")]),
    "the last of equal maxima": (ranked_product, [("tile_peak > maximum", "tile_peak >= maximum")]),
    "entropy not centred": (moved_product, UNCENTRED_PRODUCT),
}


@pytest.fixture
def multiply():
    """`launch_linear` in the interpreter, as a dict of results by name."""
    from crystal.kernels.linear_launch import launch_linear
    from crystal.kernels.token_fields import RESULT_COUNTS, RESULT_FLOATS
    from crystal.kernels.token_merge import finish

    def run(hidden, weight, tokens, temperature, state=launch_linear, **options):
        with np.errstate(all="ignore"), warnings.catch_warnings(category=RuntimeWarning, action="ignore"):
            floats, counts = finish(
                torch, *state(hidden, weight, tokens, temperature, **options), temperature
            )
        return dict(zip((*RESULT_FLOATS, *RESULT_COUNTS), (*floats, *counts), strict=True))

    return run


@pytest.mark.parametrize("name", PRODUCT_MUTANTS)
def test_a_mutant_of_the_fused_kernel_is_caught(name, mutate, house, multiply):
    check, changes = PRODUCT_MUTANTS[name]
    check(multiply, house)
    state = mutate("linear_launch", linear_token_stats=changes).launch_linear
    with pytest.raises(AssertionError, match=r"off by|n_|argmax|<="):
        check(lambda *args, **kwargs: multiply(*args, state=state, **kwargs), house)


PROGRAM = """
import mmap, sys, torch
sys.path.insert(0, sys.argv[1])
from mutant.divergence_launch import launch_sums
from mutant.linear_launch import launch_linear
from mutant.token_launch import launch_stats
stride = 2**31 - 64
before = 2048  # zeros, where an offset that wraps around ends
memory = mmap.mmap(-1, (before + 2 * stride + 64) * 2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
view = torch.frombuffer(memory, dtype=torch.float16)[before:].as_strided((3, 1, 40), (stride, 40, 1))
view[2, 0, 7] = 100.0
tokens = torch.tensor([[1], [2], [3]])
if sys.argv[2] == "token_stats":
    _, counts = launch_stats(view, tokens, 1.0)
    assert counts[0].tolist() == [0, 0, 7]
elif sys.argv[2] != "token_divergence":
    far, near = view[:, 0, :8], torch.zeros(3, 8, dtype=torch.float16)
    near[:, 7] = 1.0
    pair = (far, near) if sys.argv[2] == "hidden states" else (near, far)
    floats, _ = launch_linear(*pair, torch.zeros(3, dtype=torch.int64), 1.0)
    assert floats[0].max() == 100.0
else:
    one = torch.zeros(3, 1, 40, dtype=torch.float16)
    level = torch.full((3,), 40.0, dtype=torch.float64).log()
    levels, status = torch.stack((level, level)), torch.zeros(3, dtype=torch.int64)
    for pair in ((view, one), (one, view)):
        sums = launch_sums(*pair, tokens, levels, status, 1.0)
        assert (sums[:2, 2] > 1).any()
"""

_ROW = "tl.program_id(0).to(tl.int64)"
WIDE = {
    "token_stats": ("token_stats", _ROW),
    "token_divergence": ("token_divergence", _ROW),
    "hidden states": ("linear_token_stats", _ROW),
    "weights": ("linear_token_stats", "ids.to(tl.int64)"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="reserves 8.6 GB of addresses by a flag of Linux")
@pytest.mark.parametrize("rows", WIDE)
@pytest.mark.parametrize("dropped", [False, True])
def test_dropped_64_bit_offsets_are_caught(tmp_path, dropped, rows):
    """In a process of its own: the mutant reads elsewhere."""
    shutil.copytree(SOURCE, tmp_path / "mutant", ignore=shutil.ignore_patterns("__pycache__"))
    kernel, wide = WIDE[rows]
    path = tmp_path / "mutant" / f"{kernel}.py"
    text = path.read_text()
    assert wide in text
    if dropped:
        narrow = text.replace(wide, wide.replace("64", "32"))
        path.write_text(narrow.replace(": tl.int64", ""))  # a wide stride alone would save the product
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path), rows],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode != 0) == dropped, done.stderr.decode()
