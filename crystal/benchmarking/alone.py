"""A function called in a process of its own, so that its memory is told from what was there before."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Tell = Callable[..., None]


def alone(function: Callable[..., Any], *arguments: Any, tell: Tell | None = None) -> Any:
    """Return ``function(*arguments, tell)``, called in a fresh interpreter.

    Parameters
    ----------
    function : callable
        Of a module; its arguments and its result can be pickled.
    *arguments
        What to call it with; a function that reports progress comes last.
    tell : callable, optional
        Called here with what the function reports.

    Raises
    ------
    Exception
        What the function raises.
    ChildProcessError
        If the process ends without an answer.

    Examples
    --------
    >>> alone(_product, [2, 3, 4])
    24
    """
    code = (
        f"import gc, sys; gc.set_threshold(*{gc.get_threshold()}); sys.path[:] = {sys.path!r}; "
        "from crystal.benchmarking.alone import serve; serve()"
    )
    with subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        if child.stdin is None or child.stdout is None:
            raise ChildProcessError
        try:
            with child.stdin:
                pickle.dump((function, arguments), child.stdin)
            while True:
                kind, payload = pickle.load(child.stdout)  # noqa: S301 - of our own process
                if kind == "told" and tell is not None:
                    tell(*payload)
                elif kind == "raised":
                    raise payload
                elif kind == "returned":
                    return payload
        except EOFError:
            raise ChildProcessError(f"{function.__name__} ended without an answer") from None
        except BaseException:
            child.kill()
            raise


def serve() -> None:
    """Answer the one call on standard input; what is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(kind: str, payload: Any) -> None:
        pickle.dump((kind, payload), answers)
        answers.flush()

    function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own process
    try:
        say("returned", function(*arguments, lambda *told: say("told", told)))
    except Exception as error:
        say("raised", error)


def _product(numbers: list[int], _: Tell) -> int:
    from math import prod

    return prod(numbers)
