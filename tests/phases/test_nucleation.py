from __future__ import annotations

import numpy as np
import pytest

from crystal.phases.nucleation import NucleationTest
from crystal.phases.settings import Settings
from crystal.testing.planted import ladder


def p_values(kind: str, samples: int, seed: int = 1, tasks: int = 4) -> list[tuple[float, float]]:
    """p-values of yes and no of a few planted tasks."""
    found = []
    for table in ladder(kind, tasks=tasks, prompts=8, seed=seed).tables(samples):
        test = NucleationTest(table, 0, 1, "context", Settings()).at(0)
        assert test.yes is not None
        assert test.no is not None
        found.append((test.yes, test.no))
    return found


def test_a_true_seed_is_found_and_not_refuted() -> None:
    tests = p_values("picture", 120)
    assert sum(yes < 0.05 for yes, _ in tests) >= 3
    assert all(no > 0.2 for _, no in tests)


def test_a_foreign_target_is_refuted_by_its_residual() -> None:
    tests = p_values("foreign", 120)
    assert sum(no < 0.05 for _, no in tests) >= 3
    assert all(yes > 0.2 for yes, _ in tests)


def test_an_average_is_refuted_by_its_weight() -> None:
    tests = p_values("blend", 200)
    assert sum(no < 0.05 for _, no in tests) >= 2
    assert all(yes > 0.2 for yes, _ in tests)


def test_without_collapse_there_is_no_nucleation() -> None:
    tests = p_values("per_context", 60)
    assert all(no < 0.05 for _, no in tests)
    assert all(yes > 0.9 for yes, _ in tests)


@pytest.mark.parametrize("kind", ["picture", "foreign", "blend", "per_context"])
def test_twenty_samples_claim_nothing_wrong(kind: str) -> None:
    for yes, no in p_values(kind, 20, seed=5):
        assert (no if kind == "picture" else yes) > 0.05


@pytest.mark.parametrize(("kind", "holds"), [("picture", True), ("foreign", False), ("blend", False)])
def test_exact_distributions_by_the_margins(kind: str, holds: bool) -> None:
    for table in ladder(kind, tasks=3, prompts=6, seed=2).exact_tables():
        result = NucleationTest(table, 0, 1, "persona", Settings())
        assert (result.at(0).yes, result.at(1).no) == ((0.0, 1.0) if holds else (1.0, 0.0))
        assert result.chance < 0.6


def test_a_seed_from_the_other_family_counts() -> None:
    """The dictionary holds the base prompts of all families: here the second family's alone know the seed."""
    table = ladder("picture", tasks=1, prompts=8, seed=1).exact_tables()[0]
    test = NucleationTest(table, 0, 1, "persona", Settings()).at(0)
    assert test.yes == 0.0


def test_shuffled_options_find_a_seed_rarely() -> None:
    table = ladder("picture", tasks=1, prompts=8, seed=1).tables(100)[0]
    assert 0 < NucleationTest(table, 0, 1, "context", Settings()).chance < 0.5


def test_the_same_bytes_for_any_threads() -> None:
    table = ladder("picture", tasks=1, prompts=6, seed=1).tables(40)[0]
    one, two = (NucleationTest(table, 0, 1, "context", Settings(threads=n)) for n in (1, 2))
    assert [one.at(seed) for seed in (0, 7)] == [two.at(seed) for seed in (0, 7)]
    assert one.chance == two.chance
    assert one.at(0) != one.at(7)


def test_reasons_where_there_is_nothing_to_test() -> None:
    table = ladder("picture", tasks=1, prompts=3, seed=1).tables(40)[0]
    table.counts[1, 1:3] = 0
    assert "fewer than 2 prompts" in str(NucleationTest(table, 0, 1, "context", Settings()).at(0).reason)
    flat = ladder("picture", tasks=1, prompts=3, seed=1).tables(40)[0]
    flat.counts[0] = np.full_like(flat.counts[0], 4)
    test = NucleationTest(flat, 0, 1, "context", Settings())
    assert "told apart" in str(test.at(0).reason)
    assert test.chance == 0.0
