from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from crystal.states.token_sums import TokenSums
from crystal.statistics import token_means
from crystal.statistics.token_means import Mean, token_mean

KEYS = ("checkpoint", "task", "prompt")


def mean_of(sequences: list[list[float]]) -> Mean:
    sums = TokenSums()
    sums.update({name: ["x"] * len(sequences) for name in KEYS}, entropies=sequences)
    return token_mean(sums.cells()["x", "x", "x"]["entropy"])


@given(
    st.lists(st.lists(st.floats(0, 20, width=32), min_size=1, max_size=5), min_size=2, max_size=12),
)
@example([[0.0], [np.float32(0.0002).item()]])
def test_the_mean_and_its_error_are_those_of_the_ratio(sequences: list[list[float]]) -> None:
    got = mean_of(sequences)
    total = np.array([np.sum(sequence, dtype=np.float64) for sequence in sequences])
    size = np.array([len(sequence) for sequence in sequences])
    ratio = total.sum() / size.sum()
    k = len(sequences)
    variance = k / (k - 1) * np.sum((total - ratio * size) ** 2) / size.sum() ** 2
    assert got.value == pytest.approx(ratio, abs=1e-11)
    # Sequences' sums are rounded to 2^-20 nats where they are squared: so exact is the standard error.
    assert got.variance is not None
    assert math.sqrt(got.variance) == pytest.approx(math.sqrt(variance), rel=1e-6, abs=2 * 2**-20)
    assert got.freedom == k - 1


def test_one_token_a_sequence_is_students_interval() -> None:
    values = [0.5, 1.25, 3.0, 0.25, 2.0]
    got = token_means.interval(mean_of([[value] for value in values]), 0.05)
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (got.low, got.high) == pytest.approx(expected, abs=1e-6)


def test_equal_sequences_have_no_error() -> None:
    got = mean_of([[0.1, 0.7, 0.3]] * 7)
    assert got.variance == 0
    estimate = token_means.interval(got, 0.05)
    assert estimate.low == estimate.high == estimate.value


def test_a_single_sequence_has_no_interval() -> None:
    estimate = token_means.interval(mean_of([[1.0, 2.0]]), 0.05)
    assert (estimate.value, estimate.low, estimate.high) == (1.5, None, None)
    assert estimate.reason is not None
    assert "one sequence" in estimate.reason


def test_the_test_of_a_change_is_welchs() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.gamma(2, 1, 9), rng.gamma(3, 1, 14)
    change = token_means.difference(mean_of([[x] for x in before]), mean_of([[x] for x in after]))
    got = token_means.interval(change, 0.1, test=True)
    expected = stats.ttest_ind(after, before, equal_var=False)
    assert got.p == pytest.approx(expected.pvalue, rel=1e-4)
    limits = expected.confidence_interval(0.9)
    assert (got.low, got.high) == pytest.approx((limits.low, limits.high), abs=1e-5)


def test_limits_of_an_exponential_stay_above_zero() -> None:
    wide = token_means.exponential(Mean(1.0, 4.0, 3))
    assert wide is not None
    estimate = token_means.interval(wide, 0.05, positive=True)
    reach = stats.t.ppf(0.975, 3) * 2
    assert (estimate.low, estimate.high) == pytest.approx((math.exp(1 - reach), math.exp(1 + reach)))
    assert token_means.exponential(Mean(701.0, 1.0, 3)) is None


def test_nothing_that_varies_and_a_change() -> None:
    assert token_means.interval(Mean(0.0, 0.0, 4), 0.05, test=True).p == 1.0
    assert token_means.interval(Mean(0.3, 0.0, 4), 0.05, test=True).p is None


def test_limits_over_prompts_are_students() -> None:
    means = [Mean(float(x), 0.1, 3) for x in (1, 2, 4, 8)]
    expected = stats.t.interval(0.95, 3, 3.75, stats.sem([1, 2, 4, 8]))
    assert token_means.over_prompts(means, 0.05, 4) == pytest.approx(expected)
    assert token_means.over_prompts(means, 0.05, 5) is None


def test_the_spread_between_prompts_is_without_noise() -> None:
    assert token_means.spread([Mean(1.0, 0.0, 4), Mean(3.0, 0.0, 4)]).value == pytest.approx(math.sqrt(2))
    assert token_means.spread([Mean(1.0, 9.0, 4), Mean(3.0, 9.0, 4)]).value == 0
    assert token_means.spread([Mean(1.0, 1.0, 4)]).value is None
    assert token_means.spread([Mean(1.0, 1.0, 4), Mean(1.0, None, 0)]).value is None


def test_intervals_cover_where_tokens_of_a_sequence_agree() -> None:
    """300 data sets of 12 sequences whose tokens share a level: tokens taken as independent cover half."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(300):
        sequences = []
        for _ in range(12):
            size = int(rng.integers(2, 20))
            sequences.append((rng.gamma(4, 0.25) * rng.uniform(0.8, 1.2, size)).tolist())
        estimate = token_means.interval(mean_of(sequences), 0.05)
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= 1.0 <= estimate.high
    assert covered / 300 > 0.88
