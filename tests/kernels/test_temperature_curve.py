"""The temperature kernel in the interpreter: accuracy, chains, splits, layouts, special values, mutants."""

from __future__ import annotations

import importlib
import math
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import crystal.kernels
from crystal.kernels.curve_merge import finish_curves, merge_curves
from crystal.kernels.curve_reference import reference_curves

pytestmark = pytest.mark.interpreter
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
SOURCE = Path(crystal.kernels.__path__[0])
FULL = os.environ.get("CRYSTAL_FULL_GRID") == "1"
GRID = [1.0, 0.1, 10.0, 0.5, 0.25, 2.0]
BARS = {"entropy": 3e-6, "energy": 2e-5, "heat_capacity": 2e-5}


@pytest.fixture(scope="module")
def run():
    from crystal.kernels import curve_launch

    return lambda *args, **kwargs: curves(curve_launch, *args, **kwargs)


def curves(module, logits, grid=GRID, tokens=None, **options):
    """The curves by name, [rows, temperatures]."""
    tokens = torch.zeros(logits.shape[:-1], dtype=torch.int64) if tokens is None else tokens
    grid = torch.tensor(grid, dtype=torch.float64).reshape(len(grid), -1)
    # A GPU does not warn of the NaN and infinities that tests send through.
    with np.errstate(all="ignore"), warnings.catch_warnings(category=RuntimeWarning, action="ignore"):
        maximum, sums = module.launch_curves(logits, tokens, grid, ignored_id=-100, **options)
        *found, status = finish_curves(torch, maximum, sums, grid, tokens.reshape(-1) == -100)
    return dict(zip(BARS, (c.T for c in found), strict=True)) | {"status": status}


def exact(logits, grid=GRID):
    x = logits.double().reshape(-1, logits.shape[-1])
    finite = torch.where(x.isinf(), 0.0, x)
    found = {name: [] for name in BARS}
    for t in torch.tensor(grid, dtype=torch.float64).reshape(len(grid), -1, 1):
        p = torch.softmax(x / t, -1)
        mean = (p * finite).sum(-1)
        found["entropy"].append(torch.special.entr(p).sum(-1))
        found["energy"].append(-mean)
        found["heat_capacity"].append((p * (finite - mean[:, None]) ** 2).sum(-1) / t[:, 0] ** 2)
    return {name: torch.stack(values, -1) for name, values in found.items()}


def hold(got, want):
    for name, bar in BARS.items():
        error = (got[name] - want[name]).abs()
        assert (error <= bar + 2e-7 * want[name].abs()).all(), f"{name}: off by {error.max():.2e}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocabulary", [1, 2, 7, 1000, 4095, 4097] if FULL else [1, 7, 1000, 4097])
def test_agrees_with_the_definitions(run, generator, vocabulary, dtype):
    logits = (torch.randn(2, vocabulary, generator=generator) * 3).to(dtype)
    grid = GRID if FULL or vocabulary < 4000 else [1.0, 0.5]
    hold(run(logits, grid), exact(logits, grid))


LARGE = [32001, 50257, 128256, 151936, 262144]


@pytest.mark.parametrize("dtype", DTYPES if FULL else [torch.bfloat16], ids=str)
@pytest.mark.parametrize("vocabulary", LARGE if FULL else LARGE[:1])
def test_agrees_at_real_vocabulary_sizes(run, generator, vocabulary, dtype):
    logits = (torch.randn(1, vocabulary, generator=generator) * 3).to(dtype)
    hold(run(logits, [0.1, 1.0, 10.0]), exact(logits, [0.1, 1.0, 10.0]))


def test_a_grid_longer_than_one_launch(run, generator):
    logits = torch.randn(1, 300, generator=generator)
    grid = [0.3 + 0.17 * k for k in range(19)]
    hold(run(logits, grid), exact(logits, grid))


def test_chains_are_found_and_shared_out(monkeypatch):
    from crystal.kernels import curve_launch

    chains = curve_launch.chains_of([1.0, 0.3, 0.5, 0.25, 0.125, 0.6, 3.0])
    assert chains == [[6], [0, 2, 3], [5, 1], [4]]
    monkeypatch.setattr(curve_launch, "MOST", 4)
    groups = curve_launch.groups_of(chains)
    assert [sum(map(len, group)) for group in groups] == [4, 3]
    assert sorted(k for group in groups for chain in group for k in chain) == list(range(7))


def test_links_agree_with_temperatures_taken_alone(run, generator):
    """Squaring doubles an error of 1e-7 or so: two squarings stay far inside the bar."""
    logits = torch.randn(3, 1100, generator=generator) * 3
    chained = run(logits, [2.0, 1.0, 0.5])
    for k, t in enumerate((2.0, 1.0, 0.5)):
        alone = run(logits, [t])
        for name in BARS:
            assert (chained[name][:, k] - alone[name][:, 0]).abs().max() <= BARS[name] / 2


def test_every_row_may_have_its_own_temperatures(run, generator):
    logits = torch.randn(3, 700, generator=generator) * 2
    grid = [[0.3, 1.0, 5.0], [0.15, 2.0, 0.1]]
    hold(run(logits, grid), exact(logits, grid))


@pytest.mark.parametrize("splits", [2, 7])
def test_splits_of_the_vocabulary_agree(run, generator, splits):
    logits = torch.randn(2, 1500, generator=generator) * 3
    logits[0, 900:] = -math.inf
    hold(run(logits, splits=splits), exact(logits))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_batch_and_time_keep_their_strides(run, generator, dtype):
    storage = (torch.randn(4, 3, 421, generator=generator) * 3).to(dtype)
    view = storage.transpose(0, 1)[:, ::2, 13:413]  # rows with every misfit to 16 bytes
    hold(run(view, [0.7]), exact(view, [0.7]))


def test_special_rows(run, generator):
    logits = torch.randn(7, 700, generator=generator)
    logits[0] = -math.inf
    logits[1, 650] = math.nan
    logits[2, 3] = math.inf
    logits[4] = torch.finfo(torch.float32).min
    logits[5, 50:] = -math.inf
    tokens = torch.tensor([0, 0, 0, -100, 1, 0, 0])
    got = run(logits, [1.0, 0.3], tokens)
    assert got["status"].tolist() == [1, 2, 2, 4, 1, 0, 0]
    for name in BARS:
        assert got[name][:5].isnan().all()
    hold({n: v[5:] for n, v in got.items()}, exact(logits[5:], [1.0, 0.3]))


def test_repeated_runs_are_bitwise_equal_and_no_rows_are_none(run, generator):
    logits = torch.randn(2, 900, generator=generator)
    first, second = run(logits), run(logits.clone())
    assert all(torch.equal(first[name], second[name]) for name in BARS)
    assert run(logits[:0])["energy"].shape == (0, 6)


def test_the_merge_rule_and_the_reference_agree_with_the_definitions(generator):
    logits = torch.randn(3, 640, generator=generator, dtype=torch.float64) * 4
    logits[0, 300:] = -math.inf
    grid = torch.tensor(GRID, dtype=torch.float64)[:, None]
    none = torch.zeros(3, dtype=torch.bool)
    parts = [reference_curves(part, none, grid) for part in logits.split([1, 299, 340], dim=1)]
    for order in (parts, parts[::-1]):
        whole = order[0]
        for part in order[1:]:
            whole = merge_curves(torch, whole, part, grid)
        *found, _ = finish_curves(torch, *whole, grid, none)
        for value, want in zip(found, exact(logits).values(), strict=True):
            torch.testing.assert_close(value.T, want, atol=1e-11, rtol=1e-11)


def far(run):
    logits = torch.full((1, 611), -110.0)
    logits[0, :300] = -111.0
    hold(run(logits, [1.0, 0.5]), exact(logits, [1.0, 0.5]))


def moved(run):
    logits = (torch.randn(1, 901, generator=torch.Generator().manual_seed(1)) * 128).round() / 64
    base, away = (run(logits + offset, [1.0])["entropy"] for offset in (0, 1000))
    assert (away - base).abs() <= 5e-6, f"off by {(away - base).abs().max()}"


def spread(run):
    logits = torch.randn(1, 901, generator=torch.Generator().manual_seed(1)) * 4
    hold(run(logits, [1.0, 0.5]), exact(logits, [1.0, 0.5]))


MUTANTS = {
    "padding read as zero": (far, [('other=float("-inf")', "other=0.0")]),
    "maximum started at zero": (far, [("tl.full([R], -_LARGEST", "tl.full([R], 0.0")]),
    "not the square": (spread, [("e = e * e", "e = e * e * e")]),
    "sums not moved": (spread, [("t = keep * (t + delta * s)", "t = keep * t")]),
    "not centred": (moved, [("_fold(e * d)", "_fold(e * x)"), ("+ delta * s)", ")")]),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name, run, tmp_path, monkeypatch):
    check, changes = MUTANTS[name]
    check(run)
    folder = re.sub(r"\W", "_", tmp_path.name)
    shutil.copytree(SOURCE, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / folder / "temperature_curve.py"
    text = path.read_text()
    for old, new in changes:
        assert old in text, f"{old!r} is no longer there: the mutant has to follow"
        text = text.replace(old, new)
    path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(f"{folder}.curve_launch")
    with pytest.raises(AssertionError, match="off by"):
        check(lambda *args, **kwargs: curves(module, *args, **kwargs))
