"""Locks between processes: exclusion, sharing, inheritance, and release by death."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ratewire.embedded.locks import FileLock


def test_an_exclusive_lock_excludes_all_others(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert not second.try_acquire(shared=True)
    assert not second.is_held
    first.release()
    assert second.try_acquire()
    second.release()


def test_shared_locks_exclude_only_exclusive_ones(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.try_acquire(shared=True)
    assert second.try_acquire(shared=True)
    assert not third.try_acquire()
    first.release()
    assert not third.try_acquire()
    second.release()
    assert third.try_acquire()
    third.release()


def test_the_lock_file_is_private_and_stays(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.try_acquire()
    lock.release()
    lock.release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


async def test_acquire_waits_for_a_release(tmp_path: Path) -> None:
    holder, waiter = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert holder.try_acquire()
    waiting = asyncio.create_task(waiter.acquire(timeout_seconds=30))
    await asyncio.sleep(0)
    assert not waiting.done()
    holder.release()
    assert await waiting
    waiter.release()


async def test_acquire_gives_up_after_its_time(tmp_path: Path) -> None:
    holder, waiter = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert holder.try_acquire()
    assert not await waiter.acquire(timeout_seconds=0.05)
    assert not waiter.is_held
    holder.release()


async def test_a_cancelled_acquire_holds_nothing(tmp_path: Path) -> None:
    holder, waiter = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert holder.try_acquire()
    waiting = asyncio.create_task(waiter.acquire(timeout_seconds=30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holder.release()
    assert FileLock(tmp_path / "lock").try_acquire()


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path: Path) -> None:
    """So a server holds its lock itself, whatever becomes of who started it."""
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.try_acquire()
    wait_for_end_of_input = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(
        wait_for_end_of_input, stdin=subprocess.PIPE, pass_fds=(lock.fileno(),)
    ) as child:
        lock.release()
        assert not other.try_acquire()
        child.communicate()
    assert other.try_acquire()
    other.release()


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from ratewire.embedded.locks import FileLock;"
        "lock = FileLock(pathlib.Path(sys.argv[1])); print(lock.try_acquire(), flush=True);"
        "sys.stdin.read()"
    )
    other = FileLock(tmp_path / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent.parent,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        assert not other.try_acquire()
        child.kill()
    assert other.try_acquire()
    other.release()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """The directory may be another user's while we are root."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(tmp_path / "lock").try_acquire()
    assert not os.path.lexists(tmp_path / "elsewhere")
