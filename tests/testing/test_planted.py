"""Planted ladders are what they say: their own exact distributions show the truth they claim."""

from __future__ import annotations

import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.phases.settings import Settings
from crystal.phases.transitions import compare, name
from crystal.samples import distribution_schema, sample_schema
from crystal.testing import planted


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=-1)


def promptability(p: np.ndarray) -> np.ndarray:
    """Of [tasks, C, prompts, K], per task and checkpoint."""
    return entropy(p.mean(axis=2)) - entropy(p).mean(axis=2)


def jsd(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


@pytest.mark.parametrize("kind", planted.KINDS)
@pytest.mark.parametrize(("prompts", "options"), [(2, 2), (3, 100), (12, 10), (30, 4)])
def test_every_kind_is_made_of_distributions(kind: str, prompts: int, options: int) -> None:
    if kind == "blend" and options == 2:
        pytest.skip("an average of two options is always one of them")
    truth = planted.ladder(kind, tasks=2, prompts=prompts, options=options)
    assert truth.probabilities.shape == (2, 4, 2 * prompts, options)
    assert (truth.probabilities >= 0).all()
    np.testing.assert_allclose(truth.probabilities.sum(axis=-1), 1, atol=1e-12)
    assert len(truth.verdicts) == 3


@pytest.mark.parametrize("kind", ["picture", "foreign", "blend", "sharpened", "escape"])
def test_finetuning_collapses_promptability(kind: str) -> None:
    fell = promptability(planted.ladder(kind, tasks=8).probabilities)
    assert (fell[:, 0] > 0.2).all()
    assert (fell[:, 1:] < 0.05).all()


@pytest.mark.parametrize("kind", ["frozen", "format", "small", "pretraining"])
def test_ladders_without_a_story_stay_where_they_are(kind: str) -> None:
    truth = planted.ladder(kind, tasks=8)
    p = truth.probabilities
    assert jsd(p[:, :-1], p[:, 1:]).mean(axis=2).max() < 0.01
    assert set(truth.verdicts) == {"FROZEN"}


def test_the_seed_is_one_of_the_base_and_the_foreigner_is_not() -> None:
    for kind, near in (("picture", True), ("foreign", False)):
        truth = planted.ladder(kind, tasks=8)
        base, tuned = truth.probabilities[:, 0], truth.probabilities[:, 1].mean(axis=1)
        nearest = jsd(base, tuned[:, None]).min(axis=1)
        assert ((nearest < 0.01) == near).all()


def test_settling_stays_inside_and_escape_leaves() -> None:
    for kind, stays in (("picture", True), ("escape", False)):
        p = planted.ladder(kind, tasks=8).probabilities.mean(axis=2)
        for task in p:
            order = np.argsort(-task[1])
            inside = order[: int(np.searchsorted(np.cumsum(task[1][order]), 0.9)) + 1]
            assert (task[3][inside].sum() > task[1][inside].sum() - 0.1) == stays


def test_only_the_first_family_moves() -> None:
    p = planted.ladder("one_family", tasks=4, prompts=5).probabilities
    np.testing.assert_array_equal(p[:, 0, 5:], p[:, 3, 5:])
    assert jsd(p[:, 0, :5], p[:, 1, :5]).mean() > 0.1


def test_draws_are_functions_of_seed_and_number() -> None:
    first = planted.ladder("format", tasks=2, seed=5)
    again = planted.ladder("format", tasks=2, seed=5)
    one, same, other = first.tables(40), again.tables(40), first.tables(40, draw=1)
    np.testing.assert_array_equal(one[1].counts, same[1].counts)
    assert (one[1].counts != other[1].counts).any()
    totals = one[0].counts.sum(axis=2) + one[0].invalid
    assert (totals == 40).all()
    assert one[0].invalid[3].sum() > one[0].invalid[0].sum()


def test_sample_rows_hold_the_counts() -> None:
    truth = planted.ladder("format", tasks=2, prompts=3, options=4)
    tables, rows = truth.tables(30), truth.samples(30)
    rows.validate(full=True)
    assert rows.schema.equals(sample_schema(), check_metadata=True)
    assert rows.num_rows == 2 * 4 * 6 * 30
    assert rows["answer"].null_count == sum(int(table.invalid.sum()) for table in tables)
    assert rows["text"].null_count == rows.num_rows - rows["answer"].null_count
    frame = rows.select(["task", "checkpoint", "prompt", "answer"]).to_pylist()
    want = tables[1].counts[2, 4, 1]
    got = sum(
        row["task"] == "task-01"
        and row["checkpoint"] == truth.checkpoints[2].name
        and row["prompt"] == truth.prompts[4].prompt
        and row["answer"] == truth.options[1]
        for row in frame
    )
    assert got == want


def test_exact_rows_and_tables_are_the_truth() -> None:
    truth = planted.ladder("picture", tasks=2, prompts=3, options=4)
    rows = truth.distributions()
    rows.validate(full=True)
    assert rows.schema.equals(distribution_schema(), check_metadata=True)
    np.testing.assert_array_equal(rows["probability"].to_numpy(), truth.probabilities.ravel())
    table = truth.exact_tables()[1]
    assert table.exact.all()
    np.testing.assert_array_equal(table.family("persona").probabilities, truth.probabilities[1][:, 3:])


@pytest.mark.parametrize(("prompts", "options"), [(2, 2), (3, 3), (30, 5), (4, 100)])
def test_small_and_large_stories_are_told(prompts: int, options: int) -> None:
    """Plain quantities at the extremes of size, with no rule under test between them and the truth."""
    own = slice(prompts)
    for kind in planted.KINDS:
        if kind == "blend" and options < 4:
            continue
        truth = planted.ladder(kind, tasks=3, prompts=prompts, options=options, seed=prompts)
        p = truth.probabilities[:, :, own]
        liquid = promptability(p)
        assert (liquid[:, 0] > 0.1).all()
        for step, verdict in enumerate(truth.verdicts):
            apart = jsd(p[:, step], p[:, step + 1]).mean(axis=1)
            assert (apart < 0.01).all() if verdict == "FROZEN" else (apart > 0.01).all()
            fell = liquid[:, step + 1] < liquid[:, step] / 2
            assert fell.all() if "NUCLEATION" in verdict and step != 2 else True
        if kind == "foreign":
            nearest = jsd(truth.probabilities[:, 0], p[:, 1].mean(axis=1)[:, None]).min(axis=1)
            assert (nearest > 0.05).all()


@pytest.mark.parametrize(("prompts", "options"), [(5, 2), (6, 5), (3, 60)])
@pytest.mark.parametrize("kind", planted.KINDS)
def test_exact_distributions_get_the_planted_verdicts(kind: str, prompts: int, options: int) -> None:
    """Judged without noise, no step is called what it is not, and most are called what they are."""
    if kind == "blend" and options == 2:
        pytest.skip("an average of two options is always one of them")
    truth = planted.ladder(kind, tasks=2, prompts=prompts, options=options, seed=options)
    settings = Settings()
    right = 0
    for table in truth.exact_tables():
        for step, planted_verdict in enumerate(truth.verdicts):
            verdict, _, _ = name(compare(table, step, step + 1, settings, "context"), None, settings)
            assert verdict in {planted_verdict, "UNDETERMINED"}
            right += verdict == planted_verdict
    assert right >= 5


@pytest.mark.parametrize("samples", [5, 5_000])
def test_few_and_many_samples_are_drawn(samples: int) -> None:
    table = planted.ladder("format", tasks=1, prompts=2, options=100).tables(samples)[0]
    assert ((table.counts.sum(axis=2) + table.invalid) == samples).all()


def test_settling_needs_options_to_settle_among() -> None:
    assert planted.ladder("foreign", tasks=1, prompts=2, options=3).verdicts[1:] == ("FROZEN", "FROZEN")
    assert planted.ladder("escape", tasks=1, prompts=2, options=2).verdicts[1:] == ("FROZEN", "RENUCLEATION")
    assert planted.ladder("escape", tasks=1, prompts=2, options=3).verdicts[1] == "SETTLING"


def test_a_story_without_room_is_refused() -> None:
    with pytest.raises(SettingsError, match="no room for the story 'blend'"):
        planted.ladder("blend", tasks=1, prompts=2, options=3)
    with pytest.raises(SettingsError, match="options: over 2 options an average of many"):
        planted.ladder("blend", tasks=1, options=2)
    with pytest.raises(SettingsError, match="prompts: of 2 prompts each has half of the weight"):
        planted.ladder("blend", tasks=1, prompts=2, options=10, families=("context",))


def test_a_ladder_without_sft_has_none_and_the_cooled_seed_is_a_seed() -> None:
    straight = planted.ladder("no_sft", tasks=1, prompts=2)
    assert [rung.stage for rung in straight.checkpoints] == ["base", "rl", "rl", "rl"]
    assert straight.picture_holds is False
    assert planted.ladder("sharpened", tasks=1, prompts=2).picture_holds is True


@pytest.mark.parametrize("bad", [{"kind": "gas"}, {"tasks": 0}, {"prompts": 1}, {"options": 1}])
def test_bad_sizes_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        planted.ladder(**bad)  # type: ignore[arg-type]
