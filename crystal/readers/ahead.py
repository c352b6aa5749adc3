"""Work that goes on beside the caller's: items made ahead of their use, in their order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

from crystal.ops.threads import count

T = TypeVar("T")
_END = object()


def alone() -> bool:
    """Tell whether all work is to stay on one thread: ``CRYSTAL_THREADS=1``, or one core for this process."""
    return count() == 1


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield the items of an iterable that a thread runs through, up to ``depth`` of them ahead.

    What the iterable raises is raised here, in its place. The thread ends with this iterator, whether it is
    exhausted, closed or interrupted.

    Examples
    --------
    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    if alone():
        yield from items
        return
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    room = threading.Semaphore(depth)
    stopped = False

    def work() -> None:
        iterator = iter(items)
        try:
            while room.acquire() and not stopped:
                made.put((next(iterator, _END), None))
        except BaseException as error:  # the caller's to judge: it is raised there
            made.put((_END, error))

    thread = threading.Thread(target=work, name="crystal-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is _END:
                return
            room.release()  # before the caller's turn: the next is made beside it
            yield item
    finally:
        stopped = True
        room.release(depth + 1)
        thread.join()


class Beside:
    """Runs through an iterable for its side effects, on a thread that ends with the ``with`` block.

    Examples
    --------
    >>> seen = []
    >>> with Beside(seen.append(i) for i in range(3)) as work:
    ...     work.finish()
    >>> seen
    [0, 1, 2]
    """

    def __init__(self, items: Iterable[object]) -> None:
        self._items = items
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="crystal-beside", daemon=True)

    def __enter__(self) -> Self:
        if not alone():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        if self._thread.ident is not None:
            self._thread.join()

    def finish(self) -> None:
        """Wait for the end of the iterable, and raise what it raised."""
        if self._thread.ident is None:
            self._run()
        else:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for _ in self._items:
                if self._stopped:
                    return
        except BaseException as error:  # the caller's to judge: finish raises it
            self._error = error
