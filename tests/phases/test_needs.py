"""What would settle a transition: sizes that are honest at both ends, and reasons where there are none."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from crystal.phases.needs import FACTORS, Needs, best_size, needs
from crystal.phases.outlook import Outlook, at_information
from crystal.phases.settings import Settings
from crystal.phases.sides import side, usable
from crystal.phases.transitions import compare, conclude
from crystal.phases.verdict import Limits
from crystal.statistics.divergence import js_information
from crystal.testing import planted

QUICK = Settings(draws=199, interval_draws=100, simulations=100)


def test_path_reaches_the_information_it_is_asked_for() -> None:
    fit = np.random.default_rng(0).dirichlet(np.full(5, 2.0), size=(3, 2))
    for target in (0.0, 0.001, 0.05, 0.4):
        assert float(js_information(at_information(fit, target)).mean()) == pytest.approx(target, abs=1e-6)


def test_a_size_is_chosen_by_what_it_decides_and_what_a_third_of_it_does() -> None:
    steep = np.repeat([0.1, 0.9], [14, 17])
    assert (best_size(steep), best_size(steep, two=True)) == (15, 14)
    assert "not known well enough" in str(best_size(np.full(31, 0.75)))
    assert best_size(np.linspace(0.0, 0.65, 31)) == "not within 100 times the samples"
    # Two options ask for a larger share, and for a smaller one at a third of the size.
    assert best_size(np.linspace(0.0, 0.8, 31), two=True) == "not within 100 times the samples"
    slow = np.linspace(0.5, 0.95, 31)
    assert "not known well enough" in str(best_size(slow, two=True))


def test_effects_of_two_options_may_lie_about_their_margins() -> None:
    """With two options truths are drawn twice as widely, and none is taken to be exactly 0."""
    shown = []
    noise = np.random.default_rng(0).standard_normal(4_000)
    for options in (2, 3):
        story = planted.ladder("frozen", tasks=1, prompts=3, options=options, families=("context",), seed=1)
        known = compare(story.tables(30)[0], 0, 1, QUICK)
        assert known.sides is not None
        counts = np.stack([side.counts for side in known.sides], axis=1)
        outlook = Outlook(counts, 0.015, known.evidence, 0.05, QUICK, 5)
        drawn = outlook._draw(Limits(0.0, 0.04, 0.02), noise)
        shown.append((round(float(drawn.std()), 3), outlook.law.zero[0] > 0))
    assert shown == [(0.008, False), (0.004, True)]


def test_a_divergence_near_its_margin_is_no_safe_promise() -> None:
    """A coin's divergence is estimated near its margin: the truth may be on either side of it."""
    counts = np.array([[[22, 18], [30, 10]], [[24, 16], [33, 7]], [[20, 20], [34, 6]]])
    close, far = Limits(0.002, 0.05, 0.017), Limits(0.08, 0.16, 0.12)
    story = planted.ladder("frozen", tasks=1, prompts=3, options=2, families=("context",), seed=1)
    evidence = replace(
        compare(story.tables(40)[0], 0, 1, QUICK).evidence,
        promptability_from=Limits(0.0, 0.01, 0.002),
        promptability_change=Limits(-0.01, 0.01, 0.0),
        halved=Limits(-0.01, 0.01, 0.001),
        entropy_change=Limits(-0.2, 0.0, -0.1),
        retention_change=Limits(0.0, 0.0, 0.0),
    )
    most = []
    for jsd in (close, far):
        outlook = Outlook(counts, jsd.value or 0.0, replace(evidence, jsd=jsd), 0.05, QUICK, 5)
        most.append(float(outlook.shares(FACTORS).decided.max()))
    assert 0.5 < most[0] < 0.9
    assert most[1] > 0.98


@pytest.mark.parametrize("kind", ["frozen", "picture"])
def test_the_outlook_sees_what_larger_data_sets_show(kind: str) -> None:
    """Shares decided rise with the size, from nearly none to nearly all, as those of drawn data do."""
    truth = planted.ladder(kind, tasks=1, prompts=4, options=4, families=("context",), seed=8)
    known = compare(truth.tables(60)[0], 1, 2, QUICK)
    assert known.sides is not None
    counts = np.stack([side.counts for side in known.sides], axis=1)
    jsd = known.metrics["jsd"].value
    assert jsd is not None
    outlook = Outlook(counts, jsd, known.evidence, 0.05, QUICK, 5)
    assert outlook.look_ahead(known.analyse)
    decided, collapsed = outlook.shares(FACTORS)
    assert decided.shape == collapsed.shape == FACTORS.shape
    assert (decided >= collapsed).all()
    assert decided[0] < 0.2
    assert decided[-1] > 0.8


def test_what_may_be_nothing_or_much_is_no_ground_for_a_plan() -> None:
    truth = planted.ladder("frozen", tasks=1, prompts=3, options=2, families=("context",), seed=1)
    known = compare(truth.tables(10)[0], 0, 1, QUICK)
    assert known.sides is not None
    limits = known.evidence.jsd._replace(low=0.0, high=0.2, value=0.0)
    evidence = replace(known.evidence, jsd=limits)
    assert "no divergence or a large one" in str(needs(known.sides, 0.0, evidence, 0.05, QUICK, 3).reason)


def test_an_exact_side_stays_as_it_is() -> None:
    counts = np.array([[[1 << 19, 1 << 19], [30, 10]], [[1 << 20, 0], [25, 15]]])
    known = compare(
        planted.ladder("frozen", tasks=1, prompts=2, options=2, families=("context",)).tables(40)[0],
        0,
        1,
        QUICK,
    )
    outlook = Outlook(counts, 0.1, known.evidence, 0.05, QUICK, 0)
    assert outlook.there == 40
    assert outlook.at(2.0).tolist() == [[1 << 20, 80], [1 << 20, 80]]


def _needs(samples: int, kind: str = "frozen", level: float = 0.05) -> Needs:
    table = planted.ladder(kind, tasks=1, prompts=3, options=4, families=("context",), seed=5).tables(
        samples
    )[0]
    known = compare(table, 0, 1, QUICK)
    assert known.sides is not None
    return needs(known.sides, known.metrics["jsd"].value, known.evidence, level, QUICK, 3)


def test_promised_samples_do_decide() -> None:
    """A frozen pair at 30 samples: at the size that is named, most fresh data sets are FROZEN."""
    need = _needs(30)
    assert need.samples is not None
    assert 30 < need.samples <= FACTORS[-1] * 31
    truth = planted.ladder("frozen", tasks=12, prompts=3, options=4, families=("context",), seed=6)
    margin = QUICK.margins.jsd
    at_size = [compare(table, 0, 1, QUICK).evidence.jsd.below(margin) for table in truth.tables(need.samples)]
    too_few = [compare(table, 0, 1, QUICK).evidence.jsd.below(margin) for table in truth.tables(30)]
    assert sum(bool(shown) for shown in at_size) >= 8
    assert sum(bool(shown) for shown in too_few) <= 3


def test_more_of_what_is_there_is_asked_for_where_less_is_there() -> None:
    few, many = _needs(30).samples, _needs(300).samples
    assert few is not None
    assert many is not None
    assert 0.2 < many / few < 5


def test_reasons_stand_where_no_number_can() -> None:
    table = planted.ladder("frozen", tasks=1, prompts=3, options=4, families=("context",)).tables(30)[0]
    known = compare(table, 0, 1, QUICK)
    assert known.sides is not None
    args = (known.evidence, 0.05, QUICK, 0)
    one = replace(known.evidence, prompts=1)
    assert needs(known.sides, 0.1, one, 0.05, QUICK, 0).prompts == 2
    assert "not known" in str(needs(known.sides, None, *args).reason)
    exact = planted.ladder("frozen", tasks=1, prompts=3, options=4, families=("context",)).exact_tables()[0]
    both = side(exact, 0, usable(exact, 0)), side(exact, 1, usable(exact, 1))
    assert "exact" in str(needs(both, 0.0, *args).reason)
    table.counts[:2, :, 1:] = 0
    same = compare(table, 0, 1, QUICK)
    assert same.sides is not None
    assert "only one answer" in str(needs(same.sides, 0.0, *args).reason)


def test_same_answer_for_any_threads() -> None:
    table = planted.ladder("picture", tasks=1, prompts=3, options=5, families=("context",), seed=2).tables(
        20
    )[0]
    found = []
    for threads in (1, 3):
        settings = msgspec.structs.replace(QUICK, threads=threads)
        known = compare(table, 1, 2, settings)
        assert known.sides is not None
        found.append(needs(known.sides, known.metrics["jsd"].value, known.evidence, 0.05, settings, 1))
    assert found[0] == found[1]


def test_limits_that_are_missing_are_read_off_a_larger_data_set() -> None:
    """Thirty options, fifteen samples: nothing is known of promptability yet, and still a size is named."""
    table = planted.ladder("picture", tasks=1, prompts=4, options=30, families=("context",), seed=3).tables(
        15
    )[0]
    known = compare(table, 1, 2, QUICK)
    assert known.evidence.promptability_from.low is None
    need = conclude(known, known.p, 0.05, QUICK)[0].needs_samples
    assert need is not None
    assert need >= 4 * 15


def test_an_open_seed_is_searched_for_at_the_size_asked_about() -> None:
    table = planted.ladder("picture", tasks=1, prompts=6, families=("context",), seed=4).tables(12)[0]
    known = compare(table, 0, 1, QUICK)
    assert known.seed_share(12) <= known.seed_share(400) == 1.0
