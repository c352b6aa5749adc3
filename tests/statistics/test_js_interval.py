import numpy as np
import pytest

from crystal.ops.resampling import permutation_test
from crystal.statistics.divergence import js_divergence, js_information
from crystal.statistics.jackknife import js_jackknife
from crystal.statistics.js_interval import js_interval


def draw(rng: np.random.Generator, p: np.ndarray, size: int) -> np.ndarray:
    return np.stack([np.stack([rng.multinomial(size, row) for row in block]) for block in p])


def test_value_is_the_jackknife_where_coverage_allows() -> None:
    counts = np.array([[[60, 30, 10], [20, 30, 50]]])
    estimate = js_interval(counts)
    assert estimate.value == pytest.approx(js_jackknife(counts).value)
    assert estimate.estimator == "jackknife, test inversion"
    sparse = np.ones((1, 2, 12), dtype=np.int64)
    assert js_interval(sparse).estimator == "test inversion, median"
    assert js_interval(sparse).value < 0.2


def test_lower_limit_is_zero_unless_the_permutation_rejects() -> None:
    counts = np.array([[[40, 30, 30], [20, 30, 50]]])
    assert js_interval(counts, permutation_p=0.001).low > 0
    assert js_interval(counts, permutation_p=0.025).low == 0.0
    assert js_interval(counts, permutation_p=0.2, null=0.01).null == 0.01


def test_two_options_have_limits_from_few_samples_on() -> None:
    few = js_interval([[[7, 3], [2, 8]]], permutation_p=0.05)
    assert few.low == 0.0
    assert few.value is not None
    assert few.high is not None
    assert few.value < few.high < 0.75


def test_one_option_shown_of_two_leaves_room_for_the_other() -> None:
    # 26 % of the other option would be missed by ten samples in 5 % of draws: 0.14 bit from none of it.
    limits = [js_interval([[[n, 0], [n, 0]]], permutation_p=1.0).high for n in (10, 50, 1000)]
    assert limits[0] == pytest.approx(0.14, abs=0.03)
    assert limits[0] > limits[1] > limits[2] > 0


def test_what_cannot_be_compared() -> None:
    assert js_interval([[[5, 5]]]).reason == "one group: there is nothing to compare"
    assert js_interval([[[1, 0, 0], [5, 5, 2]]]).reason == "fewer than 2 valid samples"
    assert js_interval([[[9], [7]]]).high == 0.0


def test_equal_counts_still_have_an_upper_limit() -> None:
    estimate = js_interval([[[30, 20, 10], [30, 20, 10]]])
    assert estimate.value == 0.0
    assert estimate.low == 0.0
    assert 0.01 < estimate.high < 0.12


def test_enough_samples_show_that_nothing_changed() -> None:
    counts = np.array([[[1000, 700, 300], [1010, 690, 300]]])
    assert js_interval(counts).high < 0.01


def test_an_exact_side_is_not_drawn_again() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.3, 0.4])
    exact = np.rint(p * (1 << 21)).astype(np.int64)
    sample = np.rint(q * 200).astype(np.int64)
    mixed = js_interval([[exact, sample]])
    both = js_interval([[np.rint(p * 200).astype(np.int64), sample]])
    assert mixed.low < float(js_divergence(p, q)) < mixed.high
    assert mixed.width < 0.85 * both.width
    frozen = js_interval([[exact, np.rint(q * (1 << 21)).astype(np.int64)]])
    assert frozen.low == pytest.approx(frozen.high, abs=1e-3)


def test_same_bytes_for_any_number_of_threads() -> None:
    counts = np.array([[[9, 5, 3], [4, 8, 5]], [[2, 7, 9], [9, 7, 2]]])
    assert js_interval(counts, threads=1, key=3) == js_interval(counts, threads=2, key=3)


CELLS = [
    (5, 2, 1, 20, 0.5),
    (10, 2, 1, 50, 1.0),
    (30, 2, 1, 20, 0.5),
    (10, 2, 5, 20, 0.3),
    (10, 6, 1, 20, 0.3),
]


@pytest.mark.parametrize(("options", "groups", "blocks", "size", "mix"), CELLS)
def test_coverage_at_an_effect(options: int, groups: int, blocks: int, size: int, mix: float) -> None:
    rng = np.random.default_rng(options + groups + size)
    covered = 0
    for index in range(80):
        middle = rng.dirichlet(np.full(options, 0.7), size=(blocks, 1))
        p = (1 - mix) * middle + mix * rng.dirichlet(np.full(options, 0.7), size=(blocks, groups))
        estimate = js_interval(draw(rng, p, size), draws=200, key=index)
        covered += estimate.low <= float(js_information(p).mean()) <= estimate.high
    assert covered >= 70


def test_coverage_where_nothing_differs() -> None:
    """At P = Q 0 is covered in 95 % of draws, less Monte Carlo error; a bootstrap never covers it."""
    rng = np.random.default_rng(11)
    covered = 0
    for index in range(80):
        p = np.repeat(rng.dirichlet(np.full(8, 0.7), size=(1, 1)), 2, axis=1)
        counts = draw(rng, p, 30)
        test = permutation_test(counts, "js", draws=199, exceedances=20, key=index)
        covered += js_interval(counts, draws=200, key=index, permutation_p=test.p).low == 0.0
    assert covered >= 74
