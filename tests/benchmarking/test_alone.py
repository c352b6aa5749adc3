"""A call in a process of its own: its answer, its reports, its error, its memory."""

from __future__ import annotations

import os
from typing import Any

import pytest

from crystal.benchmarking.alone import Tell, alone
from crystal.benchmarking.machine import peak_memory
from crystal.errors import InputError

HELD = 1 << 28


def square(number: int, tell: Tell) -> tuple[int, int]:
    print("for people")  # noqa: T201 - it must not get between the answers
    tell("squaring", 1, None)
    return number * number, os.getpid()


def refuses(_: Tell) -> None:
    raise InputError("not this one", where="here")


def dies(_: Tell) -> None:
    os._exit(9)


def peak(_: Tell) -> int | None:
    return peak_memory()


def test_another_process_answers_and_reports() -> None:
    told: list[Any] = []
    answer, process = alone(square, 7, tell=lambda *what: told.append(what))
    assert answer == 49
    assert process != os.getpid()
    assert told == [("squaring", 1, None)]


def test_its_error_is_raised_here() -> None:
    with pytest.raises(InputError, match="here: not this one"):
        alone(refuses)


def test_an_end_without_an_answer_is_an_error() -> None:
    with pytest.raises(ChildProcessError, match="dies ended without an answer"):
        alone(dies)


def test_its_memory_is_its_own() -> None:
    if peak_memory() is None:
        pytest.skip("the system does not say how much memory a process holds")
    held = bytearray(os.urandom(1)) * HELD
    assert (peak_memory() or 0) > HELD
    assert alone(peak) < HELD
    assert len(held) == HELD
