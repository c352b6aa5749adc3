"""Sizes that let two models be told alike or apart: honest at both ends, or a reason."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy import stats

from crystal.phases.compare_results import Likeness
from crystal.phases.likeness import likeness
from crystal.phases.likeness_needs import CHANCE, LARGEST, gamma_quantiles, needs
from crystal.phases.renaming import Pair
from crystal.phases.settings import Settings
from crystal.states.tables import Floats

QUICK = Settings(draws=199, interval_draws=100, threads=1)
NAMES = tuple("abcdefgh")
TRUTHS = np.random.default_rng(5).dirichlet(np.full(8, 0.5), size=(40, 2))


def drawn(truth: Floats, samples: int, key: int) -> Pair:
    counts = np.random.default_rng([key, samples]).multinomial(samples, truth)[None]
    return Pair("task", NAMES, counts.astype(np.int64))


def judged(truth: Floats, samples: int, key: int) -> Likeness:
    return likeness(drawn(truth, samples, key), QUICK, key)[0]


def test_promised_samples_do_decide_and_a_third_often_does_not() -> None:
    decided, third = [], []
    for number, (a, b) in enumerate(TRUTHS):
        mixed = number / len(TRUTHS)
        truth = np.stack([a, (1 - mixed) * a + mixed * b])
        first = judged(truth, 30, number)
        if first.needs_samples is None:
            continue
        assert 30 < first.needs_samples <= LARGEST * 30
        decided.append(judged(truth, first.needs_samples, 1000 + number).verdict != "UNDETERMINED")
        third.append(judged(truth, first.needs_samples // 3, 2000 + number).verdict != "UNDETERMINED")
    assert len(decided) >= 8
    assert np.mean(decided) >= 0.6
    assert np.mean(third) < np.mean(decided)


def test_a_reason_stands_where_no_number_can() -> None:
    flat = judged(np.full((2, 8), 0.125), 400, 0)
    assert "even" in str(flat.needs_reason)
    # All but one option are alike: near, but renamed they would be as near.
    alike = Pair("task", NAMES[:4], np.array([[[400, 200, 200, 200], [420, 190, 200, 190]]]))
    found = likeness(alike, QUICK, 0)[0]
    assert (found.verdict, found.needs_samples, found.needs_reason) == ("UNDETERMINED", None, CHANCE)


def test_an_exact_side_is_not_drawn_again() -> None:
    p = TRUTHS[0, 0]
    exact = np.floor(p * 2**20).astype(np.int64)
    exact[0] += 2**20 - exact.sum()
    sampled = np.random.default_rng(0).multinomial(15, p)
    size, reason = needs(Pair("task", NAMES, np.stack([exact, sampled])[None]), QUICK, 0)
    assert size is None or 15 < size <= 1500
    assert (size is None) == (reason is not None)


def test_very_many_samples_are_no_error() -> None:
    counts = np.random.default_rng(1).multinomial(400_000, TRUTHS[1:4]).astype(np.int64)
    size, reason = needs(Pair("task", NAMES, counts), QUICK, 0)
    assert (size is None) == (reason is not None)


def test_threads_change_nothing() -> None:
    pair = drawn(TRUTHS[2], 30, 3)
    assert needs(pair, QUICK, 1) == needs(pair, msgspec.structs.replace(QUICK, threads=3), 1)


@pytest.mark.parametrize("z", [-1.96, 1.96])
def test_gamma_quantiles_are_close_to_scipys(z: float) -> None:
    draws = np.random.default_rng(1).gamma([7.0, 40.0], 2.0, (200_000, 2))
    expected = stats.gamma.ppf(stats.norm.cdf(z), [7.0, 40.0], scale=2.0)
    np.testing.assert_allclose(gamma_quantiles(draws, z), expected, rtol=0.02)
