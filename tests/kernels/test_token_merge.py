"""The merge rule: parts of a vocabulary give what the whole gives, in any order, in both array libraries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from crystal.kernels.token_merge import finish, merge
from crystal.kernels.token_reference import reference_state, reference_stats


def cut(logits, tokens, cuts):
    chosen = logits.gather(1, tokens[:, None])[:, 0]
    edges = [0, *cuts, logits.shape[1]]
    return [
        reference_state(logits[:, a:b], tokens, 1.0, first_id=a, chosen=chosen)
        for a, b in itertools.pairwise(edges)
    ]


@pytest.mark.parametrize("cuts", [[], [1], [499], [3, 100, 101, 250, 251, 400], list(range(1, 64))])
def test_parts_give_the_whole_in_any_order(generator, cuts):
    logits = torch.randn(6, 500, generator=generator, dtype=torch.float64) * 4
    logits[0, 3] = logits[0, 450] = 30.0
    logits[1, 50:] = -math.inf
    tokens = torch.randint(0, 500, (6,), generator=generator)
    want = reference_stats(logits, tokens)
    parts = cut(logits, tokens, cuts)
    for order in (parts, parts[::-1]):
        whole = order[0]
        for part in order[1:]:
            whole = merge(torch, whole, part)
        got = finish(torch, *whole, 1.0)
        torch.testing.assert_close(got[0], want[0], atol=1e-12, rtol=1e-12)
        assert torch.equal(got[1], want[1])


def test_numpy_gives_the_same_as_torch(generator):
    logits = torch.randn(4, 60, generator=generator, dtype=torch.float64)
    tokens = torch.tensor([0, 59, 30, 7])
    one, two = cut(logits, tokens, [20])
    theirs = finish(torch, *merge(torch, one, two), 0.7)
    ours = merge(np, *[tuple(x.numpy() for x in part) for part in (one, two)])
    ours = finish(np, *ours, 0.7)
    np.testing.assert_allclose(ours[0], theirs[0].numpy(), atol=1e-13)
    np.testing.assert_array_equal(ours[1], theirs[1].numpy())


def test_without_the_chosen_logit_only_ranks_are_unknown(generator):
    logits = torch.randn(1, 10, generator=generator, dtype=torch.float64)
    state = reference_state(logits, torch.tensor([25]), 1.0)
    floats, counts = finish(torch, *state, 1.0)
    assert floats[1].isnan()
    assert floats[6].isnan()
    assert counts[1:3].tolist() == [[-1], [-1]]
    assert not floats[2].isnan()
    assert counts[3].tolist() == [0]
