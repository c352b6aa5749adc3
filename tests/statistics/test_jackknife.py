import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crystal.errors import SettingsError
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import entropy, shannon_entropy
from crystal.statistics.jackknife import Jackknife, entropy_jackknife, js_jackknife, js_values


def brute_force(counts: np.ndarray, statistic: object) -> Jackknife:
    """Delete every sample of every stratum, one by one."""
    plugin = statistic(counts)  # type: ignore[operator]
    bias = variance = bottom = 0.0
    for stratum in np.ndindex(counts.shape[:-1]):
        n = int(counts[stratum].sum())
        left = []
        for option in np.repeat(np.arange(counts.shape[-1]), counts[stratum]):
            rest = counts.copy()
            rest[(*stratum, option)] -= 1
            left.append(statistic(rest) - plugin)  # type: ignore[operator]
        d = np.array(left)
        bias += (n - 1) * d.mean()
        part = (n - 1) / n * ((d - d.mean()) ** 2).sum()
        variance += part
        bottom += part**2 / (n - 1)
    return Jackknife(plugin, plugin - bias, variance, variance**2 / bottom if bottom else math.inf)


def same(a: Jackknife, b: Jackknife) -> None:
    assert a.plugin == pytest.approx(b.plugin, abs=1e-12)
    assert a.value == pytest.approx(b.value, abs=1e-10)
    assert a.variance == pytest.approx(b.variance, abs=1e-12)
    if b.variance > 1e-12:
        assert a.freedom == pytest.approx(b.freedom, rel=1e-6)


def filled(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Counts with at least two samples a row."""
    return arrays(np.int64, shape, elements=st.integers(0, 5)).map(
        lambda c: c + 2 * np.eye(shape[-1], dtype=np.int64)[0]
    )


@given(filled((3, 4)))
@settings(max_examples=30, deadline=None)
def test_entropy_is_brute_force(counts: np.ndarray) -> None:
    same(entropy_jackknife(counts), brute_force(counts, lambda c: float(entropy(c, "plugin").mean())))


@given(filled((2, 3, 4)))
@settings(max_examples=30, deadline=None)
def test_information_is_brute_force(counts: np.ndarray) -> None:
    def statistic(c: np.ndarray) -> float:
        return float(js_information(c / c.sum(axis=-1, keepdims=True)).mean())

    same(js_jackknife(counts), brute_force(counts, statistic))


def test_most_of_the_bias_goes() -> None:
    """At P = Q the plug-in JSD is about (K-1)(1/n1+1/n2)/8 nats; the jackknife leaves under a fifth of it."""
    p = np.full(6, 1 / 6)
    draws = np.random.default_rng(7).multinomial(40, p, size=(400, 1, 2))
    values = [js_jackknife(draw) for draw in draws]
    null = 5 * (2 / 40) / 8 / math.log(2)
    assert np.mean([v.plugin for v in values]) == pytest.approx(null, rel=0.1)
    assert abs(np.mean([v.value for v in values])) < null / 5


def test_variance_is_that_of_the_value() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])
    draws = np.random.default_rng(8).multinomial(60, p, size=(600, 3))
    values = [js_jackknife(draw[None]) for draw in draws]
    assert np.mean([v.variance for v in values]) == pytest.approx(np.var([v.value for v in values]), rel=0.15)
    truth = float(shannon_entropy(p.mean(axis=0)) - shannon_entropy(p).mean())
    assert np.mean([v.value for v in values]) == pytest.approx(truth, abs=0.004)


def test_too_few_samples() -> None:
    assert math.isnan(js_jackknife([[[1, 0], [3, 1]]]).value)
    assert math.isnan(entropy_jackknife([[0, 0]]).value)
    with pytest.raises(SettingsError, match="nothing"):
        js_jackknife(np.zeros((0, 2, 3), dtype=np.int64))


def test_values_of_many_blocks_are_those_of_each_alone() -> None:
    counts = np.random.default_rng(8).multinomial(9, np.full(4, 0.25), (3, 5, 2)).astype(np.int64)
    counts[1, 2, 0] = [1, 0, 0, 0]
    values = js_values(counts)
    assert values.shape == (3, 5)
    for place in np.ndindex(3, 5):
        np.testing.assert_allclose(values[place], js_jackknife(counts[place][None]).value, atol=1e-12)
    assert np.isnan(values).sum() == 1
