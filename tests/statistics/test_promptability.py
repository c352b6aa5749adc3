import numpy as np
import pytest

from crystal.statistics.divergence import js_information
from crystal.statistics.estimate import Estimate
from crystal.statistics.jackknife import js_jackknife
from crystal.statistics.promptability import effective_number, promptability

COUNTS = np.array([[30, 10, 5], [8, 25, 12], [12, 12, 21]])


def test_it_is_the_information_of_the_prompts() -> None:
    estimate = promptability(COUNTS, permutations=499)
    assert estimate.value == pytest.approx(js_jackknife(COUNTS[None]).value)
    assert estimate.low < estimate.value < estimate.high
    plugin = float(js_information(COUNTS / COUNTS.sum(axis=1, keepdims=True)))
    assert estimate.value < plugin
    assert estimate.p < 0.01
    # (K-1)(m-1)/(2m) mean(1/n) nats is the null's mean, to first order.
    assert estimate.null == pytest.approx(2 * 2 / 6 / 45 / np.log(2), rel=0.1)


def test_prompts_have_equal_weight_whatever_their_samples() -> None:
    base = np.array([[40, 10, 0], [10, 20, 20]])
    uneven = base * np.array([[50], [1]])
    plugin = float(js_information(base / 50))
    assert js_jackknife(uneven[None]).plugin == pytest.approx(plugin)


def test_gates_keep_p() -> None:
    few = promptability([[5, 4, 0], [0, 5, 4], [9, 9, 9]], permutations=199)
    assert few.value is None
    assert few.low is None
    assert few.p is not None
    assert few.reason == "a prompt has 9 valid samples, 10 are needed"
    sparse = promptability(np.tile([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2], (2, 1)), permutations=199)
    assert sparse.value is None
    assert "coverage" in sparse.reason
    assert promptability([[5, 5]]).reason == "one prompt: promptability is unknown"
    assert promptability([[5, 5], [0, 0]]).reason == "a prompt has no valid samples"


def test_equal_prompts_are_not_liquid() -> None:
    estimate = promptability(np.tile([12, 10, 8], (4, 1)), permutations=499)
    assert estimate.value == 0.0
    assert estimate.low == 0.0
    assert estimate.p > 0.9


def test_effective_number() -> None:
    bits = Estimate(value=1.0, low=0.0, high=2.0, null=0.5, p=0.01, estimator="x")
    number = effective_number(bits)
    assert (number.value, number.low, number.high) == (2.0, 1.0, 4.0)
    assert number.null == pytest.approx(2**0.5)
    assert number.p == 0.01
    assert effective_number(Estimate.unknown("why")).value is None
