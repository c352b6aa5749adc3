"""Two models with the same seed share it, others do not, and who has none is said to have none."""

from __future__ import annotations

import dataclasses
import itertools

import msgspec
import numpy as np
import pytest

import crystal
from crystal.errors import InputError, LadderError
from crystal.phases.compare_results import Comparison
from crystal.phases.likeness import likeness
from crystal.phases.likeness_needs import CHANCE
from crystal.phases.renaming import Pair, rename
from crystal.phases.settings import Settings
from crystal.statistics.divergence import js_divergence
from crystal.testing.planted_pairs import pair

QUICK = Settings(draws=999, interval_draws=200)
SIZES: dict[str, int] = {"tasks": 6, "prompts": 6, "options": 8}


def measured(kind: str, samples: int | None = None, seed: int = 0) -> tuple[crystal.Measurement, ...]:
    models = pair(kind, seed=seed, **SIZES)  # type: ignore[arg-type]
    return tuple(
        crystal.measure(model.distributions() if samples is None else model.samples(samples))
        for model in models
    )


@pytest.mark.parametrize("samples", [None, 200])
def test_planted_pairs_are_told_apart(samples: int | None) -> None:
    same = crystal.compare(*measured("same", samples), settings=QUICK)
    assert same.tuned.shared >= 5
    assert same.tuned.different == same.seeds.different == 0
    assert same.seeds.shared >= 4
    assert same.tuned.p is not None
    assert same.tuned.p < 0.01
    assert same.tuned.other_tasks_p is not None
    assert same.tuned.other_tasks_p < 0.05
    assert (same.a.ladder, same.a.base, same.a.tuned) == ("model-a", "base-0", "sft-1000")

    different = crystal.compare(*measured("different", samples), settings=QUICK)
    assert different.tuned.shared <= 1
    assert different.tuned.different >= 4
    assert different.tuned.p is not None
    assert different.tuned.p > 0.01

    seedless = crystal.compare(*measured("one_seedless", samples), settings=QUICK)
    assert seedless.seeds.tasks == 0
    assert seedless.seeds.undetermined == 6
    for task in seedless.tasks.values():
        assert task.kinds[1] in {"none", "undetermined"}
        assert task.seeds[1] is None
        assert task.seed.reason is not None
        assert "model-b has no seed" in task.seed.reason


def test_twenty_samples_never_give_a_wrong_verdict() -> None:
    for seed in range(3):
        same = crystal.compare(*measured("same", 20, seed), settings=QUICK)
        assert same.tuned.different == same.seeds.different == 0
        for task in same.tasks.values():
            for one in (task.tuned, task.seed):
                if one.verdict == "UNDETERMINED" and one.jsd is not None:
                    assert one.needs_samples is not None or one.needs_reason


def test_what_a_comparison_says_is_consistent() -> None:
    result = crystal.compare(*measured("different", 60), settings=QUICK)
    for task in result.tasks.values():
        one = task.tuned
        assert one.low is not None
        assert one.jsd is not None
        assert one.high is not None
        assert one.low <= one.jsd <= one.high
        assert one.q is not None
        assert one.p is not None
        assert one.q >= one.p
        assert one.n == 12 * 60
        assert task.families == ["context", "persona"]
        assert task.shared_prompts == 12
    assert Comparison.from_json(result.to_json()).to_json() == result.to_json()
    assert Comparison.schema()["title"] == "crystal comparison"


def test_sides_can_be_swapped_and_threads_change_nothing() -> None:
    a, b = measured("same", 40)
    one, other = crystal.compare(a, b, settings=QUICK), crystal.compare(b, a, settings=QUICK)
    for task in one.tasks:
        assert one.tasks[task].tuned.jsd == pytest.approx(other.tasks[task].tuned.jsd, abs=1e-9)
        assert one.tasks[task].seeds == other.tasks[task].seeds[::-1]
    threads = crystal.compare(a, b, settings=msgspec.structs.replace(QUICK, threads=2))
    assert (
        threads.to_json()
        == crystal.compare(a, b, settings=msgspec.structs.replace(QUICK, threads=1)).to_json()
    )


def test_one_side_exact() -> None:
    exact, _ = measured("same")
    _, sampled = measured("same", 200)
    result = crystal.compare(exact, sampled, settings=QUICK)
    assert result.tuned.shared >= 5
    assert not result.tasks["task-00"].tuned.exact


def test_one_measurement_with_both_ladders() -> None:
    a, b = measured("same")
    both = a.empty()
    both.merge(a)
    both.merge(b)
    for result in (
        crystal.compare(both, settings=QUICK),
        crystal.compare(both, ladders=("model-a", "model-b"), settings=QUICK),
        crystal.compare(both, b, ladders=("model-a", None), settings=QUICK),
    ):
        assert (result.a.ladder, result.b.ladder) == ("model-a", "model-b")
        assert result.tuned.shared == 6
    with pytest.raises(LadderError, match="itself"):
        crystal.compare(both, ladders=("model-a", "model-a"))
    with pytest.raises(LadderError, match="itself"):
        crystal.compare(a, a)
    with pytest.raises(LadderError, match="which ladder"):
        crystal.compare(both, b)
    with pytest.raises(LadderError, match="no such ladder"):
        crystal.compare(a, b, ladders=("model-c", None))


def test_no_common_task() -> None:
    one, other = pair("same", **SIZES)
    elsewhere = dataclasses.replace(other, tasks=tuple(f"other-{task}" for task in other.tasks))
    with pytest.raises(InputError, match="no task in common"):
        crystal.compare(*(crystal.measure(model.distributions()) for model in (one, elsewhere)))


def test_renamings_are_all_renamings() -> None:
    p = np.array([[[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]])
    found = rename(Pair("task", ("a", "b", "c"), p), QUICK, 0)
    expected = [js_divergence(p[0, 0], p[0, 1][list(names)]) for names in itertools.permutations(range(3))]
    np.testing.assert_allclose(found.renamed, expected, atol=1e-11)
    assert found.names.complete
    result, _ = likeness(Pair("task", ("a", "b", "c"), p), QUICK, 0)
    assert result.control == pytest.approx((sum(expected) - expected[0]) / 5)
    assert result.control_p == pytest.approx(np.mean(np.array(expected) <= expected[0] + 1e-12))


def test_flat_distributions_and_single_options_are_undetermined() -> None:
    flat, _ = likeness(Pair("task", tuple("abcd"), np.full((1, 2, 4), 0.25)), QUICK, 0)
    assert flat.verdict == "UNDETERMINED"
    assert flat.reason is not None
    assert "evenly" in flat.reason
    single, renamed = likeness(Pair("task", ("a",), np.ones((1, 2, 1))), QUICK, 0)
    assert (single.verdict, renamed) == ("UNDETERMINED", None)


def test_few_options_alone_never_beat_chance() -> None:
    p = np.array([[[0.7, 0.2, 0.1], [0.69, 0.21, 0.1]]])
    near, _ = likeness(Pair("task", ("a", "b", "c"), p), QUICK, 0)
    assert near.jsd is not None
    assert near.margin is not None
    assert (near.verdict, near.reason) == ("UNDETERMINED", CHANCE)
    assert near.jsd < near.margin / 10
    counts, _ = likeness(Pair("task", ("a", "b", "c"), np.rint(p * 40).astype(np.int64)), QUICK, 0)
    assert (counts.verdict, counts.needs_samples) == ("UNDETERMINED", None)


def test_independent_models_are_rarely_shared() -> None:
    rng = np.random.default_rng(0)
    verdicts = [
        likeness(Pair("task", tuple("abcdefgh"), rng.dirichlet(np.ones(8) * 0.6, size=(1, 2))), QUICK, key)[0]
        for key in range(200)
    ]
    assert np.mean([one.verdict == "SHARED" for one in verdicts]) <= 0.05
    p = np.array([one.control_p for one in verdicts])
    assert (p <= 0.05).mean() <= 0.1
    assert p.mean() == pytest.approx(0.5, abs=0.08)
