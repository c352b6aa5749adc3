from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crystal.errors import LadderError
from crystal.phases.clauses import decide_clauses
from crystal.phases.over_tasks import one_answer, tail
from crystal.phases.settings import Settings
from crystal.samples import Checkpoint, Prompt
from crystal.states.tables import TaskTable
from crystal.testing.planted import ladder

FAMILY = ("context",)
TRUTHS = {
    "picture": (True, True, True),
    "foreign": (True, False, True),
    "blend": (True, False, True),
    "escape": (True, True, False),
    "per_context": (True, False, False),
    "frozen": (True, False, None),
    "one_family": (True, None, True),
}


def holds(tables: list[TaskTable], settings: Settings | None = None) -> tuple[bool | None, ...]:
    return tuple(result.holds for result in decide_clauses(tables, settings).results.values())


@pytest.mark.parametrize("kind", TRUTHS)
def test_exact_ladders_tell_their_story(kind: str) -> None:
    decided = decide_clauses(ladder(kind, tasks=8, prompts=8, seed=1).exact_tables())
    assert tuple(result.holds for result in decided.results.values()) == TRUTHS[kind]
    expected = False if False in TRUTHS[kind] else None if None in TRUTHS[kind] else True
    assert decided.picture_holds is expected
    assert len(decided.missing) == TRUTHS[kind].count(None)


def test_a_sampled_picture_holds() -> None:
    decided = decide_clauses(ladder("picture", tasks=8, prompts=6, families=FAMILY, seed=4).tables(150))
    assert decided.picture_holds is True
    liquid = decided.results["liquid"]
    assert (liquid.tasks, liquid.tasks_hold, liquid.tasks_refuted) == (8, 8, 0)
    assert liquid.low is not None
    assert liquid.low > 0.5
    assert list(liquid.families) == ["context"]


@pytest.mark.parametrize(("kind", "clause"), [("foreign", "nucleation"), ("escape", "settling")])
def test_a_sampled_picture_is_refuted(kind: str, clause: str) -> None:
    decided = decide_clauses(ladder(kind, tasks=6, prompts=8, families=FAMILY, seed=3).tables(80))
    assert decided.picture_holds is False
    assert decided.results[clause].holds is False


@pytest.mark.parametrize("kind", ["picture", "blend", "foreign", "escape", "per_context"])
def test_twenty_samples_a_prompt_claim_nothing_wrong(kind: str) -> None:
    found = holds(ladder(kind, tasks=5, prompts=6, families=FAMILY, seed=8).tables(20))
    for answer, truth in zip(found, TRUTHS[kind], strict=True):
        assert answer in (truth, None)


def test_the_same_bytes_for_any_threads_and_order() -> None:
    tables = ladder("picture", tasks=3, prompts=4, seed=1).tables(50)
    one = decide_clauses(tables, Settings(threads=1))
    assert one == decide_clauses(tables[::-1], Settings(threads=2))


@pytest.mark.shared_data
def test_exact_tulu_has_no_liquid_base(shared_data: Path) -> None:
    """Ten categories, two framings: the base is less promptable than what was tuned from it."""
    data = json.loads((shared_data / "tulu3-8b" / "closed_set_probabilities.json").read_text())
    stages = ("base", "sft", "dpo", "rl")
    prompts = (Prompt("verb", "name"), Prompt("verb", "choose"))
    checkpoints = tuple(Checkpoint("tulu", stage, step, stage) for step, stage in enumerate(stages))
    tables = []
    for task, values in data["categories"].items():
        p = np.array([[values[prompt.prompt][stage] for prompt in prompts] for stage in stages])
        none = np.zeros(p.shape, dtype=np.int64)
        options = tuple(values["candidates"])
        tables.append(TaskTable("tulu", task, checkpoints, prompts, options, none, none.sum(axis=2), p))
    decided = decide_clauses(tables)
    liquid = decided.results["liquid"]
    assert (liquid.holds, liquid.tasks, liquid.tasks_refuted) == (False, 10, 10)
    assert liquid.high == pytest.approx(1 - 0.05 ** (1 / 10))
    assert decided.results["nucleation"].holds is None
    assert decided.picture_holds is False


def only(table: TaskTable, rungs: int, stages: tuple[str, ...]) -> TaskTable:
    """The first rungs of a ladder, with other stages."""
    named = zip(table.checkpoints[:rungs], stages, strict=True)
    return replace(
        table,
        checkpoints=tuple(Checkpoint(c.ladder, stage, c.step, c.name) for c, stage in named),
        counts=table.counts[:rungs],
        invalid=table.invalid[:rungs],
        probabilities=table.probabilities[:rungs],
    )


def test_no_sft_can_refute_nucleation_but_never_confirm_it() -> None:
    picture = ladder("picture", tasks=6, prompts=6).exact_tables()
    decided = decide_clauses([only(table, 2, ("base", "rl")) for table in picture])
    assert (decided.rungs.tuned, decided.rungs.by_sft) == (1, False)
    assert decided.results["nucleation"].holds is None
    assert "no SFT rung" in str(decided.results["nucleation"].reason)
    foreign = ladder("foreign", tasks=6, prompts=6).exact_tables()
    decided = decide_clauses([only(table, 4, ("base", "dpo", "rl", "rl")) for table in foreign])
    assert decided.results["nucleation"].holds is False


def test_ladders_without_the_rungs_are_unknown() -> None:
    tables = ladder("picture", tasks=6, prompts=3).exact_tables()
    no_base = [only(table, 4, ("other",) * 4) for table in tables]
    assert holds(no_base) == (None, None, None)
    assert all("stage base" in line for line in decide_clauses(no_base).missing)
    alone = [only(table, 1, ("base",)) for table in tables]
    assert holds(alone) == (True, None, None)
    pretrained = decide_clauses(ladder("pretraining", tasks=6, prompts=3).exact_tables())
    assert pretrained.picture_holds is None
    assert pretrained.rungs.tuned is None


def test_one_prompt_a_task_never_holds() -> None:
    tables = [table.family("context") for table in ladder("picture", tasks=6, prompts=2).tables(50)]
    one = [
        replace(
            t,
            prompts=t.prompts[:1],
            counts=t.counts[:, :1],
            invalid=t.invalid[:, :1],
            probabilities=t.probabilities[:, :1],
        )
        for t in tables
    ]
    decided = decide_clauses(one)
    assert decided.picture_holds is None
    assert "2 are needed" in decided.missing[0]


def test_few_tasks_are_not_enough() -> None:
    decided = decide_clauses(ladder("picture", tasks=4, prompts=4).exact_tables())
    assert decided.picture_holds is None
    assert "4 of 4 tasks are decided; 5 are needed" in decided.missing[0]


def test_fewer_splits_withdraw_a_sampled_nucleation() -> None:
    tables = ladder("foreign", tasks=6, prompts=6, families=FAMILY, seed=3).tables(80)
    assert "200 are needed" in str(
        decide_clauses(tables, Settings(splits=40)).results["nucleation"].families["context"].reason
    )


def test_families_that_contradict_each_other_leave_it_open() -> None:
    decided = decide_clauses(ladder("one_family", tasks=6, prompts=6, seed=1).exact_tables())
    nucleation = decided.results["nucleation"]
    assert nucleation.holds is None
    assert nucleation.reason == "the prompt families disagree: holds in context, refuted in persona"


def test_what_families_say_together() -> None:
    assert one_answer({True, None}) is True
    assert one_answer({False, None}) is False
    assert one_answer({True, False, None}) is None
    assert one_answer({None}) is None
    assert one_answer(set()) is None


def test_the_tail_of_unequal_coins() -> None:
    assert tail([0.5, 0.5], 1) == pytest.approx(0.75)
    assert tail([0.1, 0.2, 0.3], 3) == pytest.approx(0.006)
    assert tail([], 0) == 1.0


def test_tables_of_two_ladders_are_refused() -> None:
    with pytest.raises(LadderError, match="different ladders"):
        decide_clauses([*ladder(tasks=1, name="a").exact_tables(), *ladder(tasks=1, name="b").exact_tables()])
    with pytest.raises(LadderError, match="no task"):
        decide_clauses([])
