"""The cooling test: known temperatures, definitions by brute force, intervals, special rows, refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError

RNG = np.random.default_rng(3)
BASE = (RNG.normal(size=(12, 400)) * 3).astype(np.float32)
TUNED = (BASE * 1.4 + RNG.normal(size=BASE.shape)).astype(np.float32)


def mean_kl(base, tuned, temperature):
    """The definition, a token at a time in float64."""

    def log_softmax(z):
        z = z - z.max(-1, keepdims=True)
        return z - np.log(np.exp(z).sum(-1, keepdims=True))

    logq, logp = log_softmax(tuned.astype(np.float64)), log_softmax(base.astype(np.float64) / temperature)
    return (np.exp(logq) * (logq - logp)).sum(-1)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("temperature", [0.07, 0.5, 0.93, 1.0, 1.7, 40.0])
def test_a_known_temperature_is_found_and_nothing_remains(temperature, backend):
    tuned = (BASE.astype(np.float64) / temperature).astype(np.float32)
    found = crystal.cooling_test(BASE, tuned, backend=backend)
    assert found.temperature == pytest.approx(temperature, rel=1e-4)
    if temperature > 0.1:  # below, some rows are certain to the last digit, at many temperatures alike
        np.testing.assert_allclose(found.token_temperature, temperature, rtol=1e-4)
    assert 0 <= found.remainder < 1e-8
    assert (found.token_remainder < 1e-8).all()
    assert math.isnan(found.low)
    if temperature != 1.0:
        assert found.explained == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_the_minimum_is_that_of_a_fine_search(backend):
    found = crystal.cooling_test(BASE, TUNED, backend=backend)
    grid = np.exp(np.linspace(math.log(0.3), math.log(3), 2001))
    values = np.stack([mean_kl(BASE, TUNED, t) for t in grid])
    assert found.temperature == pytest.approx(grid[values.mean(1).argmin()], rel=2e-3)
    np.testing.assert_allclose(found.token_temperature, grid[values.argmin(0)], rtol=2e-3)
    assert found.divergence == pytest.approx(mean_kl(BASE, TUNED, 1.0).mean(), rel=1e-9)
    assert found.remainder == pytest.approx(mean_kl(BASE, TUNED, found.temperature).mean(), rel=1e-9)
    assert found.remainder <= values.mean(1).min() + 1e-12
    assert (found.token_remainder <= values.min(0) + 1e-9).all()
    assert found.explained == pytest.approx(1 - found.remainder / found.divergence)
    assert 0 < found.explained < 1
    # At the minimum the two mean logits agree.
    p = np.exp(BASE / found.temperature)
    q = np.exp(TUNED.astype(np.float64))
    means = [(w / w.sum(-1, keepdims=True) * BASE).sum(-1).sum() for w in (p, q)]
    assert means[0] == pytest.approx(means[1], abs=1e-4)


def test_two_options_in_closed_form():
    """Base gap 2, tuned gap 3: T = 2/3 exactly; a tuned gap of the other sign has no temperature."""
    base = np.array([[0.0, 2.0], [0.0, 2.0]], np.float32)
    found = crystal.cooling_test(base, np.array([[0.0, 3.0], [0.0, -1.0]], np.float32))
    assert found.token_temperature[0] == pytest.approx(2 / 3, rel=1e-5)
    assert found.token_temperature[1] == pytest.approx(1e4)
    sure = crystal.cooling_test(base[:1], np.array([[-np.inf, 0.0]], np.float32))
    assert sure.token_temperature[0] < 0.2
    assert sure.token_remainder[0] < 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_and_kinds(dtype):
    base, tuned = torch.from_numpy(BASE).to(dtype), torch.from_numpy(TUNED)
    found = crystal.cooling_test(base.view(3, 4, 400), tuned.view(3, 4, 400))
    want = crystal.cooling_test(base.double(), tuned.double())
    assert found.temperature == pytest.approx(want.temperature, rel=1e-5)
    assert isinstance(found.token_temperature, torch.Tensor)
    assert found.token_temperature.shape == (3, 4)
    assert found.sequences == 3
    if dtype == torch.bfloat16:
        bits = crystal.cooling_test(base.view(torch.uint16).numpy(), TUNED, dtype="bfloat16")
        assert bits.temperature == pytest.approx(found.temperature, rel=1e-12)


def test_the_interval_is_the_jackknife_of_exact_fits():
    """One Newton step stands for each fit without a sequence: against all of these fits done in full."""
    offsets = np.array([0, 2, 3, 7, 7, 9, 12])
    found = crystal.cooling_test(BASE, TUNED, offsets=offsets, alpha=0.1)
    fits = []
    for a, b in itertools.pairwise(offsets):
        if a < b:
            keep = np.r_[0:a, b:12]
            fits.append(math.log(crystal.cooling_test(BASE[keep], TUNED[keep]).temperature))
    n = len(fits)
    assert found.sequences == n == 5
    error = math.sqrt((n - 1) / n * sum((f - np.mean(fits)) ** 2 for f in fits))
    half = 2.1318467863 * error  # t, 4 degrees of freedom, 0.95
    assert math.log(found.high / found.low) / 2 == pytest.approx(half, rel=0.05)
    assert found.low < found.temperature < found.high
    wider = crystal.cooling_test(BASE, TUNED, offsets=offsets, alpha=0.01)
    assert wider.high > found.high


def test_special_rows_are_left_out():
    base, tuned = BASE[:6].copy(), TUNED[:6].copy()
    base[1, 5] = np.nan
    tuned[2] = -np.inf
    base[3, 0] = -np.inf  # the tuned model gives it probability
    base[4, 7] = tuned[4, 7] = -np.inf  # impossible in both: fine
    tokens = [0, 0, 0, 0, 0, -100]
    found = crystal.cooling_test(base, tuned, tokens=tokens)
    assert found.status.tolist() == [0, 2, 1, 8, 0, 4]
    assert (found.tokens, found.excluded) == (2, 1)
    assert np.isnan(found.token_temperature[[1, 2, 3, 5]]).all()
    assert found.token_divergence[3] == math.inf
    assert found.temperature == crystal.cooling_test(base[[0, 4]], tuned[[0, 4]]).temperature
    nothing = crystal.cooling_test(base[1:3], tuned[1:3], offsets=[0, 1, 2])
    assert (nothing.tokens, nothing.sequences) == (0, 0)
    assert math.isnan(nothing.temperature)
    assert math.isnan(nothing.remainder)


def test_an_offset_of_the_logits_changes_nothing():
    base, tuned = np.round(BASE * 64) / 64, np.round(TUNED * 64) / 64
    near, far = crystal.cooling_test(base, tuned), crystal.cooling_test(base + 1000, tuned - 500)
    assert far.temperature == pytest.approx(near.temperature, rel=1e-5)
    assert far.remainder == pytest.approx(near.remainder, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tuned_logits": TUNED[:5]}, "tuned_logits: unlike the base's"),
        ({"tuned_logits": torch.from_numpy(TUNED)}, "tuned_logits: unlike the base's"),
        ({"alpha": 0.0}, "alpha: out of range"),
        ({"offsets": [0, 3]}, "offsets: not the borders"),
        ({"backend": "gpu"}, "backend: unknown"),
        ({"tuned_logits": [[1.0]]}, "logits: not an array"),
    ],
)
def test_wrong_arguments_are_refused(change, words):
    with pytest.raises(SettingsError, match=words):
        crystal.cooling_test(**({"base_logits": BASE, "tuned_logits": TUNED} | change))
