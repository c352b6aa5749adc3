"""Invalid answers widen every limit by no less than they could hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.phases.settings import Margins
from crystal.phases.sides import Side
from crystal.phases.validity import worst_case
from crystal.phases.verdict import Evidence, Limits


def entropy(p: np.ndarray) -> float:
    return float(-(p * np.log2(np.where(p > 0, p, 1))).sum())


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def one(p: np.ndarray, validity: float | None) -> Side:
    counts = np.array([[10] * len(p)])
    return Side(
        counts, p[None], exact=True, samples=None, validity=validity, trials=np.zeros((1, 2), dtype=np.int64)
    )


EVEN = np.full(4, 0.25)


def test_valid_answers_and_open_lists_are_left_alone() -> None:
    evidence = Evidence(differs=True)
    assert worst_case(evidence, one(EVEN, 0.9), one(EVEN, 0.75), Margins()) is None
    assert worst_case(evidence, one(EVEN, None), one(EVEN, 0.1), Margins()) is None


@pytest.mark.parametrize(("before", "after"), [(0.4, 0.45), (0.95, 0.7), (0.6, 0.9)])
def test_many_or_moving_invalid_answers_widen(before: float, after: float) -> None:
    evidence = Evidence(differs=True, jsd=Limits(0.1, 0.2), retention_change=Limits(-0.01, 0.01))
    widened = worst_case(evidence, one(EVEN, before), one(EVEN, after), Margins())
    assert widened is not None
    assert widened.retention_change.low == pytest.approx(-0.01 - (1 - before) - (1 - after))
    assert widened.jsd.low == 0.0
    assert widened.entropy_change == Limits()


weights = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda w: np.array(w) / sum(w))


@given(weights, weights, weights, weights, st.floats(0, 0.49), st.floats(0, 0.49))
def test_no_hidden_distribution_escapes_the_widened_limits(
    p: np.ndarray, q: np.ndarray, r: np.ndarray, s: np.ndarray, first: float, second: float
) -> None:
    """Whatever the invalid answers were (r, s), the full distributions stay within the widened limits."""
    d, h = jsd(p, q), entropy(q) - entropy(p)
    evidence = Evidence(differs=True, jsd=Limits(d, d), entropy_change=Limits(h, h))
    widened = worst_case(evidence, one(p, first), one(q, second), Margins())
    assert widened is not None
    full_p, full_q = first * p + (1 - first) * r, second * q + (1 - second) * s
    low, high, _ = widened.jsd
    assert low is not None
    assert high is not None
    assert low - 1e-9 <= jsd(full_p, full_q) <= high + 1e-9
    low, high, _ = widened.entropy_change
    assert low is not None
    assert high is not None
    assert low - 1e-9 <= entropy(full_q) - entropy(full_p) <= high + 1e-9


def test_everything_else_is_kept() -> None:
    evidence = Evidence(differs=True, seed=True, prompts=7)
    widened = worst_case(evidence, one(EVEN, 0.3), one(EVEN, 0.3), Margins())
    assert widened is not None
    assert replace(widened, jsd=evidence.jsd).seed is True
    assert widened.prompts == 7
