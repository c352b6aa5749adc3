from __future__ import annotations

import numpy as np
import pytest

from crystal.phases.liquid import liquid_test
from crystal.phases.rows import (
    Rows,
    divergence_from_mean,
    halves,
    jsd_to_target,
    pairwise_jsd,
    promptedness,
    proportions,
    rows_of,
    smooth,
)
from crystal.phases.settings import Margins, Settings
from crystal.statistics.divergence import js_divergence, js_information
from crystal.testing.planted import ladder


def test_a_liquid_base_says_yes_and_a_solid_one_no() -> None:
    liquid = ladder(tasks=1, prompts=8, seed=1).tables(80)[0]
    test = liquid_test(liquid, 0, "context", Settings())
    assert test.yes is not None
    assert test.no is not None
    assert test.value is not None
    assert test.yes < 0.01 < 0.9 < test.no
    solid = liquid_test(liquid, 1, "context", Settings())
    assert solid.yes is not None
    assert solid.no is not None
    assert solid.no < 0.01 < 0.9 < solid.yes


def test_few_prompts_never_refute() -> None:
    table = ladder(tasks=1, prompts=5, seed=1).tables(60)[0]
    assert liquid_test(table, 1, "context", Settings()).no == 1.0


def test_exact_prompts_refute_however_few_they_are() -> None:
    table = ladder(tasks=1, prompts=2, seed=1).exact_tables()[0]
    assert (
        liquid_test(table, 1, "context", Settings()).yes,
        liquid_test(table, 1, "context", Settings()).no,
    ) == (1, 0)
    strict = Settings(margins=Margins(liquid=0.9))
    assert liquid_test(table, 0, "context", strict).no == 0.0
    assert liquid_test(table, 0, "context", Settings()).yes == 0.0


def test_one_prompt_has_no_promptability() -> None:
    table = ladder(tasks=1, prompts=2, seed=1).tables(60)[0]
    table.counts[0, 1] = 0
    test = liquid_test(table, 0, "context", Settings())
    assert not test.tested
    assert str(test.reason).startswith("prompts with at least 10 valid samples: 1")


def test_noise_alone_is_not_liquid() -> None:
    random = np.random.default_rng(3)
    p = random.dirichlet(np.ones(20))
    moved = [
        promptedness(Rows.sampled(random.multinomial(15, p, size=12).astype(np.int64)), 0, key).mean()
        for key in range(20)
    ]
    assert abs(float(np.mean(moved))) < 0.04
    plain = divergence_from_mean(proportions(random.multinomial(15, p, size=12))).mean()
    assert plain > 0.3


def test_divergences_from_the_mean_average_to_the_information() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(6), 5)
    assert divergence_from_mean(p).mean() == pytest.approx(float(js_information(p)), abs=1e-12)
    assert promptedness(Rows(p, None), 0, 0) == pytest.approx(divergence_from_mean(p))


def test_the_corrected_divergence_is_nearly_unbiased() -> None:
    random = np.random.default_rng(5)
    p, q = random.dirichlet(np.ones(10), 2)
    for other, n in ((p, 40), (q, 40), (q, 100)):
        counts = np.stack(
            [random.multinomial(n, p, size=400), random.multinomial(n, other, size=400)], axis=1
        )
        truth = float(js_divergence(p, other))
        pairs = np.array([pairwise_jsd(Rows.sampled(pair))[0, 1] for pair in counts])
        target = jsd_to_target(counts[:, :1], proportions(counts[:, 1]), float(n))[:, 0]
        plain = np.asarray(js_divergence(proportions(counts[:, 0]), proportions(counts[:, 1])))
        assert plain.mean() - truth > 0.02
        assert abs(pairs.mean() - truth) < 0.015
        assert abs(target.mean() - truth) < 0.025


def test_jackknife_by_leaving_each_sample_out() -> None:
    counts = np.array([[4, 2, 1, 0], [1, 0, 3, 2]])
    p = proportions(counts)
    plain = float(js_divergence(p[0], p[1]))
    corrected = plain
    for side in (0, 1):
        n, without = int(counts[side].sum()), 0.0
        for k in range(4):
            left = counts.copy()
            left[side, k] -= 1
            if counts[side, k]:
                q = proportions(left)
                without += counts[side, k] / n * float(js_divergence(q[0], q[1]))
        corrected += (n - 1) * (plain - without)
    assert pairwise_jsd(Rows.sampled(counts))[0, 1] == pytest.approx(corrected, abs=1e-12)


def test_smoothing_moves_no_row_far_and_leaves_no_zero() -> None:
    counts = np.array([[20, 0, 0], [0, 19, 0]])
    rows = smooth(counts)
    assert (rows > 0).all()
    assert rows.sum(axis=1) == pytest.approx([1, 1])
    assert np.abs(rows - proportions(counts)).max() <= 1 / 20
    exact = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert smooth(exact) == pytest.approx(exact, abs=1e-8)


def test_rows_leave_out_what_is_too_small_and_what_is_of_the_other_kind() -> None:
    table = ladder(tasks=1, prompts=3, options=4, seed=1).tables(30)[0]
    table.counts[0, 0] = [5, 4, 0, 0]
    rows, used = rows_of(table, 0, 10)
    assert used.tolist() == [False, True, True, True, True, True]
    assert rows.counts is not None
    assert rows.sizes.tolist() == [30.0] * 5
    table.probabilities[0, 1] = [0.4, 0.3, 0.1, 0.0]
    sampled, used = rows_of(table, 0, 10)
    assert used.tolist() == [False, False, True, True, True, True]
    assert not sampled.exact
    exact, _ = rows_of(ladder(tasks=1, prompts=3).exact_tables()[0], 0, 10)
    assert exact.exact
    assert exact.p.sum(axis=1) == pytest.approx(np.ones(6))


def test_halves_are_halves() -> None:
    counts = np.array([[7, 4, 0], [0, 3, 3]])
    first, second = halves(Rows.sampled(counts), 50, 1, 2)
    assert (first + second == counts).all()
    assert (np.abs(first.sum(axis=2) - second.sum(axis=2)) <= 1).all()
    exact = Rows(np.array([[0.5, 0.5]]), None)
    assert all((half == 0.5).all() for half in halves(exact, 3, 1, 2))


def test_silence_refutes_no_more_than_it_can_say() -> None:
    """A quarter of a second option under one prompt holds 0.1 bit, and ten samples miss it in 6 %."""
    p = np.zeros((8, 2))
    p[:, 0], p[0] = 1.0, (0.75, 0.25)
    assert float(js_information(p)) == pytest.approx(0.1, abs=0.003)
    for samples, chance in ((10, 0.75**10), (40, 2.0**-8)):
        table = ladder(tasks=1, prompts=8, options=2, seed=1).tables(samples)[0]
        table.counts[0] = (samples, 0)
        assert liquid_test(table, 0, "context", Settings()).no == pytest.approx(chance, rel=0.15)
