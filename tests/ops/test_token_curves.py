"""Temperature curves: closed forms, thermodynamic identities, equality with one read a temperature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError

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


def test_equals_one_read_a_temperature_to_the_byte():
    curve = crystal.temperature_curve(LOGITS, GRID)
    for k, t in enumerate(GRID):
        stats = crystal.token_stats(LOGITS, torch.zeros(3, 2, dtype=torch.int64), t)
        assert torch.equal(curve.entropy[..., k].float(), stats.entropy)
        assert torch.equal(curve.heat_capacity[..., k].float(), stats.varentropy)


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
