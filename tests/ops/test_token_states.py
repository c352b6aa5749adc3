"""States of parts of a vocabulary through the public door, on every backend that reads CPU memory."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError
from crystal.kernels.token_fields import RESULTS

GENERATOR = torch.Generator().manual_seed(1)
LOGITS = torch.randn(5, 640, generator=GENERATOR) * 4
TOKENS = torch.randint(0, 640, (5,), generator=GENERATOR)
CHOSEN = LOGITS.gather(1, TOKENS[:, None])[:, 0]


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("parts", [1, 2, 7, 64])
def test_parts_in_any_order_give_the_whole(parts, backend):
    edges = np.linspace(0, 640, parts + 1).astype(int).tolist()
    states = [
        crystal.token_state(LOGITS[:, a:b], TOKENS, a, chosen=CHOSEN, backend=backend)
        for a, b in itertools.pairwise(edges)
    ]
    want = crystal.token_stats(LOGITS, TOKENS, backend=backend)
    for order in (states, states[::-1]):
        got = crystal.merge_token_states(order).result()
        for name in RESULTS:
            error = (getattr(got, name) - getattr(want, name)).abs().max()
            assert error <= (0 if name in ("argmax", "n_greater", "n_equal") else 5e-6), name
    assert got.status.tolist() == [0] * 5


def test_backends_merge_with_one_another():
    states = [
        crystal.token_state(LOGITS[:, a : a + 320], TOKENS, a, chosen=CHOSEN, backend=backend)
        for a, backend in ((0, "cpu"), (320, "torch"))
    ]
    floats = [crystal.ops.token_states.TokenState(s.floats.double(), s.counts, 1.0, s.shape) for s in states]
    got = crystal.merge_token_states(floats).result()
    want = crystal.token_stats(LOGITS.double(), TOKENS)
    assert (got.entropy - want.entropy).abs().max() <= 3e-6
    assert torch.equal(got.n_greater, want.n_greater)


def test_ranks_are_unknown_without_the_logit_of_the_token():
    """The part that holds the token counts well, the other cannot: the sum says so, and is not too small."""
    states = [crystal.token_state(LOGITS[:, a : a + 320], TOKENS, a) for a in (0, 320)]
    for order in (states, states[::-1]):
        got = crystal.merge_token_states(order).result()
        want = crystal.token_stats(LOGITS, TOKENS)
        assert got.n_greater.tolist() == [-1] * 5
        assert got.n_equal.tolist() == [-1] * 5
        assert got.mass_above.isnan().all()
        assert (got.logprob - want.logprob).abs().max() <= 5e-6
        assert (got.entropy - want.entropy).abs().max() <= 5e-6


def test_a_part_that_is_all_masked_changes_nothing():
    masked = torch.full((5, 30), -math.inf)
    whole = crystal.token_state(LOGITS, TOKENS, chosen=CHOSEN)
    got = whole.merge(crystal.token_state(masked, TOKENS, 640, chosen=CHOSEN)).result()
    want = whole.result()
    assert all(torch.equal(getattr(got, name), getattr(want, name)) for name in RESULTS)


def test_states_of_different_reads_are_refused():
    state = crystal.token_state(LOGITS, TOKENS)
    with pytest.raises(SettingsError, match="temperature: states of different reads"):
        state.merge(crystal.token_state(LOGITS, TOKENS, temperature=2.0))
    with pytest.raises(SettingsError, match="shape: states of different reads"):
        state.merge(crystal.token_state(LOGITS[:2], TOKENS[:2]))
    with pytest.raises(SettingsError, match="different array libraries"):
        state.merge(crystal.token_state(LOGITS.numpy(), TOKENS.numpy()))
    with pytest.raises(SettingsError, match="no state to merge"):
        crystal.merge_token_states([])
    with pytest.raises(SettingsError, match="chosen: does not fit"):
        crystal.token_state(LOGITS, TOKENS, chosen=CHOSEN[:3])
    with pytest.raises(SettingsError, match="first_id: below zero"):
        crystal.token_state(LOGITS, TOKENS, -1)
