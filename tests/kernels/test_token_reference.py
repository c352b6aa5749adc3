"""The plain PyTorch form in float64 against the definitions, and its blocks, strides and special values."""

from __future__ import annotations

import math

import pytest
import torch

from crystal.kernels import token_reference
from crystal.kernels.token_fields import RESULT_COUNTS, RESULT_FLOATS


def named(logits, tokens, temperature=1.0, **options):
    floats, counts = token_reference.reference_stats(logits, tokens, temperature, **options)
    return dict(zip((*RESULT_FLOATS, *RESULT_COUNTS), (*floats, *counts), strict=True))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_float64_agrees_to_the_last_digits(house, generator, temperature):
    logits = torch.randn(5, 900, generator=generator, dtype=torch.float64) * 3
    tokens = torch.randint(0, 900, (5,), generator=generator)
    got, want = named(logits, tokens, temperature), house.exact(logits, tokens, temperature)
    for name in RESULT_FLOATS:
        assert (got[name] - want[name]).abs().max() < 1e-12, name
    for name in ("argmax", "n_greater", "n_equal"):
        assert torch.equal(got[name], want[name]), name


def test_by_hand_for_one_half_one_quarter_one_quarter():
    logits = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64) * math.log(2)
    got = named(logits, torch.tensor([2]))
    hand = {
        "logsumexp": 3 * math.log(2),
        "logprob": -2 * math.log(2),
        "entropy": 1.5 * math.log(2),
        "varentropy": 0.25 * math.log(2) ** 2,
        "collision": 0.375,
        "top1": 0.5,
        "mass_above": 0.5,
        "argmax": 0,
        "n_greater": 1,
        "n_equal": 2,
        "status": 0,
    }
    assert {name: got[name].item() for name in hand} == pytest.approx(hand, abs=1e-14)


def test_blocks_do_not_change_the_bytes(monkeypatch, generator):
    logits = torch.randn(2, 7, 50, generator=generator).transpose(0, 1)
    tokens = torch.randint(0, 50, (7, 2), generator=generator)
    whole = named(logits, tokens)
    monkeypatch.setattr(token_reference, "_BLOCK_BYTES", 3 * 50 * 8 * 6)
    blocks = named(logits, tokens)
    assert all(torch.equal(whole[name], blocks[name]) for name in whole)


def test_special_rows():
    rows = torch.zeros(5, 4)
    rows[0] = -math.inf
    rows[1, 2] = math.nan
    rows[2, 3] = math.inf
    rows[4] = torch.finfo(torch.float32).min
    got = named(rows, torch.tensor([0, 0, 0, -100, 1]))
    assert got["status"].tolist() == [1, 2, 2, 4, 1]
    assert got["logsumexp"][0] == -math.inf
    assert got["entropy"].isnan().all()
    assert got["argmax"].tolist() == [-1] * 5
