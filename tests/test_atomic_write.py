from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crystal.atomic_write import atomic_files, atomic_path, atomic_write
from crystal.errors import InputError

FULL = os.environ.get("CRYSTAL_FULL_FAULTS") == "1"
root_ignores_modes = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_whole(tmp_path: Path) -> None:
    file = tmp_path / "a"
    with atomic_path(file) as scratch:
        scratch.write_text("new")
        assert not file.exists()
    assert file.read_text() == "new"
    assert names(tmp_path) == ["a"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")

    def write() -> None:
        with atomic_path(file) as scratch:
            scratch.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_interrupted_write_cleans_up_too(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_files(tmp_path / "out") as scratch:
            (scratch / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == []


def test_mode_is_that_of_a_plain_write_or_of_the_file_replaced(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    atomic_write(tmp_path / "ours", b"1")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode
    (tmp_path / "ours").chmod(0o640)
    atomic_write(tmp_path / "ours", b"2")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o640


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path, code: int) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    for group in (False, True):
        place = tmp_path / "out" if group else tmp_path
        block = atomic_files(place) if group else atomic_path(file)
        with pytest.raises(InputError, match="cannot write there") as caught, block:
            raise OSError(code, "no more")
        assert caught.value.where == str(place)
        assert os.strerror(code) in str(caught.value)
        assert names(tmp_path) == ["a"]
        assert file.read_text() == "old"


def test_a_disk_that_fails_at_the_flush_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    file = tmp_path / "a"
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(InputError, match="Input/output error"):
        atomic_write(file, "new")
    assert file.read_text() == "old"


def test_other_errors_of_a_block_are_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "absent").read_text()


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.*cannot write there"):
        atomic_write(tmp_path / "absent" / "a", b"")


def test_files_move_together_and_leave_strangers_alone(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with atomic_files(out, last=["b"]) as scratch:
        for name in "abc":
            (scratch / name).write_text(name)
        assert [p.name for p in out.iterdir()] == [scratch.name]
    assert names(out) == ["a", "b", "c"]
    (out / "stranger").write_text("mine")
    with atomic_files(out) as scratch:
        (scratch / "a").write_text("new")
    assert (out / "a").read_text() == "new"
    assert (out / "b").read_text() == "b"
    assert (out / "stranger").read_text() == "mine"


def test_failed_group_changes_nothing_and_removes_the_folders_it_made(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("old")

    def write(out: Path) -> None:
        with atomic_files(out) as scratch:
            (scratch / "a").write_text("new")
            raise RuntimeError

    for out in (tmp_path / "kept", tmp_path / "x" / "y"):
        with pytest.raises(RuntimeError):
            write(out)
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["a"]
    assert (tmp_path / "kept" / "a").read_text() == "old"


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="cannot write there"), atomic_files(tmp_path / "a"):
        pass
    with pytest.raises(InputError, match="cannot write there"), atomic_files(tmp_path / "a" / "b"):
        pass


@root_ignores_modes
def test_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write there"):
        atomic_write(tmp_path / "a", b"")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    """Whenever it dies, the file is one of those that it wrote, to the last byte."""
    code = (
        "import sys; from crystal.atomic_write import atomic_write\n"
        "for i in range(10**9):\n"
        "    atomic_write(sys.argv[1], bytes([i % 256]) * 1_000_000)\n"
        "    if i == 0: print('ready', flush=True)\n"
    )
    dice, file = random.Random(0), tmp_path / "a"  # noqa: S311  # for tests
    for _ in range(200 if FULL else 3):
        with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(dice.random() / 20)
            writer.send_signal(signal.SIGKILL)
        data = file.read_bytes()
        assert len(data) == 1_000_000
        assert len(set(data)) == 1
