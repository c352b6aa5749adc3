"""Sizes that let two models be told alike or apart: honest at both ends, or a reason."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy import stats

from crystal.phases.compare_results import Likeness
from crystal.phases.likeness import likeness
from crystal.phases.likeness_needs import (
    CHANCE,
    LARGEST,
    World,
    gamma_deviate,
    needs,
    plugin_bias,
    spread_at,
)
from crystal.phases.likeness_truths import truths
from crystal.phases.renaming import Pair
from crystal.phases.settings import Settings
from crystal.states.tables import Floats
from crystal.statistics.divergence import js_information

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


@pytest.mark.parametrize("z", [-1.96, 0.0, 1.96])
def test_gamma_deviates_are_close_to_scipys(z: float) -> None:
    shapes = np.array([7.0, 40.0])
    x = stats.gamma.ppf(stats.norm.cdf(z), shapes, scale=2.0)
    np.testing.assert_allclose(gamma_deviate(x, 2 * shapes, 4 * shapes), z, atol=0.02)


@pytest.mark.parametrize("sizes", [(30, 30), (100, 400), (400, 400)])
def test_bias_and_spread_are_those_of_draws(sizes: tuple[int, int]) -> None:
    n = np.array([sizes])
    p = np.stack([TRUTHS[3, 0], 0.5 * (TRUTHS[3, 0] + TRUTHS[4, 1])])[None, None]
    drawn_p = np.random.default_rng(0).multinomial(n, p, size=(4_000, 1, 2)) / n[..., None]
    plugin = js_information(drawn_p).mean(axis=-1)
    value = float(js_information(p).mean())
    assert plugin.mean() - value == pytest.approx(float(plugin_bias(p, n)[0]), rel=0.12)
    # At no divergence c chi-square has the variance 2 c bias; beyond, surprise adds its own.
    c = (1 / n).sum() / (8 * np.log(2))
    own = float(spread_at(p, n, np.array([value]))[0])
    assert plugin.var() == pytest.approx(own + 2 * c * plugin_bias(p, n)[0], rel=0.35)


def test_what_may_be_true_holds_what_is_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    ranks = []
    for _ in range(60):
        p, other = random.dirichlet(np.full(5, 0.8), size=2)
        q = p + random.uniform() * (other - p)
        counts = random.multinomial(60, [[p, q]])
        counts = counts[..., counts.any(axis=(0, 1))]
        may_be = js_information(truths(counts, random)).mean(axis=-1)
        ranks.append((may_be < float(js_information(np.stack([p, q])))).mean())
    assert 0.4 < np.mean(ranks) < 0.6
    off = np.abs(np.array(ranks) - 0.5)
    assert np.mean(off > 0.45) < 0.2
    assert 0.3 < np.mean(off < 0.25) < 0.7


def test_truths_know_what_the_samples_fix_and_what_they_leave_open() -> None:
    counts = np.array([[[40_000, 20_000, 0], [20_000, 40_000, 1]]])
    found = truths(counts, np.random.default_rng(0))
    assert found.shape[1:3] == (1, 2)
    assert found.shape[3] >= 3
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)
    assert np.abs(found[..., :3] - counts / counts.sum(axis=-1, keepdims=True)).max() < 0.02
    # Where every option came but once there must be others.
    assert truths(np.ones((1, 2, 6), dtype=np.int64), np.random.default_rng(0)).shape[3] > 6


def test_more_samples_decide_more() -> None:
    world = World(drawn(TRUTHS[15], 40, 1), QUICK, 1)
    shares = [world.verdicts(factor)[0] for factor in (0.5, 5.0, 50.0)]
    assert shares[0] < shares[1] < shares[2]
    assert all(one <= other for one, other in [world.verdicts(5.0)])
