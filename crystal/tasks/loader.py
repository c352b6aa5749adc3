"""Read tasks from TOML: the fifteen that ship with the package, and a user's own."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from crystal.errors import TaskError
from crystal.tasks.task import Task, TaskSuite

DEFAULT_TASKS = (
    "coin", "die", "num10", "num100", "letter", "weekday", "month", "colour", "fruit", "animal", "country",
    "us_state", "first_name", "card", "rps",
)  # fmt: skip


def load(spec: str | Path | TaskSuite | None = None) -> TaskSuite:
    """Return the tasks whose option lists bind.

    Parameters
    ----------
    spec : str, pathlib.Path, TaskSuite or None
        None or ``"none"``: nothing is bound. ``"default"``: the fifteen tasks of the package. Else the path
        of a TOML file with one ``[[task]]`` table a task (``docs/tasks.md``).

    Raises
    ------
    TaskError
        If the file cannot be read, or a task in it cannot be used.

    Examples
    --------
    >>> load("default").tasks["rps"].options
    ('rock', 'paper', 'scissors')
    """
    if isinstance(spec, TaskSuite):
        return spec
    if spec is None or spec == "none":
        return TaskSuite()
    if spec == "default":
        return _default()
    path = Path(spec)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise TaskError(
            f"the task file cannot be read: {error.strerror}",
            where=str(spec),
            expected="'default', 'none' or the path of a TOML file",
        ) from error
    return parse(text, str(spec))


def parse(data: bytes, where: str) -> TaskSuite:
    """Return the tasks of a TOML document with one ``[[task]]`` table a task.

    Raises
    ------
    TaskError
        If it is no TOML, holds no task, or a task in it cannot be used.
    """
    document = _toml(data, where)
    unknown = sorted(set(document) - {"task"})
    tables = document.get("task")
    if unknown or not isinstance(tables, list) or not tables:
        got = f"the key {unknown[0]!r}" if unknown else "none"
        raise TaskError("not a task file", where=where, expected="one [[task]] table a task", got=got)
    tasks: dict[str, Task] = {}
    for table in tables:
        task = _task(table, where)
        if task.id in tasks:
            raise TaskError("a task stands twice in the file", where=where, got=repr(task.id))
        tasks[task.id] = task
    return TaskSuite(tasks)


@cache
def _default() -> TaskSuite:
    folder = resources.files("crystal.tasks") / "data"
    tasks = {}
    for name in DEFAULT_TASKS:
        where = f"{name}.toml"
        tasks[name] = _task(_toml((folder / where).read_bytes(), where), where)
    return TaskSuite(tasks)


def _toml(data: bytes, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TaskError(f"not TOML: {error}", where=where) from error


def _task(table: Any, where: str) -> Task:
    try:
        task = msgspec.convert(table, Task)
    except msgspec.ValidationError as error:
        named = table.get("id") if isinstance(table, dict) else None
        raise TaskError(
            f"a task that cannot be used: {error}",
            where=where,
            got=None if named is None else f"task {named!r}",
            fix="see docs/tasks.md",
        ) from error
    task.check(where)
    return task
