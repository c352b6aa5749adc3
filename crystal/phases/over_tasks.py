"""From the tests of many tasks to one answer, and from the families of prompts to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystal.phases.liquid import TaskTest
from crystal.phases.results import ClauseResult
from crystal.statistics.multiple import benjamini_hochberg, clopper_pearson

FEWEST_TASKS = 5


@dataclass(frozen=True)
class Decided:
    """One clause in one family: its tests, what each task says, and the answer over the tasks."""

    tests: tuple[TaskTest, ...]
    states: dict[str, bool | None]
    result: ClauseResult


def decide(tests: Sequence[TaskTest], alpha: float) -> Decided:
    """Correct for the number of tasks, and hold the share of yes among the decided against 1/2."""
    asked = [test for test in tests if test.tested]
    yes = benjamini_hochberg([test.yes for test in asked])
    no = benjamini_hochberg([test.no for test in asked])
    states: dict[str, bool | None] = {}
    for test, for_it, against in zip(asked, yes, no, strict=True):
        states[test.task] = True if for_it < alpha else False if against < alpha else None
    result = _share(states, alpha)
    if not asked:
        result.reason = tests[0].reason if tests else "no task to test"
    return Decided(tuple(tests), states, result)


def _share(states: dict[str, bool | None], alpha: float) -> ClauseResult:
    values = list(states.values())
    hold, refuted = values.count(True), values.count(False)
    decided = hold + refuted
    result = ClauseResult(holds=None, tasks_hold=hold, tasks_refuted=refuted, tasks=len(values))
    if decided:
        result.low, result.high = clopper_pearson(hold, decided, alpha)
    if decided < FEWEST_TASKS:
        result.reason = f"{decided} of {len(values)} tasks are decided; {FEWEST_TASKS} are needed"
    elif 2 * decided < len(values):
        result.reason = f"{decided} of {len(values)} tasks are decided; half of them are needed"
    elif result.low is not None and result.low > 0.5:
        result.holds = True
    elif result.high is not None and result.high < 0.5:
        result.holds = False
    else:
        result.reason = f"the tasks disagree: it holds on {hold} and is refuted on {refuted}"
    return result


def unknown(reason: str, tasks: int) -> Decided:
    """Return a clause that was tested on nothing."""
    return Decided(
        (), {}, ClauseResult(holds=None, tasks_hold=0, tasks_refuted=0, tasks=tasks, reason=reason)
    )


def withdraw(decided: Decided, reason: str) -> Decided:
    """Take an answer back: the tasks spoke, but something else that it needs is missing."""
    decided.result.holds, decided.result.reason = None, reason
    return decided


def tail(chances: Sequence[float], count: int) -> float:
    """P(at least ``count`` successes) in independent trials of different chance."""
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return float(distribution[count:].sum())


def over_families(parts: dict[str, Decided], alpha: float) -> ClauseResult:
    """Return one answer from those of the families; a task counts as decided where its families agree."""
    families = {name: part.result for name, part in parts.items()}
    if len(families) == 1:
        (only,) = families.values()
        return ClauseResult(
            holds=only.holds,
            tasks_hold=only.tasks_hold,
            tasks_refuted=only.tasks_refuted,
            tasks=only.tasks,
            low=only.low,
            high=only.high,
            reason=only.reason,
            families=families,
        )
    said: dict[str, set[bool | None]] = {}
    for part in parts.values():
        for task, state in part.states.items():
            said.setdefault(task, set()).add(state)
    result = _share({task: one_answer(states) for task, states in said.items()}, alpha)
    result.tasks = max(result.tasks, *(family.tasks for family in families.values()))
    result.families = families
    answers = {name: family.holds for name, family in families.items()}
    result.holds = one_answer(set(answers.values()))
    result.reason = None
    if result.holds is None:
        split = {True, False} <= set(answers.values())
        result.reason = (
            "the prompt families disagree: "
            + _listed(answers, True, "holds in")
            + ", "
            + _listed(answers, False, "refuted in")
            if split
            else "; ".join(f"{name or 'prompts'}: {family.reason}" for name, family in families.items())
        )
    return result


def one_answer(answers: set[bool | None]) -> bool | None:
    """Return True where one says true and none false, False where one says false and none true."""
    if True in answers:
        return None if False in answers else True
    return False if False in answers else None


def _listed(answers: dict[str, bool | None], value: bool, words: str) -> str:
    return f"{words} {', '.join(name or 'prompts' for name, answer in answers.items() if answer is value)}"
