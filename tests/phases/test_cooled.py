"""A base row, cooled: the numbers by hand, the p-values on truth, and the clause that they serve."""

from __future__ import annotations

import numpy as np
import pytest

from crystal.phases.cooling import Cooled, cooled_test, nearest_power
from crystal.phases.nucleation import NucleationTest
from crystal.phases.rows import Rows
from crystal.phases.settings import Settings
from crystal.statistics.divergence import js_divergence
from crystal.statistics.sharpening import sharpened
from crystal.testing.planted import ladder

ROWS = np.array([[0.4, 0.3, 0.15, 0.1, 0.05], [0.05, 0.1, 0.15, 0.3, 0.4], [0.05, 0.4, 0.4, 0.1, 0.05]])
TARGETS = {
    "cooled": (sharpened(ROWS[0], 2.5), True),
    "itself": (ROWS[0], False),
    "warmed": (sharpened(ROWS[0], 0.5), False),
    "foreign": (np.array([0.02, 0.02, 0.02, 0.02, 0.92]), False),
}
MARGIN = 0.05
FIRST = np.array([True, False, False])


def asked(base: Rows, tuned: Rows, key: int = 0) -> Cooled:
    return cooled_test(base, FIRST, tuned, MARGIN, 200, 0, key, threads=1)


def drawn(p: np.ndarray, samples: int, prompts: int, number: int) -> Rows:
    random = np.random.default_rng(number)
    rows = p if p.ndim == 2 else np.repeat(p[None], prompts, axis=0)
    return Rows.sampled(random.multinomial(samples, rows).astype(np.int64))


def test_the_nearest_power_is_found_and_the_slope_is_the_derivative() -> None:
    powers = np.array([1.0, 1.3, 3.0, 20.0])
    left, slope = nearest_power(np.repeat(ROWS[:1], 4, axis=0), sharpened(ROWS[0], powers))
    assert left == pytest.approx(0.0, abs=2e-4)
    assert slope[0] == pytest.approx(0.0, abs=1e-12)
    assert (slope[1:] < 0).all()
    step = 1e-4
    for target in (ROWS[1], TARGETS["warmed"][0], TARGETS["foreign"][0]):
        near = [float(js_divergence(sharpened(ROWS[0], 1.0 + s), target)) for s in (-step, step)]
        assert float(nearest_power(ROWS[0], target)[1]) == pytest.approx(
            (near[1] - near[0]) / (2 * step), rel=1e-4
        )
    grid = js_divergence(sharpened(ROWS[0], np.linspace(1.0, 30.0, 4_000)), ROWS[2])
    assert float(nearest_power(ROWS[0], ROWS[2])[0]) == pytest.approx(float(np.min(grid)), abs=1e-4)


@pytest.mark.parametrize("name", TARGETS)
def test_exact_rows_are_decided_by_the_numbers_themselves(name: str) -> None:
    target, cooled = TARGETS[name]
    found = asked(Rows(ROWS, None), Rows(target[None], None))
    assert (found.yes, found.no) == ((0.0, 1.0) if cooled else (1.0, 0.0))


@pytest.mark.parametrize("name", TARGETS)
def test_samples_say_what_is_true(name: str) -> None:
    target, cooled = TARGETS[name]
    for number in range(3):
        found = asked(drawn(ROWS, 200, 3, number), drawn(target, 100, 8, 10 + number), number)
        if cooled:
            assert found.yes < 0.05 < 0.5 < found.no
        else:
            assert found.yes > 0.01
        if name in ("warmed", "foreign"):
            assert found.no < 0.05


def test_the_row_itself_is_called_cooled_at_the_nominal_rate() -> None:
    p = [asked(drawn(ROWS, 100, 3, n), drawn(ROWS[0], 100, 6, 1_000 + n), n) for n in range(150)]
    assert 2 <= sum(found.yes < 0.1 for found in p) <= 15 + 2.5 * 3.7
    assert sum(found.no < 0.1 for found in p) <= 15 + 2.5 * 3.7


def test_of_two_options_everything_is_a_power_and_nothing_counts() -> None:
    found = cooled_test(
        Rows(ROWS[:, :2] / ROWS[:, :2].sum(axis=1, keepdims=True), None),
        FIRST,
        Rows(ROWS[:1, :2], None),
        MARGIN,
        50,
        0,
        0,
    )
    assert (found.yes, found.no) == (1.0, 0.0)


def test_twins_share_their_samples() -> None:
    """Half as many samples under each of two paraphrases say the same as all of them under one."""
    counts = np.array([[40, 30, 15, 10, 5]])
    tuned = drawn(TARGETS["cooled"][0], 100, 8, 1)
    apart = Rows.sampled(np.concatenate([counts, counts, [[5, 10, 15, 30, 40]]]))
    both = cooled_test(apart, np.array([True, True, False]), tuned, MARGIN, 400, 0, 0)
    alone = cooled_test(apart, FIRST, tuned, MARGIN, 400, 0, 0)
    assert both.spread < 0.8 * alone.spread
    assert both.bias < 0.8 * alone.bias


@pytest.mark.parametrize(("options", "samples"), [(5, 60), (10, 60), (30, 200)])
def test_a_cooled_seed_is_found_where_halves_of_the_samples_cannot(options: int, samples: int) -> None:
    truth = ladder("sharpened", tasks=4, prompts=8, options=options, families=("context",), seed=1)
    tests = [NucleationTest(table, 0, 1, "context", Settings()).at(0) for table in truth.tables(samples)]
    assert sum(test.yes is not None and test.yes < 0.05 for test in tests) >= 3
    assert all(test.no is not None and test.no > 0.2 for test in tests)


def test_exact_cooled_seeds_hold() -> None:
    for table in ladder("sharpened", tasks=6, prompts=6, seed=2).exact_tables():
        test = NucleationTest(table, 0, 1, "context", Settings()).at(0)
        assert (test.yes, test.no) == (0.0, 1.0)
