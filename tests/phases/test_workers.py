"""Who computes a call never shows: helpers, this process, or this one after a helper has died."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

import crystal
from crystal.errors import SettingsError
from crystal.phases.classify import classify
from crystal.phases.settings import Settings
from crystal.phases.workers import ALONE, Workers
from crystal.testing import planted


def where(number: int) -> tuple[int, int, int]:
    return number, os.getpid(), os.getpgid(0)


def dies(number: int, home: int) -> int:
    if os.getpid() != home and number == 3:
        os._exit(9)
    return number * number


def refuses(number: int, home: int) -> int:
    if number == 2:
        raise SettingsError("no such number", where="number", got=str(number))
    return number


def prints(number: int) -> int:
    os.write(1, b"a word that is no answer")
    return number


def test_results_come_in_order_and_each_call_ticks_once() -> None:
    ticks = []
    with Workers(threads=3, calls=40) as workers:
        assert workers
        found = workers.map(where, [(i,) for i in range(40)], tick=lambda: ticks.append(1))
    assert [number for number, *_ in found] == list(range(40))
    assert len(ticks) == 40


def test_helpers_work_while_this_process_does_something_else_and_say_so() -> None:
    ticks: list[int] = []
    told: list[int] = []

    def busy(tell: Callable[[], None]) -> None:
        for _ in range(400):
            time.sleep(0.05)
            tell()
            if ticks:
                break
        told.extend(ticks)

    with Workers(threads=2, calls=8) as workers:
        found = workers.map(where, [(i,) for i in range(8)], tick=lambda: ticks.append(1), meanwhile=busy)
    assert told
    assert len(ticks) == 8
    assert {process for _, process, _ in found} != {os.getpid()}
    # The keyboard interrupts the group in front: a helper that was importing would show a traceback.
    groups = {process: group for _, process, group in found}
    assert all(group == process for process, group in groups.items() if process != os.getpid())


def test_progress_says_what_is_being_done() -> None:
    said: list[tuple[str, int, int | None]] = []
    samples = planted.ladder("picture", tasks=2, prompts=3, options=4, seed=1).samples(40)
    measurement = crystal.measure(samples)
    classify(measurement, settings=Settings(threads=1), progress=lambda *what: said.append(what))
    assert said[0] == ("judging clauses", 1, None)
    assert ("judging tasks", 2, 2) in said
    assert ("looking for change points", 1, 1) in said
    assert said[-1] == ("naming transitions", 1, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_helper_cannot_do_is_done_here(threads: int) -> None:
    home = os.getpid()
    with Workers(threads, calls=8) as workers:
        assert workers.map(dies, [(i, home) for i in range(8)]) == [i * i for i in range(8)]
        with pytest.raises(SettingsError, match="no such number"):
            workers.map(refuses, [(i, home) for i in range(8)])
        assert workers.map(prints, [(i,) for i in range(8)]) == list(range(8))


def test_few_calls_and_one_thread_start_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ALONE
    with Workers(threads=8, calls=3) as workers:
        assert not workers
    monkeypatch.setenv("CRYSTAL_THREADS", "1")
    with Workers(threads=0, calls=100) as workers:
        assert not workers


def test_helpers_leave_a_report_as_it_is() -> None:
    measurement = crystal.measure(planted.ladder("picture", tasks=4, prompts=3, options=3).samples(150))

    def report(threads: int) -> bytes:
        settings = Settings(draws=99, interval_draws=40, splits=2, simulations=2, threads=threads)
        return crystal.classify(measurement, settings=settings).to_json()

    assert report(1) == report(2)
