"""Processes that may not be our children: started here or adopted, told apart by /proc.

Only what every user may read is used (stat, status, cmdline): root in a container often lacks
the capability that the rest of another user's /proc entries takes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ratewire.embedded.server_user import ServerUser, child_environment

POLL_SECONDS = 0.02

# proc_pid_stat(5), counted from the field after the command name, which is the third.
_STAT_STATE = 0
_STAT_SESSION = 6 - 3
_STAT_STARTTIME = 22 - 3


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process: its pid, and when it started, since pids are used again."""

    pid: int
    start_ticks: int

    def is_alive(self) -> bool:
        """Whether it still runs. If it is a dead child of ours, it is reaped on the way."""
        status = _read_status(self.pid)
        if status is None or status.start_ticks != self.start_ticks:
            return False
        if status.has_ended:
            _reap(self.pid)
        return not status.has_ended

    def signal(self, number: int) -> bool:
        """Send it a signal; False when it is gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    async def wait_until_gone(self, timeout_seconds: float) -> bool:
        """Wait for its end; False when it still runs after `timeout_seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while self.is_alive():
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


class _Status(msgspec.Struct, frozen=True):
    start_ticks: int
    has_ended: bool
    session: int


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has `pid` now; None for none, and for one that has ended unreaped."""
    status = _read_status(pid)
    if status is None or status.has_ended:
        return None
    return ProcessIdentity(pid=pid, start_ticks=status.start_ticks)


def has_entry(pid: int) -> bool:
    """Whether anything has `pid`, also a process that has ended and has not been reaped.

    That is when kill(2) finds it.
    """
    return _read_status(pid) is not None


def session_leaders() -> Iterator[int]:
    """The pids of all processes that lead a session, as those of `start_detached` do.

    What they fork does not.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            pid = int(entry.name)
            status = _read_status(pid)
            if status is not None and status.session == pid:
                yield pid


def _read_status(pid: int) -> _Status | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in parentheses and may itself hold any character.
    fields = text.rpartition(")")[2].split()
    return _Status(
        start_ticks=int(fields[_STAT_STARTTIME]),
        has_ended=fields[_STAT_STATE] in ("Z", "X"),
        session=int(fields[_STAT_SESSION]),
    )


def command_line(pid: int) -> tuple[str, ...]:
    """The arguments that `pid` was started with; empty when it is gone."""
    try:
        content = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(os.fsdecode(part) for part in content.split(b"\0")[:-1])


def effective_uid(pid: int) -> int | None:
    """The effective uid of `pid`; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in text.splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[2])
    return None


def start_detached(
    argv: Sequence[str],
    user: ServerUser,
    *,
    output: int,
    inherited: int,
    environment: Mapping[str, str],
) -> ProcessIdentity | None:
    """Start `argv` as `user` in a session of its own, to outlive us; None if it ended at once.

    `output` is the descriptor for its standard output and errors, `inherited` one more that it
    keeps; `environment` is added to the servers' common one. Ctrl-C in our terminal does not reach
    it, nor does our death.
    Raises OSError when it cannot be executed.
    """
    process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(inherited,),
        cwd="/",
        env=child_environment(os.environ) | dict(environment),
        start_new_session=True,
        umask=0o077,
        user=None if user.is_self else user.uid,
        group=None if user.is_self else user.gid,
        extra_groups=None if user.is_self else [],
    )
    identity = identify(process.pid)
    # From here on it is a process like any other, known by its identity: Popen would otherwise
    # complain that it is still running when we leave it running, which is the purpose.
    process.returncode = 0
    return identity


def _reap(pid: int) -> None:
    """Collect a dead child; nothing happens when `pid` lives or is not our child."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
