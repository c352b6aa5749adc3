"""Temperature curves: closed forms, thermodynamic identities, equality with one read a temperature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError
from crystal.ops.core import load
from crystal.ops.token_curves import curves_at
from crystal.ops.token_inputs import check

GRID = [0.1, 0.5, 1.0, 3.0, 10.0]
LOGITS = torch.randn(3, 2, 700, generator=torch.Generator().manual_seed(1)) * 3


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_two_levels_have_a_closed_form(backend):
    logits = np.array([[0.0, 2.0], [500.0, 502.0]], np.float32)
    curve = crystal.temperature_curve(logits, GRID, backend=backend)
    t = np.array(GRID)
    p = 1 / (1 + np.exp(-2 / t))
    np.testing.assert_allclose(curve.energy[0], -2 * p, atol=2e-6)
    np.testing.assert_allclose(curve.energy[1], -500 - 2 * p, atol=2e-6)
    np.testing.assert_allclose(curve.heat_capacity[0], 4 * p * (1 - p) / t**2, atol=1e-5)
    np.testing.assert_allclose(curve.entropy[0], -p * np.log(p) - (1 - p) * np.log(1 - p), atol=3e-6)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_against_float64(backend, dtype):
    logits = LOGITS.to(dtype)
    curve = crystal.temperature_curve(logits, GRID, backend=backend)
    assert curve.entropy.shape == (3, 2, 5)
    for k, t in enumerate(GRID):
        x = logits.double()
        p = torch.softmax(x / t, -1)
        mean = (p * x).sum(-1)
        assert (curve.energy[..., k] + mean).abs().max() < 2e-5, t
        assert (curve.entropy[..., k] - torch.special.entr(p).sum(-1)).abs().max() < 3e-6, t
        capacity = (p * (x - mean[..., None]) ** 2).sum(-1) / t**2
        assert (curve.heat_capacity[..., k] - capacity).abs().max() < 2e-5, t


def test_equals_one_read_a_temperature():
    curve = crystal.temperature_curve(LOGITS, GRID)
    for k, t in enumerate(GRID):
        stats = crystal.token_stats(LOGITS, torch.zeros(3, 2, dtype=torch.int64), t)
        assert (curve.entropy[..., k] - stats.entropy).abs().max() < 3e-6
        assert (curve.heat_capacity[..., k] - stats.varentropy).abs().max() < 2e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("vocabulary", [1, 33, 1025, 50257])
def test_chains_single_temperatures_and_both_paths_of_the_core(vocabulary, dtype):
    """T, T/2, T/4 share an exponential: as good as each alone, and the same bytes with and without AVX2."""
    generator = torch.Generator().manual_seed(vocabulary)
    logits = (torch.randn(3, vocabulary, generator=generator) * 4).to(dtype)
    grid = [4.0, 0.3, 1.0, 0.6, 2.0, 0.5, 0.25]
    together = crystal.temperature_curve(logits, grid)
    x = logits.double()
    for k, t in enumerate(grid):
        p = torch.softmax(x / t, -1)
        assert (together.entropy[:, k] - torch.special.entr(p).sum(-1)).abs().max() < 3e-6
        assert (together.energy[:, k] + (p * x).sum(-1)).abs().max() < 2e-5
    rows = logits.view(torch.uint16).numpy() if dtype == torch.bfloat16 else logits.numpy()
    arguments = rows, str(dtype)[6:], np.zeros(3, np.int64), np.array(grid)[:, None], -100, 1
    paths = ["scalar", "best"]
    (top, sums), (top_too, sums_too) = (load().token_curve(*arguments, path) for path in paths)
    assert (top.tobytes(), sums.tobytes()) == (top_too.tobytes(), sums_too.tobytes())


def test_threads_give_equal_bytes_and_rows_may_have_their_own_temperatures():
    logits = torch.randn(9, 70_000, generator=torch.Generator().manual_seed(3)) * 3
    given = check(logits, torch.zeros(9, dtype=torch.int64))
    grid = np.linspace(0.3, 2.0, 18).reshape(2, 9)
    one, two = (curves_at(given, grid, "cpu", ignored_id=-100, threads=n) for n in (1, 2))
    assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(one, two, strict=True))
    for row in (0, 8):
        alone = crystal.temperature_curve(logits[row : row + 1], grid[:, row])
        np.testing.assert_array_equal(alone.energy[0], one[1][:, row])
    torch_too = curves_at(given, grid, "torch", ignored_id=-100)
    assert (torch_too[0] - one[0]).abs().max() < 5e-6


def test_cold_blocks_that_are_skipped_hold_their_nan():
    """A block far below the largest logit is nothing at low temperatures, but what is broken stays so."""
    logits = np.full((3, 5000), -100.0, np.float32)
    logits[:, 0] = 0.0
    logits[1, 4000] = np.nan
    logits[2, 4000:] = -np.inf
    curve = crystal.temperature_curve(logits, [0.1, 100.0])
    assert curve.status.tolist() == [0, 2, 0]
    assert 0.0 <= curve.entropy[0, 0] < 1e-30
    weight = 4999 * math.exp(-1)
    assert curve.energy[0, 1] == pytest.approx(100 * weight / (1 + weight), abs=2e-5)


def test_ignored_tokens_are_not_read():
    logits = np.zeros((2, 4), np.float32)
    logits[0] = np.nan
    curve = crystal.temperature_curve(logits, [1.0], tokens=[-100, 0])
    assert curve.status.tolist() == [4, 0]
    assert crystal.temperature_curve(logits, [1.0], ignored_id=0).status.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperatures": np.ones((2, 3))}, "temperatures are"),
        ({"temperatures": np.ones((0, 1))}, "do not match"),
        ({"path": "sse"}, "unknown name"),
    ],
)
def test_the_core_checks_what_it_gets(change, words):
    arguments = {
        "logits": np.zeros((2, 5), np.float32),
        "type": "float32",
        "tokens": np.zeros(2, np.int64),
        "temperatures": np.ones((1, 1)),
        "ignored_id": -100,
        "threads": 1,
        "path": "best",
    }
    with pytest.raises(ValueError, match=words):
        load().token_curve(**(arguments | change))


def test_heat_capacity_is_the_slope_of_energy_and_of_entropy():
    t, step = 1.3, 1e-2
    curve = crystal.temperature_curve(LOGITS.double(), [t - step, t, t + step])
    slope = (curve.energy[..., 2] - curve.energy[..., 0]) / (2 * step)
    assert (slope - curve.heat_capacity[..., 1]).abs().max() < 1e-3
    slope = t * (curve.entropy[..., 2] - curve.entropy[..., 0]) / (2 * step)
    assert (slope - curve.heat_capacity[..., 1]).abs().max() < 1e-3


def test_broken_rows_and_wrong_arguments():
    logits = np.zeros((3, 4), np.float32)
    logits[1, 2] = math.nan
    logits[2] = -math.inf
    curve = crystal.temperature_curve(logits, [1.0, 2.0])
    assert curve.status.tolist() == [0, 2, 1]
    for value in (curve.entropy, curve.energy, curve.heat_capacity):
        assert np.isnan(value[1:]).all()
        assert np.isfinite(value[0]).all()
    with pytest.raises(SettingsError, match="no temperature given"):
        crystal.temperature_curve(logits, [])
    with pytest.raises(SettingsError, match="temperature: out of range"):
        crystal.temperature_curve(logits, [0.0])
    with pytest.raises(SettingsError, match="logits: wrong shape"):
        crystal.temperature_curve(logits[0], [1.0])
    with pytest.raises(SettingsError, match="logits: not an array"):
        crystal.temperature_curve([[1.0]], [1.0])
