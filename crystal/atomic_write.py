"""Files that are there whole or not at all.

A file is written beside its place under another name, flushed to the disk, and renamed: a reader sees the old
bytes or the new ones, and a failed run leaves the old ones. For a group of files the renames follow one
another after *all* of them are written, so only a crash between two renames can leave old beside new.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from crystal.errors import InputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` if the block ends well.

    Parameters
    ----------
    path : str or Path
        The file to replace; its folder must exist.

    Yields
    ------
    Path
        A file beside it, empty so far. If the block raises, it is removed and ``path`` is as it was.

    Raises
    ------
    InputError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as scratch:
    ...         _ = scratch.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    target = Path(path)
    with _writable(target.parent):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        with _roomy(target.parent):
            yield scratch
        _settle(scratch, target)
        with _writable(target.parent):
            scratch.replace(target)
        _sync(target.parent)
    finally:
        scratch.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Replace a file by ``data`` in one step; text is written as UTF-8 with its line ends as they are.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written to.
    """
    with atomic_path(path) as scratch:
        scratch.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_files(folder: str | os.PathLike[str], last: Sequence[str] = ()) -> Iterator[Path]:
    """Give a scratch folder whose files move into ``folder`` together, if the block ends well.

    Parameters
    ----------
    folder : str or Path
        Where the files belong; made if it is not there (and removed again if the block raises).
    last : sequence of str
        Names to move after all others: who finds them finds the rest.

    Yields
    ------
    Path
        The scratch folder, on the same file system.

    Raises
    ------
    InputError
        If ``folder`` cannot be made or written to.
    """
    target = Path(folder)
    made = _make(target)
    try:
        with _writable(target):
            scratch = Path(tempfile.mkdtemp(prefix=".crystal-", dir=target))
        try:
            with _roomy(target):
                yield scratch
            names = sorted((file.name for file in scratch.iterdir()), key=lambda name: (name in last, name))
            for name in names:
                _settle(scratch / name, target / name)
            with _writable(target):
                for name in names:
                    (scratch / name).replace(target / name)
            _sync(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except BaseException:
        for created in made:
            with contextlib.suppress(OSError):  # not empty: somebody else wrote there meanwhile
                created.rmdir()
        raise


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that were not there, the innermost first."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _settle(scratch: Path, target: Path) -> None:
    """Give a scratch file the mode that a plain write would have left, and its bytes to the disk."""
    try:
        mode = target.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    # Here the disk may say for the first time that it is full, or broken.
    with _writable(target.parent), scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.chmod(mode)


def _sync(path: Path) -> None:
    # Some network file systems refuse fsync on a folder; the rename has happened all the same.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refused(folder, error) from error


@contextlib.contextmanager
def _roomy(folder: Path) -> Iterator[None]:
    """Say which folder is full; other errors of a block may be about what it reads."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise _refused(folder, error) from error


def _refused(folder: Path, error: OSError) -> InputError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(
        f"cannot write there: {reason}",
        where=str(folder),
        fix="choose a folder that exists, that you may write to, and that has room",
    )
