"""Shift classes: borders by hand, ties, masks, sequences, statistics or logits, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError

LADDER = np.tile(np.float32([9, 8, 7, 6, 5, 4]), (6, 1))


def test_the_borders_lie_after_ranks_one_and_three():
    for base in (LADDER, torch.from_numpy(LADDER)):
        found = crystal.shift_classes(base, [0, 1, 2, 3, 4, 5])
        assert found.classes.tolist() == [0, 1, 1, 2, 2, 2]
        assert found.counts.tolist() == [[1, 2, 3]]
        assert type(found.fractions) is type(base)


def test_ties_count_for_the_token():
    assert crystal.shift_classes(np.zeros((1, 50), np.float32), [49]).classes.tolist() == [0]


def test_masked_and_broken_tokens_are_in_no_class():
    logits = LADDER.copy()
    logits[1, 3] = np.nan
    found = crystal.shift_classes(logits, [0, 1, -100, 3, 4, 5], offsets=[0, 2, 3, 6])
    assert found.classes.tolist() == [0, -1, -1, 2, 2, 2]
    assert found.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 3]]
    assert np.isnan(found.fractions[1]).all()
    np.testing.assert_array_equal(found.fractions[[0, 2]], [[1, 0, 0], [0, 0, 1]])


def test_statistics_serve_as_well_and_rows_of_a_batch_are_sequences():
    logits = torch.randn(4, 5, 30, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(0, 30, (4, 5), generator=torch.Generator().manual_seed(2))
    stats = crystal.token_stats(logits, tokens)
    one, two = crystal.shift_classes(stats), crystal.shift_classes(logits, tokens, backend="torch")
    assert torch.equal(one.classes, two.classes)
    assert one.counts.shape == (4, 3)
    assert one.counts.sum().item() == 20
    rank = (logits > logits.gather(-1, tokens[..., None])).sum(-1) + 1
    assert torch.equal(one.classes, (rank > 1).long() + (rank > 3).long())


def test_what_is_refused():
    stats = crystal.token_stats(LADDER, [0] * 6, metrics=["entropy"])
    with pytest.raises(SettingsError, match="base: statistics without ranks"):
        crystal.shift_classes(stats)
    with pytest.raises(SettingsError, match="tokens: statistics have their tokens"):
        crystal.shift_classes(crystal.token_stats(LADDER, [0] * 6), [0] * 6)
    with pytest.raises(SettingsError, match="tokens: needed beside logits"):
        crystal.shift_classes(LADDER)
    with pytest.raises(SettingsError, match="offsets"):
        crystal.shift_classes(LADDER, [0] * 6, offsets=[0, 5])
