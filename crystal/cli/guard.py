"""From exceptions to exit codes, messages and logs: one place for all verbs."""

from __future__ import annotations

import functools
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import typer

from crystal.cli.main import INTERRUPTED
from crystal.cli.screen import Screen
from crystal.errors import CrystalError

GATE, BAD_INPUT, INTERNAL = 1, 3, 4


def guarded(verb: Callable[..., None]) -> Callable[..., None]:
    """Wrap a verb so that it ends with an exit code and at most one message, never with a traceback.

    The verb takes the keywords ``as_json``, ``quiet`` and ``debug``.
    """

    @functools.wraps(verb)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        screen = Screen(
            as_json=kwargs.get("as_json", False),
            quiet=kwargs.get("quiet", False),
            debug=kwargs.get("debug", False),
        )
        try:
            verb(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except BaseException as error:
            raise typer.Exit(_report(error, screen)) from None

    return wrapped


def _report(error: BaseException, screen: Screen) -> int:
    """Say what happened, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        screen.error("interrupted; nothing was written")
        return INTERRUPTED
    if isinstance(error, CrystalError):
        code, message = error.exit_code, str(error)
        log = _log(error) if code == INTERNAL and not screen.debug else None
    elif isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        code, message, log = BAD_INPUT, _of_the_system(error), None
    elif isinstance(error, SystemExit):
        raise error
    else:
        code, message = INTERNAL, f"this is a defect of crystal: {type(error).__name__}: {error}"
        log = None if screen.debug else _log(error)
    if screen.debug:
        traceback.print_exception(error)
    screen.error(message + (f" (traceback in {log}, or with --debug)" if log else ""))
    if screen.as_json:
        screen.result({"error": _document(error, code, message)})
    return code


def _document(error: BaseException, code: int, message: str) -> dict[str, Any]:
    parts = ("message", "where", "expected", "got", "fix")
    details = {part: getattr(error, part, None) for part in parts}
    return {
        **details,
        "message": details["message"] or message,
        "type": type(error).__name__,
        "exit_code": code,
    }


def _of_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _log(error: BaseException) -> str | None:
    """Write the traceback to a file of its own, and return its path."""
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="crystal-error-",
            suffix=".log",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            traceback.print_exception(error, file=file)
            return file.name
    except OSError:  # a full disk must not hide the error itself
        return None
