"""Work spread over processes: much of judging a task is Python, which runs on one thread of a process.

Helpers are started by the interpreter's own command line and told by pipes what to compute; no module of the
caller's is imported again, and nothing is forked. Each call is a function of its arguments alone, so who
computes it never shows in a result. What a helper cannot do is done here.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from crystal.ops.threads import count

Result = TypeVar("Result")

_CALLS_A_HELPER = 4
"""A helper takes about as long to start as two tasks take to judge."""
_MOMENT = 0.002


class Workers:
    """The running process and helpers beside it, as long as the ``with`` lasts.

    Parameters
    ----------
    threads : int
        Processes in all, this one among them; 0 means CRYSTAL_THREADS, else all cores.
    calls : int
        How many calls are to be spread at least: few are not worth a helper.

    Examples
    --------
    >>> with Workers(threads=1, calls=100) as workers:
    ...     workers.map(divmod, [(7, 2), (9, 4)])
    [(3, 1), (2, 1)]
    """

    def __init__(self, threads: int, calls: int) -> None:
        # An interpreter inside another program has no command line.
        most = min(count(threads) - 1, calls // _CALLS_A_HELPER) if sys.executable else 0
        self._helpers = [_start() for _ in range(most)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        helpers, self._helpers = self._helpers, []
        for helper in helpers:
            helper.kill()
        for helper in helpers:
            helper.communicate()

    def __bool__(self) -> bool:
        """Whether there is a helper."""
        return bool(self._helpers)

    def map(
        self,
        function: Callable[..., Result],
        calls: Sequence[tuple[Any, ...]],
        *,
        tick: Callable[[], None] = lambda: None,
        meanwhile: Callable[[Callable[[], None]], None] = lambda _: None,
    ) -> list[Result]:
        """Return ``function(*arguments)`` of every call, in their order.

        Parameters
        ----------
        function : callable
            Of a module; its arguments and results can be pickled.
        calls : sequence of tuple
            The arguments of each call.
        tick : callable
            Called here once a call is done.
        meanwhile : callable
            Called here once, while helpers are at work. It is given a function that it may call, to have
            ``tick`` called for what is done by then.
        """
        results: dict[int, Result] = {}
        left = deque(range(len(calls)))
        done: SimpleQueue[int] = SimpleQueue()

        def ask(helper: subprocess.Popen[bytes]) -> None:
            while (number := _next(left)) is not None:
                try:
                    answered, result = _ask(helper, function, calls[number])
                except Exception:
                    answered, result = False, None
                if not answered:
                    left.append(number)
                    break
                results[number] = result
                done.put(number)

        ticked = 0

        def tell() -> None:
            nonlocal ticked
            while not done.empty():
                done.get()
                ticked += 1
                tick()

        threads = [threading.Thread(target=ask, args=(helper,), daemon=True) for helper in self._helpers]
        for thread in threads:
            thread.start()
        try:
            meanwhile(tell)
            while ticked < len(calls):
                if done.empty() and (number := _next(left)) is not None:
                    results[number] = function(*calls[number])
                    done.put(number)
                elif done.empty():
                    time.sleep(_MOMENT)
                tell()
        except BaseException:
            self._end()  # with answers under way that nobody waits for
            raise
        for thread in threads:
            thread.join()
        return [results[number] for number in range(len(calls))]


ALONE = Workers(threads=1, calls=0)
"""No helpers."""


def _next(left: deque[int]) -> int | None:
    try:
        return left.popleft()
    except IndexError:
        return None


def _start() -> subprocess.Popen[bytes]:
    code = (
        f"import gc, sys; gc.set_threshold(*{gc.get_threshold()}); sys.path[:] = {sys.path!r}; "
        "from crystal.phases.workers import serve; serve()"
    )
    environment = {**os.environ, "CRYSTAL_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # A group of its own: Ctrl-C goes to whoever started this one, who ends it, and not to a helper that may
    # still be importing and would show a traceback.
    return subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0,
    )


def _ask(helper: subprocess.Popen[bytes], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    if helper.stdin is None or helper.stdout is None:
        raise EOFError
    helper.stdin.write(pickle.dumps((function, arguments)))
    helper.stdin.flush()
    return pickle.load(helper.stdout)  # noqa: S301 - of our own process


def serve() -> None:
    """Answer calls on standard input until it ends; what is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own process
        except EOFError:
            return
        try:
            answer = pickle.dumps((True, function(*arguments)))
        except Exception:
            answer = pickle.dumps((False, None))
        answers.write(answer)
        answers.flush()
