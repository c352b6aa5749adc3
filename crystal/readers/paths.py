"""From arguments to files, and what a file's place says about its checkpoint."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from crystal.errors import InputError, SettingsError
from crystal.readers import detect
from crystal.samples import STAGES

_STAGE_FOLDER = re.compile(rf"({'|'.join(STAGES)})(?:-(\d{{1,18}}))?")


class LogFile(NamedTuple):
    """One file to read: where it lies, how to call it, and its path relative to the argument."""

    path: Path
    name: str
    relative: PurePosixPath


class Place(NamedTuple):
    """What a file's place says of its rows, for those that do not say it themselves."""

    ladder: str
    stage: str | None = None
    step: int | None = None
    checkpoint: str | None = None


class CheckpointRule(NamedTuple):
    """``GLOB=ladder/stage/step[/name]``: the checkpoint of the files that a pattern matches."""

    glob: str
    place: Place

    @classmethod
    def parse(cls, rule: str) -> CheckpointRule:
        """Read one rule.

        Raises
        ------
        SettingsError
            If it is not of that form.

        Examples
        --------
        >>> CheckpointRule.parse("run1/*.jsonl=tulu/sft/100/Tulu SFT").place
        Place(ladder='tulu', stage='sft', step=100, checkpoint='Tulu SFT')
        """
        glob, equals, target = rule.partition("=")
        parts = target.split("/", 3)
        usable = glob and equals and len(parts) >= 3 and all(parts)
        if not usable or parts[1] not in STAGES or not re.fullmatch(r"\d{1,18}", parts[2]):
            raise SettingsError(
                "not a checkpoint rule",
                where="--checkpoint",
                expected=f"GLOB=ladder/stage/step[/name] with a stage of {', '.join(STAGES)}",
                got=repr(rule),
            )
        return cls(glob, Place(parts[0], parts[1], int(parts[2]), parts[3] if len(parts) > 3 else None))


def discover(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[LogFile], list[str]]:
    """Return the log files under some arguments in a fixed order, and the files of folders that are none.

    A file that is named is read whatever its name; of a folder, recursively, the files whose name or content
    is a log's. A file that is reached twice is read once. Hidden files and folders are passed over.

    Raises
    ------
    InputError
        If an argument does not exist or is a pipe or a device, or a folder holds no log.
    """
    files: dict[str, LogFile] = {}
    skipped: list[str] = []
    for argument in paths:
        path = Path(argument)
        if path.is_dir():
            found, others = _walk(path)
            if not found:
                kinds = ".jsonl, .csv, .tsv, .parquet, .arrow (each also .gz or .zst)"
                raise InputError(
                    "the folder holds no logs", where=str(argument), expected=f"files such as {kinds}"
                )
            skipped += others
        elif path.is_file():
            found = [LogFile(path, spelled(str(argument)), PurePosixPath(path.name))]
        elif path.exists():
            raise InputError(
                "a log is read more than once, for its format and for its rows, which this cannot be",
                where=str(argument),
                expected="a file or a folder",
                got="a pipe or a device",
                fix="write its content to a file first",
            )
        else:
            raise InputError("there is no such file or folder", where=str(argument), fix="check the path")
        for file in found:
            files.setdefault(os.path.realpath(file.path), file)
    return list(files.values()), skipped


_REPORT = {"measurement.crystal", "report.json"}
_LEFT = {"report", "metrics", "counts", "measurement", "rejected"}
"""What the files of a report's folder are called, before the dot."""


def _walk(folder: Path) -> tuple[list[LogFile], list[str]]:
    found: list[LogFile] = []
    skipped: list[str] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if set(names) >= _REPORT:
            # What an earlier analysis left here is no log, or a second run would read the first one's tables.
            skipped += [str(Path(root) / name) for name in sorted(names) if name.partition(".")[0] in _LEFT]
            names = [name for name in names if name.partition(".")[0] not in _LEFT]
        for name in sorted(names):
            path = Path(root) / name
            if name.startswith("."):
                continue
            relative = PurePosixPath(path.relative_to(folder).as_posix())
            if path.is_file() and _is_log(path):
                found.append(LogFile(path, spelled(str(path)), relative))
            else:
                skipped.append(str(path))
    return found, skipped


def _is_log(path: Path) -> bool:
    claimed = detect.by_name(path)
    if claimed is None:
        return False
    plain = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    # Beside logs lie .json files of every sort (settings, results); rows are told by their content alone.
    return not plain.endswith(".json") or detect.by_content(detect.head(path)) is not None


def place_of(file: LogFile, rules: Sequence[CheckpointRule]) -> Place:
    """Return the checkpoint that a file's place gives: the first rule that matches, else its folders.

    Examples
    --------
    >>> place_of(LogFile(Path("runs/tulu/sft-100/a.jsonl"), "a", PurePosixPath("a.jsonl")), ())
    Place(ladder='tulu', stage='sft', step=100, checkpoint='sft-100')
    """
    relative = file.relative.as_posix()
    for rule in rules:
        if fnmatch.fnmatchcase(relative, rule.glob):
            return rule.place
    folder = Path(os.path.abspath(file.path)).parent  # noqa: PTH100  # resolve() would follow links
    if match := _STAGE_FOLDER.fullmatch(folder.name):
        return Place(spelled(folder.parent.name) or "ladder", match[1], int(match[2] or 0), folder.name)
    return Place(spelled(folder.name) or "ladder")


def spelled(name: str) -> str:
    r"""Return the name of a file as text: bytes of it that are no UTF-8 as backslash escapes.

    Examples
    --------
    >>> spelled(os.fsdecode(b"caf\xe9.jsonl"))
    'caf\\xe9.jsonl'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")
