import itertools
from typing import Any

import numpy as np
import pytest

from crystal.statistics import cut_places, gradual
from crystal.statistics.cut_places import CutLadder
from crystal.statistics.ramps import ramp_fits, ramps_through, step_fits
from crystal.statistics.segmentation import find_transitions
from crystal.testing.planted_long import long_ladder

SIZES = {"tasks": 2, "prompts": 2, "options": 5}


def test_cuts_are_found_where_they_are() -> None:
    for cuts in ((9,), (6, 14), (5, 10, 15)):
        truth = long_ladder("cuts", rungs=20, changes=cuts, size=0.7, **SIZES)
        found = find_transitions(truth.counts(60), permutations=9_999)
        assert found is not None
        assert tuple(change.position for change in found.transitions) == cuts
        assert found.p < 0.01
        assert found.order_p is not None
        assert found.order_p < 0.05
        for change in found.transitions:
            assert change.p < 0.05
            assert change.low <= change.position <= change.high
            assert change.position in change.cuts
            assert change.high - change.low <= 2
            assert not change.gradual


def test_a_drift_is_one_gradual_transition() -> None:
    for spacing in ("log", "even"):
        truth = long_ladder("drift", rungs=16, spacing=spacing, tasks=3, prompts=3, options=5, seed=2)
        found = find_transitions(truth.counts(60))
        assert found is not None
        assert any(change.gradual and change.high - change.low >= 5 for change in found.transitions)


def test_nothing_changes() -> None:
    found = [
        find_transitions(long_ladder("flat", rungs=8, seed=seed, **SIZES).counts(20), key=seed)
        for seed in range(60)
    ]
    p = np.array([one.p for one in found if one])
    assert len(p) == 60
    assert (p <= 0.05).mean() <= 0.15
    assert p.mean() > 0.4
    for one in found:
        assert one is not None
        assert bool(one.transitions) == (one.p <= 0.05)


def test_position_sets_cover() -> None:
    covered = 0
    for seed in range(40):
        truth = long_ladder("cuts", rungs=10, changes=(4,), size=0.5, seed=seed, **SIZES)
        found = find_transitions(truth.counts(15), permutations=999, simulations=100, key=seed)
        assert found is not None
        covered += not found.transitions or any(4 in change.cuts for change in found.transitions)
    assert covered >= 36


def test_a_perfect_separation_is_a_cut() -> None:
    found = find_transitions([[[40, 0], [40, 0], [0, 40], [0, 40]]])
    assert found is not None
    (change,) = found.transitions
    assert (change.position, change.cuts, change.gradual) == (2, (2,), False)
    assert found.order_p is None


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(threads: int) -> None:
    counts = long_ladder("cuts", rungs=12, **SIZES).counts(20)
    assert find_transitions(counts, key=4, threads=threads) == find_transitions(counts, key=4)


def test_edges() -> None:
    assert find_transitions([[[5, 5]]]) is None
    assert find_transitions([[[0, 0], [0, 0]]]) is None
    two = find_transitions([[[50, 1], [1, 50]]])
    assert two is not None
    assert [change.cuts for change in two.transitions] == [(1,)]
    assert two.transitions[0].gradual_p is None
    empty = find_transitions([[[50, 1], [0, 0], [1, 50], [1, 50]]])
    assert empty is not None
    assert empty.transitions[0].low <= 2


def test_fits_are_pearsons_statistic() -> None:
    counts = np.random.default_rng(3).integers(1, 20, size=(2, 5, 3))
    ramps = ramps_through(5, 2, 3)
    fits = ramp_fits(counts, ramps)
    for t in range(1, 5):
        expected = 0.0
        for block in counts:
            table = np.stack([block[:t].sum(axis=0), block[t:].sum(axis=0)]).astype(float)
            margins = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
            expected += float(((table - margins) ** 2 / margins).sum())
        assert fits[t - 1] == pytest.approx(expected)
        assert step_fits(counts, [t]) == pytest.approx(expected)
    spans = list(zip(ramps.first[4:].tolist(), ramps.last[4:].tolist(), strict=True))
    assert spans == [(2, 3), (1, 3), (2, 4), (1, 4)]
    ramp = ramps.shapes[spans.index((1, 3)) + 4]
    np.testing.assert_allclose(ramp, [0, 1 / 3, 2 / 3, 1, 1])
    line = counts.astype(float)
    scores = np.array([0, 1, 2, 3, 3.0])
    total = 0.0
    for block in line:
        w = scores - (block.sum(axis=1) @ scores) / block.sum()
        share = block.sum(axis=0) / block.sum()
        total += float(((w @ block) ** 2 / share).sum() / (w**2 @ block.sum(axis=1)))
    assert fits[spans.index((1, 3)) + 4] == pytest.approx(total)
    many = ramp_fits(np.stack([counts, counts[::-1]]), ramps)
    np.testing.assert_allclose(many, [fits, fits])


def test_every_interval_holds_a_true_change() -> None:
    """The promise for a ladder with two cuts: at most alpha of ladders have an interval without one."""
    false = 0
    for seed in range(60):
        truth = long_ladder("cuts", rungs=15, changes=(5, 10), size=0.5, seed=seed, **SIZES)
        found = find_transitions(truth.counts(10), permutations=999, simulations=100, key=seed)
        assert found is not None
        false += any(not {5, 10} & set(range(one.low, one.high + 1)) for one in found.transitions)
    assert false <= 8


def test_a_stricter_level_never_narrows_a_position_set() -> None:
    ladder = CutLadder(long_ladder("cuts", rungs=12, size=0.4, **SIZES).counts(10), 200, 0, 0, 1)
    cut = ladder.best(0, 12)
    sets = [set(ladder.places(0, 12, cut, level)) for level in (0.5, 0.1, 0.025, 0.001)]
    assert cut in sets[0]
    for narrow, wide in itertools.pairwise(sets):
        assert narrow <= wide


def test_places_without_a_doubt_need_no_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    p = random.dirichlet(np.ones(6), (10, 3))
    for cuts, sure in (([0, 0, 0, 1, 1, 1], True), ([0, 0, 0, 1, 1, 2], True)):
        counts = random.multinomial(2_000, p[:, cuts]).astype(np.int64)
        ladder = CutLadder(counts, 400, 0, 0, 1)
        with monkeypatch.context() as patch:
            patch.setattr(cut_places, "_never_lacks", lambda *_: False)
            drawn = CutLadder(counts, 400, 0, 0, 1).places(0, 6, 3, 0.025)
        assert cut_places._never_lacks(counts, [3]) is sure
        assert ladder.places(0, 6, 3, 0.025) == drawn == (3,)
    few = random.multinomial(20, p[:, [0, 0, 0, 1, 1, 1]]).astype(np.int64)
    assert not cut_places._never_lacks(few, [3])


def without_first_draws(patch: pytest.MonkeyPatch) -> None:
    """Make every simulation as long as it was asked to be."""
    patch.setattr(cut_places, "_SURE", np.inf)
    patch.setattr(gradual, "_SURE", np.inf)


@pytest.mark.parametrize("kind", ["cuts", "drift"])
@pytest.mark.parametrize(("prompts", "samples"), [(2, 20), (12, 50)])
def test_first_draws_say_what_all_say(
    kind: Any, prompts: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"tasks": 2, "prompts": prompts, "options": 5}
    for seed in range(3):
        counts = long_ladder(kind, rungs=16, size=0.8, seed=seed, **sizes).counts(samples)
        found = find_transitions(counts, key=seed)
        with monkeypatch.context() as patch:
            without_first_draws(patch)
            assert find_transitions(counts, key=seed) == found


def test_first_draws_end_what_they_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    simulated = cut_places.simulate_cut_g

    def counted(*args: Any, draws: int, **kwargs: Any) -> Any:
        made.append(draws)
        return simulated(*args, draws=draws, **kwargs)

    monkeypatch.setattr(cut_places, "simulate_cut_g", counted)
    monkeypatch.setattr(cut_places, "_never_lacks", lambda *_: False)
    random = np.random.default_rng(3)
    p = random.dirichlet(np.ones(6), (10, 2))
    for samples, expected in ((100, {60}), (3, {60, 400})):
        made.clear()
        counts = random.multinomial(samples, p[:, [0, 0, 0, 1, 1, 1]]).astype(np.int64)
        CutLadder(counts, 400, 0, 0, 1).places(0, 6, 3, 0.025)
        assert set(made) == expected
