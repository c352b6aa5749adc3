import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import SettingsError
from crystal.ops.resampling import permutation_test
from crystal.statistics import large_samples
from crystal.statistics import retention as module
from crystal.statistics.retention import (
    leave_one_out_retention,
    retained_options,
    retention_change,
    retention_exact,
)
from crystal.statistics.smoothing import smoothed_groups


def by_hand(before: list[int], after: list[int], mass: float) -> tuple[float, float]:
    """Sample by sample, set by set, as the definition says."""
    n, q = sum(before), np.array(after) / sum(after)
    kept, own = [], []
    for option in np.repeat(np.arange(len(before)), before):
        rest = list(before)
        rest[option] -= 1
        held, inside, level = 0, np.zeros(len(before), dtype=bool), None
        for other in sorted(range(len(rest)), key=lambda k: -rest[k]):
            if held < mass * (n - 1) - 1e-9 or rest[other] == level:
                inside[other] = True
                held += rest[other]
                level = rest[other]
            else:
                break
        kept.append(float(q[inside].sum()))
        own.append(float(inside[option]))
    return float(np.mean(kept)), float(np.mean(own))


rows = st.integers(1, 7).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 9), min_size=k, max_size=k)] * 2)
)


@given(rows, st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
@settings(max_examples=150, deadline=None)
def test_leave_one_out_is_the_definition(case: tuple[list[int], list[int]], mass: float) -> None:
    before, after = case
    before[0] += 2
    after[-1] += 1
    kept, own = leave_one_out_retention(np.array(before), np.array(after), mass)
    assert (float(kept), float(own)) == pytest.approx(by_hand(before, after, mass), abs=1e-12)


def test_value_is_the_permutation_tests_statistic() -> None:
    rng = np.random.default_rng(1)
    counts = rng.multinomial(30, rng.dirichlet(np.ones(8)), size=(3, 2))
    change = retention_change(counts[:, 0], counts[:, 1])
    assert change.value == pytest.approx(-permutation_test(counts, "retention", draws=1).observed, abs=1e-9)


def test_ties_at_the_edge_are_all_in() -> None:
    np.testing.assert_array_equal(retained_options([5, 3, 1, 1, 0]), [True, True, True, True, False])
    np.testing.assert_array_equal(retained_options([9, 1, 0]), [True, False, False])
    np.testing.assert_array_equal(retained_options([0.9, 0.1]), [True, False])
    # A third is a third, however it was rounded.
    np.testing.assert_array_equal(retained_options([1 / 3, 1 - 2 / 3, 1 / 3], 0.5), [True] * 3)
    assert not retained_options([0.0, 0.0]).any()


def test_exact_by_hand() -> None:
    before, after = [[0.6, 0.35, 0.05], [1.0, 0.0, 0.0]], [[0.5, 0.1, 0.4], [0.8, 0.2, 0.0]]
    estimate = retention_exact(before, after)
    assert estimate.value == pytest.approx(((0.6 - 0.95) + (0.8 - 1.0)) / 2)
    assert estimate.exact
    assert estimate.low == estimate.high == estimate.value


def test_moves_within_the_set_are_no_escape() -> None:
    before, swapped, gone = [[30, 20, 0, 0]], [[20, 30, 0, 0]], [[5, 5, 20, 20]]
    assert retention_change(before, swapped).low > -0.1
    assert retention_change(before, gone).high < -0.5
    concentrated = retention_change([[20, 10, 5, 3, 2]], [[40, 0, 0, 0, 0]])
    assert concentrated.value > 0


def test_what_cannot_be_said() -> None:
    assert retention_change([[1, 0]], [[5, 5]]).reason == "fewer than 2 valid samples"
    assert retention_change([[5, 0]], [[0, 0]]).value is None
    with pytest.raises(SettingsError, match="share"):
        retention_change([[5, 0]], [[1, 0]], mass=0.0)
    with pytest.raises(SettingsError, match="same prompts"):
        retention_change([[5, 0]], [[1, 0, 0]])


@pytest.mark.parametrize(
    ("options", "size", "prompts", "mix"),
    [(10, 20, 1, 0.3), (30, 50, 1, 1.0), (10, 50, 5, 0.3), (10, 20, 1, 0.0)],
)
def test_coverage_of_the_expected_change(options: int, size: int, prompts: int, mix: float) -> None:
    """The truth is the mean over sets that n - 1 samples give; Newcombe's limits alone cover 60 to 90 %."""
    rng = np.random.default_rng(options + size + prompts)
    covered = 0
    for _ in range(6):
        p = rng.dirichlet(np.full(options, 0.6), size=prompts)
        q = (1 - mix) * p + mix * rng.dirichlet(np.full(options, 0.6), size=prompts)
        sets = retained_options(np.stack([rng.multinomial(size - 1, row, size=3_000) for row in p], axis=1))
        truth = float((sets * (q - p)).sum(axis=-1).mean())
        for index in range(25):
            before, after = (np.stack([rng.multinomial(size, row) for row in rows]) for rows in (p, q))
            change = retention_change(before, after, draws=200, key=index)
            covered += change.low <= truth <= change.high
    assert covered >= 136


def test_a_set_that_may_flip_nearby_widens_the_interval() -> None:
    # 43 of 50 need both options for 0.9 of the mass; two more on the first, and one is enough.
    sure = retention_change([[38, 12]], [[30, 20]])
    near = retention_change([[43, 7]], [[30, 20]])
    assert near.low < sure.low - 0.02
    assert near.low < -0.1


def test_exact_checkpoints_of_many_prompts_are_not_too_many_samples() -> None:
    exact = np.tile([[1 << 19, 1 << 18, 1 << 18]], (20, 1))
    sampled = np.tile([[10, 6, 4]], (20, 1))
    found = retention_change(exact, sampled, draws=20)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("options", [3, 12])
def test_spread_of_many_samples_is_that_of_drawing_both_sides(
    options: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(options)
    p = random.dirichlet(np.full(options, 0.5), (2, 5))
    before, after = random.multinomial(500, p).astype(np.int64)
    rows, sizes = smoothed_groups(np.stack([before, after], axis=1)), np.full(5, 500)
    known = module._spread(rows, sizes, sizes, 0.9, 4_000, 0, 0, 1)
    monkeypatch.setattr(large_samples, "enough", lambda *_: False)
    drawn = module._spread(rows, sizes, sizes, 0.9, 4_000, 0, 1, 1)
    assert known == pytest.approx(drawn, rel=0.06)


def test_a_set_is_sure_where_no_data_set_has_another() -> None:
    p = np.array([[0.5, 0.3, 0.16, 0.04], [0.5, 0.3, 0.11, 0.09], [0.62, 0.36, 0.01, 0.01], [0.25] * 4])
    inside, sure = module._sure_sets(p, np.full(4, 2_000), 0.9)
    assert sure.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(inside[sure], retained_options(p[sure]))
    random = np.random.default_rng(0)
    for row, kept in zip(p[sure], inside[sure], strict=True):
        found = retained_options(random.multinomial(2_000, row, size=2_000))
        assert (found == kept).all()


def test_a_set_that_holds_a_hair_more_than_everything_has_no_spread() -> None:
    rows = np.array([[[0.6, np.nextafter(0.4, 1.0)]] * 2])
    rows[..., 0] = np.nextafter(0.6, 1.0)
    assert rows.sum(axis=-1).max() > 1.0
    sizes = np.array([1_000])
    assert module._known_spread(rows, sizes, sizes, 0.9, 20, 0, 0, 1) == 0.0
