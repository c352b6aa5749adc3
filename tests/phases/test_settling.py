from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crystal.phases.rows import Rows
from crystal.phases.settings import Settings
from crystal.phases.settling import retention_by_prompt, settling_test, smallest_set
from crystal.testing.planted import ladder

Floats = npt.NDArray[np.float64]


def by_hand(counts: list[int], after: Floats, mass: float) -> float:
    """The definition, sample by sample."""
    samples = [option for option, n in enumerate(counts) for _ in range(n)]
    total = 0.0
    for left_out in range(len(samples)):
        rest = samples[:left_out] + samples[left_out + 1 :]
        sizes = sorted(((rest.count(k), k) for k in range(len(counts))), reverse=True)
        inside: set[int] = set()
        held, edge = 0, 0
        for size, option in sizes:
            if held >= mass * len(rest) - 1e-9 and size < edge:
                break
            if size == 0:
                break
            inside.add(option)
            held, edge = held + size, size
        total += sum(after[k] for k in inside) - (samples[left_out] in inside)
    return total / len(samples)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int64, 5, elements=st.integers(0, 9)).filter(lambda n: n.sum() >= 2),
    arrays(np.float64, 5, elements=st.floats(0.01, 1)),
)
def test_retention_by_its_definition(counts: npt.NDArray[np.int64], weights: Floats) -> None:
    after = weights / weights.sum()
    (value,) = retention_by_prompt(Rows.sampled(counts[None]), after[None], 0.9)
    assert value == pytest.approx(by_hand(counts.tolist(), after, 0.9), abs=1e-9)


def test_sets_take_every_tie_at_their_edge() -> None:
    rows = np.array([[5.0, 3, 1, 1, 0], [10, 0, 0, 0, 0], [1, 1, 1, 1, 1], [89, 5, 5, 1, 0]])
    assert smallest_set(rows, 0.9).tolist() == [
        [True, True, True, True, False],
        [True, False, False, False, False],
        [True, True, True, True, True],
        [True, True, True, False, False],
    ]


def test_exact_retention_is_the_change_of_mass_on_one_set() -> None:
    before = Rows(np.array([[0.6, 0.35, 0.05]]), None)
    after = np.array([[0.5, 0.2, 0.3]])
    assert retention_by_prompt(before, after, 0.9) == pytest.approx([0.7 - 0.95])


def test_cooling_is_no_escape() -> None:
    before = Rows.sampled(np.array([[50, 30, 15, 5]] * 8))
    after = np.array([[0.8, 0.15, 0.05, 0.0]] * 8)
    assert (retention_by_prompt(before, after, 0.9) > 0).all()


@pytest.mark.parametrize(("kind", "stays"), [("picture", True), ("escape", False)])
def test_planted_settling_and_escape(kind: str, stays: bool) -> None:
    table = ladder(kind, tasks=1, prompts=10, seed=2).tables(100)[0]
    test = settling_test(table, 1, 3, "context", Settings())
    assert test.stayed.yes is not None
    assert test.stayed.no is not None
    assert (test.stayed.yes < 0.01) is stays
    assert (test.stayed.no < 0.01) is not stays
    assert test.moved is not None
    assert test.moved < 0.01


def test_nothing_moves_where_nothing_is_planted() -> None:
    p = [
        settling_test(table, 1, 3, "context", Settings()).moved
        for table in ladder("frozen", tasks=12, prompts=4, seed=1).tables(30)
    ]
    assert min(value for value in p if value is not None) > 1e-3
    assert max(value for value in p if value is not None) > 0.3


def test_without_shared_prompts_there_is_no_test() -> None:
    table = ladder(tasks=1, prompts=3).tables(30)[0]
    table.counts[1, :2] = 0
    table.counts[3, 2] = 0
    test = settling_test(table, 1, 3, "context", Settings())
    assert not test.stayed.tested
    assert test.stayed.reason == "no prompt with enough valid samples on both rungs"
    table = ladder(tasks=1, prompts=3).tables(30)[0]
    table.counts[1, 1:] = 0
    assert settling_test(table, 1, 3, "context", Settings()).stayed.reason == "one prompt; 2 are needed"


def test_exact_rungs_are_held_against_the_margin() -> None:
    tables = ladder("escape", tasks=1, prompts=2).exact_tables()
    test = settling_test(tables[0], 1, 3, "persona", Settings())
    assert (test.stayed.yes, test.stayed.no, test.moved) == (1.0, 0.0, 0.0)
