"""Sums per sequence: by hand, empty sequences, masked and broken tokens, offsets that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError


def test_by_hand():
    logits = np.zeros((6, 4), np.float32)
    logits[1, 2] = math.inf
    logits[5, 0] = 50.0
    sums = crystal.fold(crystal.token_stats(logits, [0, 0, -100, 1, 2, 3]), [0, 3, 3, 6])
    assert sums.tokens.tolist() == [1, 0, 3]
    assert sums.broken.tolist() == [1, 0, 0]
    assert sums.greedy.tolist() == [1, 0, 2]
    np.testing.assert_allclose(sums.entropy, [math.log(4), 0, 2 * math.log(4)], atol=1e-6)
    np.testing.assert_allclose(sums.logprob, [-math.log(4), 0, -2 * math.log(4) - 50], atol=1e-5)
    assert sums.entropy.dtype == np.float64


def test_rows_of_a_batch_are_sequences():
    logits = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(1))
    stats = crystal.token_stats(logits, torch.zeros(3, 4, dtype=torch.int64), metrics=["entropy"])
    sums = crystal.fold(stats)
    assert isinstance(sums.entropy, torch.Tensor)
    torch.testing.assert_close(sums.entropy, stats.entropy.double().sum(1))
    assert sums.logprob is None
    assert sums.greedy is None


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 2, 1, 3], [], [[0, 3]], [0.0, 3.0], None])
def test_offsets_that_are_no_borders_are_refused(offsets):
    stats = crystal.token_stats(np.zeros((3, 2), np.float32), [0, 0, 0])
    with pytest.raises(SettingsError, match="offsets"):
        crystal.fold(stats, offsets)
