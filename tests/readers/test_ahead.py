"""Threads beside the caller: order, errors, and their end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from crystal.readers.ahead import Beside, ahead


@pytest.fixture(params=["1", "2"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("CRYSTAL_THREADS", request.param)
    return int(request.param)


def running() -> int:
    return sum(thread.name.startswith("crystal-") for thread in threading.enumerate())


def test_items_come_in_order(threads: int) -> None:
    assert list(ahead(range(1_000))) == list(range(1_000))
    assert running() == 0


def test_what_is_raised_is_raised_in_its_place(threads: int) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)
    assert running() == 0


def test_an_iterator_that_is_closed_early_ends_its_thread(threads: int) -> None:
    seen = []
    items = ahead((seen.append(i) for i in range(1_000_000)), depth=3)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert running() == 0
    assert len(seen) <= 5  # one used, three ahead, one under way


def test_work_beside_ends_with_its_block(threads: int) -> None:
    seen: list[int] = []
    with Beside(seen.append(i) for i in range(100)) as work:
        work.finish()
    assert seen == list(range(100))
    gate = threading.Event()

    def endless() -> Iterator[None]:
        while True:
            gate.wait(0.001)
            yield

    with Beside(endless()):
        assert running() == threads - 1
    assert running() == 0


def test_work_beside_raises_when_it_is_waited_for(threads: int) -> None:
    def broken() -> Iterator[None]:
        yield
        raise OSError("gone")

    with Beside(broken()) as work, pytest.raises(OSError, match="gone"):
        work.finish()


def test_the_next_item_is_made_beside_the_callers_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTAL_THREADS", "2")
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        made.set()
        yield 1

    taken = ahead(items(), 1)
    assert next(taken) == 0
    assert made.wait(30)  # though nobody has asked for it
    assert list(taken) == [1]
