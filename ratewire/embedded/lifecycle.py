"""Start a server or adopt the one that runs, wait until it answers, stop it.

All of it happens under the start lock of the place, so that nobody else starts or stops there.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os

import msgspec

from ratewire.embedded.errors import ServerStartError
from ratewire.embedded.locks import FileLock
from ratewire.embedded.private_files import open_private_file
from ratewire.embedded.process import ProcessIdentity, command_line, start_detached
from ratewire.embedded.programs import Programs
from ratewire.embedded.server import Answer, Server

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
# Without any answer from a process that lives. One that says it is loading is waited for longer.
SILENCE_SECONDS = 60
LOADING_SECONDS = 3600
LOADING_LOG_SECONDS = 10
# A living server whose socket is not there: it binds within moments of its start.
NO_SOCKET_SECONDS = 5
# What a killed server forked notices the loss and ends by itself.
LEFTOVER_SECONDS = 15
STOP_SECONDS = 60


class Waited(enum.Enum):
    """How waiting for a server's answer ended."""

    READY = "ready"
    ENDED = "ended"
    """The process is gone."""
    NO_SOCKET = "no socket"
    """It lives but its socket is gone, so nobody can reach it."""
    SILENT = "silent"
    """It lives, and neither answered nor said that it is loading."""


class Started(msgspec.Struct, frozen=True):
    """A server that answers."""

    process: ProcessIdentity
    adopted: bool
    """It was running already."""


async def start_or_adopt(server: Server, programs: Programs) -> Started:
    """Make sure that `server` runs and answers.

    Raises ServerStartError, with the end of the server's log, when it does not come up.
    """
    while True:
        running = server.find()
        if running is not None and await _adopt(server, running):
            return Started(running, adopted=True)
        lock = await _lock_for_start(server)
        if lock is not None:
            with lock:
                process = await _start(server, programs, lock)
            return Started(await _require_ready(server, process), adopted=False)


async def _adopt(server: Server, running: ProcessIdentity) -> bool:
    """Wait for the server that runs to answer; False when it has ended or had to be stopped."""
    waited = await wait_until_ready(server, running)
    if waited is Waited.SILENT:
        reason = f"(pid {running.pid}) runs but does not answer on {server.socket_path}"
        raise ServerStartError(server.name, reason, server.log_tail())
    if waited is Waited.NO_SOCKET:
        logger.warning(
            "embedded %s (pid %d) has lost its socket %s: starting it again",
            server.name,
            running.pid,
            server.socket_path,
        )
        await stop(server)
    elif waited is Waited.READY:
        _note_other_settings(server, running)
    return waited is Waited.READY


async def _lock_for_start(server: Server) -> FileLock | None:
    """The server's own lock, which the new server inherits; None when one turns out to run.

    The kernel keeps it for the last one while any process of that lives, whatever the pid file
    says: two Valkeys on one append-only file would destroy it.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LEFTOVER_SECONDS
    lock = FileLock(server.lock_path)
    while not lock.try_acquire():
        if server.find() is not None:
            # Its starter was killed before it had written its pid file.
            return None
        if loop.time() >= deadline:
            raise ServerStartError(
                server.name,
                f"cannot start: processes of the last one still hold {server.lock_path} "
                f"(see `fuser {server.lock_path}`)",
                server.log_tail(),
            )
        await asyncio.sleep(POLL_SECONDS)
    return lock


async def _start(server: Server, programs: Programs, lock: FileLock) -> ProcessIdentity | None:
    await asyncio.to_thread(server.prepare, programs)
    output = open_private_file(server.output_path, os.O_WRONLY | os.O_TRUNC)
    try:
        argv = [str(server.program(programs)), *server.arguments()]
        return start_detached(
            argv,
            server.place.user,
            output=output,
            inherited=lock.fileno(),
            environment=server.environment,
        )
    finally:
        os.close(output)


async def _require_ready(server: Server, process: ProcessIdentity | None) -> ProcessIdentity:
    waited = Waited.ENDED if process is None else await wait_until_ready(server, process)
    if process is None or waited is Waited.ENDED:
        raise ServerStartError(server.name, "ended while it started", server.log_tail())
    if waited is not Waited.READY:
        reason = f"(pid {process.pid}) started but does not answer on {server.socket_path}"
        raise ServerStartError(server.name, reason, server.log_tail())
    logger.info("embedded %s started, pid %d", server.name, process.pid)
    return process


async def wait_until_ready(server: Server, process: ProcessIdentity) -> Waited:
    """Wait for `server`, which runs as `process`, to answer that it is ready."""
    loop = asyncio.get_running_loop()
    began = last_sign = last_logged = loop.time()
    while True:
        answer = await server.answer()
        now = loop.time()
        if answer is Answer.READY:
            return Waited.READY
        if not process.is_alive():
            return Waited.ENDED
        if answer is Answer.LOADING:
            last_sign = now
        elif now - last_sign >= NO_SOCKET_SECONDS and not server.socket_path.exists():
            return Waited.NO_SOCKET
        if now - last_sign >= SILENCE_SECONDS or now - began >= LOADING_SECONDS:
            return Waited.SILENT
        if now - last_logged >= LOADING_LOG_SECONDS:
            last_logged = now
            logger.info(
                "waiting for embedded %s for %d s (%s)", server.name, now - began, answer.value
            )
        await asyncio.sleep(POLL_SECONDS)


async def stop(server: Server) -> bool:
    """Stop `server` if it runs, in good order; whether it has ended within STOP_SECONDS.

    One that has not is left to finish: it has been told, and killing it would gain nothing.
    """
    process = server.find()
    if process is None:
        return True
    process.signal(server.stop_signal)
    if not await process.wait_until_gone(STOP_SECONDS):
        logger.error(
            "embedded %s (pid %d) has been told to stop and is still at it after %d s",
            server.name,
            process.pid,
            STOP_SECONDS,
        )
        return False
    logger.info("embedded %s stopped", server.name)
    return True


def _note_other_settings(server: Server, process: ProcessIdentity) -> None:
    if list(command_line(process.pid)[1:]) != server.arguments():
        logger.info(
            "embedded %s (pid %d) runs with other settings; the present ones take effect when it "
            "is next started",
            server.name,
            process.pid,
        )
