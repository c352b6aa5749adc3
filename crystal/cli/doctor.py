"""``crystal doctor``: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import typer

from crystal.cli import options
from crystal.cli.guard import INTERNAL
from crystal.cli.screen import Screen
from crystal.errors import BuildError

_BASE = ("numpy", "pyarrow", "msgspec", "typer", "rich", "zstandard")
_EXTRAS = {"torch": "token statistics and scoring", "transformers": "scoring", "triton": "kernels on a GPU"}
_LITTLE_SPACE = 1 << 30


class Finding(NamedTuple):
    """One line of the doctor's: ``ok``, ``note`` (works without) or ``broken``."""

    what: str
    state: str
    detail: str
    fix: str | None = None


EXAMPLES = """\b
Examples:
  crystal doctor
  crystal doctor --json"""


def doctor(
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check this installation and say what to do about what is wrong.

    Exits with 4 if something that crystal cannot work without is broken.
    """
    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    findings = [finding for check in _CHECKS for finding in check()]
    healthy = all(finding.state != "broken" for finding in findings)
    lines = [
        f"{f.state:6}  {f.what}: {f.detail}" + (f"\n        -> {f.fix}" if f.fix else "") for f in findings
    ]
    lines.append(
        "crystal can run here." if healthy else "crystal cannot run here; mend what is broken above."
    )
    screen.result({"healthy": healthy, "findings": [f._asdict() for f in findings]}, "\n".join(lines))
    if not healthy:
        raise typer.Exit(INTERNAL)


def _versions() -> list[Finding]:
    import crystal

    python = Finding("python", "ok", f"{platform.python_version()}, {sys.platform}, {platform.machine()}")
    return [Finding("crystal", "ok", f"{crystal.__version__} in {Path(crystal.__file__).parent}"), python]


def _core() -> list[Finding]:
    from crystal.ops import core

    try:
        module = core.load()
    except BuildError as error:
        return [Finding("compiled core", "broken", error.message, error.fix)]
    return [Finding("compiled core", "ok", f"loads, interface {module.INTERFACE}")]


def _threads() -> list[Finding]:
    from crystal.ops import threads

    try:
        available = threads.available()
    except BuildError:
        return []  # the core's own line says it
    given = os.environ.get("CRYSTAL_THREADS")
    if given is None:
        return [Finding("threads", "ok", f"{available} (set CRYSTAL_THREADS for fewer)")]
    if not given.isdecimal() or int(given) < 1:
        fix = "set it to a number from 1, or unset it"
        return [Finding("threads", "broken", f"CRYSTAL_THREADS is {given!r}", fix)]
    return [Finding("threads", "ok", f"{given} by CRYSTAL_THREADS, of {available}")]


def _packages() -> list[Finding]:
    found = []
    for name in _BASE:
        version = _version(name)
        if version is None:
            found.append(Finding(name, "broken", "not installed", f"python -m pip install {name}"))
        else:
            found.append(Finding(name, "ok", version))
    for name, use in _EXTRAS.items():
        version = _version(name)
        fix = None if version else f"python -m pip install {name} (your choice of build)"
        found.append(Finding(name, "ok" if version else "note", version or f"not installed: no {use}", fix))
    return found


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _disk() -> list[Finding]:
    found = []
    for what, folder in (("working folder", Path.cwd()), ("temporary folder", Path(tempfile.gettempdir()))):
        try:
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free
        except OSError as error:
            detail = f"{folder} cannot be written to: {error.strerror}"
            fix = "change to another folder" if what == "working folder" else "set TMPDIR to another folder"
            # Reports may go elsewhere, but spilled rejections have no other place than the temporary folder.
            found.append(Finding(what, "note" if what == "working folder" else "broken", detail, fix))
            continue
        room = f"{folder} is writable, {free / 2**30:.1f} GiB free"
        scarce = free < _LITTLE_SPACE
        found.append(Finding(what, "note" if scarce else "ok", room, "make room" if scarce else None))
    return found


def _terminal() -> list[Finding]:
    encoding = (sys.stdout.encoding or "unknown").lower()
    if encoding.replace("-", "") == "utf8":
        return [Finding("terminal", "ok", "UTF-8")]
    return [Finding("terminal", "note", f"writes {encoding}: some characters become '?'", "set PYTHONUTF8=1")]


_CHECKS: tuple[Callable[[], list[Finding]], ...] = (_versions, _core, _threads, _packages, _disk, _terminal)
