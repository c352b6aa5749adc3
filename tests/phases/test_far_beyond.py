"""Tests whose end is known without a draw: what the bounds say, draws would have said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crystal.phases import liquid, nucleation, seed_search
from crystal.phases.crossfit import Scores, null_scores
from crystal.phases.liquid import log_reach_js
from crystal.phases.nucleation import NucleationTest
from crystal.phases.rows import Rows
from crystal.phases.seed import find_seed
from crystal.phases.seed_search import most_left
from crystal.phases.settings import Settings
from crystal.statistics.divergence import js_information
from crystal.statistics.reach import log_reach
from crystal.testing.planted import ladder


def counts(n: int, seed: int = 0, prompts: int = 6, options: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.multinomial(n, random.dirichlet(np.ones(options), prompts))


def test_the_bound_of_equal_samples_is_that_of_g() -> None:
    """With the same number of samples everywhere the information is G over 2 n m ln 2."""
    rows = counts(400)
    assert log_reach_js(Rows.sampled(rows)) == pytest.approx(log_reach(rows[None]), rel=1e-12)


def test_the_bound_holds_where_permuted_labels_are_counted() -> None:
    random = np.random.default_rng(1)
    rows = random.multinomial(30, [0.4, 0.3, 0.3], 3)
    labels, answers = np.repeat(np.arange(3), 30), np.repeat(np.tile(np.arange(3), 3), rows.ravel())
    drawn = []
    for _ in range(2_000):
        table = np.zeros((3, 3), dtype=np.int64)
        np.add.at(table, (labels, random.permutation(answers)), 1)
        drawn.append(table)
    values = np.array([float(js_information(table / 30)) for table in drawn])
    for table, value in zip(drawn[:200], values[:200], strict=True):
        assert (values >= value).mean() <= np.exp(log_reach_js(Rows.sampled(table))) + 1e-12


def test_a_liquid_base_is_as_liquid_without_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows.sampled(counts(300))
    quick = liquid._permuted(rows, Settings(), 3)
    monkeypatch.setattr(liquid, "unreached", lambda *_: False)
    assert quick == liquid._permuted(rows, Settings(), 3)


def test_what_no_blend_explains_has_the_p_of_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    base = counts(800, seed=2)
    tuned = np.array([[20, 20, 20, 20, 720]] * 4)
    quick = find_seed(base, tuned)
    assert quick.residual is not None
    assert quick.residual > most_left(5, 1 / 3200 + 1 / 800)
    monkeypatch.setattr(seed_search, "most_left", lambda *_: np.inf)
    assert quick == find_seed(base, tuned)
    assert quick.p == 1 / 201


@pytest.mark.parametrize(("options", "n"), [(2, 20), (5, 60), (16, 300)])
def test_a_true_blend_leaves_less_than_the_bound(
    options: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 400 draws behind a p: none comes near."""
    base = counts(n, seed=options, options=options)
    target = np.random.default_rng(3).multinomial(n, (base / n).mean(axis=0), 4)
    seen: list[float] = []
    plain = seed_search.js_divergence

    def watched(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        found = np.asarray(plain(one, other))
        seen.extend(np.atleast_1d(found).tolist())
        return found

    search = seed_search.Search(
        Rows.sampled(base), list("abcdef"), Rows.sampled(target), Settings(), options, 1
    )
    monkeypatch.setattr(seed_search, "js_divergence", watched)
    search._fits_p()
    assert len(seen) > 400
    assert max(seen) < 0.6 * most_left(options, 1 / (4 * n) + 1 / n)


@pytest.mark.parametrize("kind", ["picture", "foreign"])
def test_folds_that_are_not_made_would_have_said_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = ladder(kind, tasks=2, prompts=6, options=12, families=("context",), seed=3).tables(1_000)
    made: list[int] = []
    plain = nucleation.split_scores

    def counted(*given: Any) -> Scores:
        made.append(given[3])
        return plain(*given)

    monkeypatch.setattr(nucleation, "split_scores", counted)

    def asked() -> list[tuple[float | None, float | None]]:
        tests = [NucleationTest(table, 0, 1, "context", Settings(threads=1)) for table in tables]
        return [(found.yes, found.no) for found in (test.at(0) for test in tests)]

    quick, few = asked(), sum(made)
    monkeypatch.setattr(NucleationTest, "_settled", lambda *_: False)
    monkeypatch.setattr(NucleationTest, "_beyond", lambda *_: False)
    made.clear()
    assert quick == asked()
    assert few < sum(made) == 2 * 200


def test_a_true_seed_leaves_less_than_the_bound() -> None:
    """What clause N takes for beyond every true seed: 200 of them stay well below."""
    rows = counts(300, seed=5, prompts=8, options=10)
    target = np.random.default_rng(6).multinomial(300, rows[2] / 300, 8)
    one, other = Rows.sampled(rows), Rows.sampled(target)
    scores = null_scores(one, other, 2, np.eye(8, dtype=bool), 200, 1, 1)
    assert float(scores.residual.max()) < 0.5 * most_left(10, 2 / 2_400 + 2 / 300)
