"""The embedded servers as the rest of Ratewire uses them.

Any number of processes use them at once: `serve`, and the commands beside it. Each holds a shared
lock on users.lock while it does. Who leaves last, and so obtains that lock exclusively, stops the
servers. Starting and stopping are serialised by start.lock. Both are flock(2) locks, so a process
that is killed leaves by dying, and its servers live on for the next one to adopt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from ratewire.embedded import lifecycle
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.locks import FileLock
from ratewire.embedded.place import SYSTEM_DIRECTORY, Place, claim_place, find_place
from ratewire.embedded.postgres import Postgres
from ratewire.embedded.process import ProcessIdentity
from ratewire.embedded.programs import Programs, find_programs, remove_other_copies
from ratewire.embedded.server import Server
from ratewire.embedded.valkey import Valkey

logger = logging.getLogger(__name__)

# Whoever holds start.lock may be waiting for a server that reads its data.
START_LOCK_SECONDS = lifecycle.LOADING_SECONDS
# Somebody who stops them. Behind somebody who starts them there is no need to wait for longer: that
# one uses them next, and stops them in the end.
LEAVE_LOCK_SECONDS = lifecycle.STOP_SECONDS + 10
DEFAULT_MEMORY_MB = 512
# Lines of its log that are told of a server that has ended: why it did, if it knew.
LAST_WORDS = 5


class ServerStatus(msgspec.Struct, frozen=True):
    """One embedded server as it is found."""

    name: str
    pid: int | None
    """None: it does not run."""
    data_directory: Path
    socket_path: Path
    log_file: Path


class EmbeddedServers:
    """One process's use of the embedded servers of a data directory.

    async with EmbeddedServers.use(Path("var")) as servers:
        connect(servers.store_url, servers.database_url)

    Not bound to an event loop; one instance is entered once.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        want_store: bool,
        want_database: bool,
        memory_mb: int,
        programs: Programs | None,
        system_directory: Path,
    ) -> None:
        """See `use`."""
        assert want_store or want_database, "nothing is wanted"
        self._data_dir = data_dir
        self._want_store = want_store
        self._want_database = want_database
        self._memory_mb = memory_mb
        self._programs = programs
        self._system_directory = system_directory
        self._place: Place | None = None
        self._membership: FileLock | None = None
        self._processes: dict[str, ProcessIdentity] = {}
        self._wanted: list[Server] = []

    @classmethod
    def use(
        cls,
        data_dir: Path,
        *,
        want_store: bool = True,
        want_database: bool = True,
        memory_mb: int = DEFAULT_MEMORY_MB,
        programs: Programs | None = None,
        system_directory: Path = SYSTEM_DIRECTORY,
    ) -> EmbeddedServers:
        """A context in which the wanted servers of `data_dir` run; created at first use.

        `memory_mb` is Valkey's bound in mebioctets. `programs` are those of the installed wheels
        unless given. Entering raises EmbeddedServersError; when it does, or is cancelled, what
        nobody else uses has been stopped again.
        """
        return cls(
            data_dir,
            want_store=want_store,
            want_database=want_database,
            memory_mb=memory_mb,
            programs=programs,
            system_directory=system_directory,
        )

    @property
    def store_url(self) -> str:
        """unix:///PATH for redis-py. Only within the context, and only if the store is wanted."""
        return self._server(Valkey).url

    @property
    def database_url(self) -> str:
        """A DSN for asyncpg. Only within the context, and only if the database is wanted."""
        return self._server(Postgres).url

    @property
    def status(self) -> tuple[ServerStatus, ...]:
        """The wanted servers as they are now."""
        return tuple(map(_status, self._wanted))

    def _server(self, kind: type[Valkey] | type[Postgres]) -> Server:
        for server in self._wanted:
            if isinstance(server, kind):
                return server
        raise AssertionError(f"{kind.name} is not wanted, or this is outside the context")

    async def __aenter__(self) -> EmbeddedServers:
        """Start or adopt the wanted servers and wait until they answer."""
        assert self._place is None, "entered twice"
        self._place = await asyncio.to_thread(claim_place, self._data_dir, self._system_directory)
        try:
            with _as_embedded_error(self._place):
                await self._enter(self._place)
        except BaseException:
            await self._leave()
            raise
        return self

    async def _enter(self, place: Place) -> None:
        with await _lock_start(place):
            # It is taken exclusively only under start.lock, and so is free for us now.
            membership = FileLock(place.users_lock)
            taken = membership.try_acquire(shared=True)
            assert taken, f"{place.users_lock} is locked without {place.start_lock}"
            self._membership = membership
            programs = self._programs or find_programs()
            self._programs = await asyncio.to_thread(place.prepare_programs, programs)
            run_directory = place.run_directory()
            if self._want_store:
                self._wanted.append(Valkey(place, run_directory, self._memory_mb))
            if self._want_database:
                self._wanted.append(Postgres(place, run_directory))
            await self._start(self._wanted)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave; the last one to leave stops the servers."""
        await self._leave()

    async def ensure_running(self) -> tuple[str, ...]:
        """Start again what has died; the names of the servers that were started or adopted anew.

        Cheap while all is well: meant to be called every second. Raises EmbeddedServersError when
        a server does not come up; call again to try again.
        """
        assert self._place is not None
        assert self._membership is not None, "outside the context"
        with _as_embedded_error(self._place):
            for server in self._wanted:
                server.bound_logs()
            dead = [server for server in self._wanted if not self._is_reachable(server)]
            if not dead:
                return ()
            for server in dead:
                logger.error(
                    "embedded %s is not running: starting it again; its log ends:\n%s",
                    server.name,
                    "\n".join(server.log_tail().splitlines()[-LAST_WORDS:]),
                )
            with await _lock_start(self._place):
                await self._start(dead)
        return tuple(server.name for server in dead)

    def _is_reachable(self, server: Server) -> bool:
        process = self._processes.get(server.name)
        return process is not None and process.is_alive() and server.socket_path.exists()

    async def _start(self, servers: Sequence[Server]) -> None:
        place, programs = self._place, self._programs
        assert place is not None
        assert programs is not None
        run_directory = await asyncio.to_thread(place.prepare_run_directory)
        for server in servers:
            server.run_directory = run_directory
        starts = [lifecycle.start_or_adopt(server, programs) for server in servers]
        # Both to their end, so that no start goes on behind a failure of the other.
        results = await asyncio.gather(*starts, return_exceptions=True)
        failures: list[BaseException] = []
        for server, result in zip(servers, results, strict=True):
            if isinstance(result, BaseException):
                failures.append(result)
            else:
                self._processes[server.name] = result.process
        for failure in failures:
            if not isinstance(failure, EmbeddedServersError):
                raise failure
        if failures:
            raise EmbeddedServersError("\n".join(map(str, failures))) from failures[0]

    async def _leave(self) -> None:
        place, membership = self._place, self._membership
        if place is None or membership is None:
            return
        self._membership = None
        self._wanted = []
        membership.release()
        await _stop_if_unused(place, self._programs)


async def stop_unused(data_dir: Path) -> bool:
    """Stop the servers of `data_dir` that nobody uses, such as those of a process that was killed.

    True when none runs afterwards, False when somebody uses, starts or stops them.
    """
    place = find_place(data_dir)
    return place is None or await _stop_if_unused(place, None)


def describe(data_dir: Path) -> tuple[ServerStatus, ...]:
    """The embedded servers of `data_dir` as they are found; empty when it never had any.

    Starts, creates and changes nothing. Raises EmbeddedServersError when this user may not look.
    """
    place = find_place(data_dir)
    return () if place is None else tuple(map(_status, _all_servers(place)))


def _status(server: Server) -> ServerStatus:
    process = server.find()
    return ServerStatus(
        name=server.name,
        pid=None if process is None else process.pid,
        data_directory=server.data_directory,
        socket_path=server.socket_path,
        log_file=server.log_file,
    )


def _all_servers(place: Place) -> tuple[Server, ...]:
    run_directory = place.run_directory()
    return (Valkey(place, run_directory, DEFAULT_MEMORY_MB), Postgres(place, run_directory))


@contextlib.contextmanager
def _as_embedded_error(place: Place) -> Generator[None]:
    """A full disk, a file that is in the way: causes that only people can remove."""
    try:
        yield
    except OSError as error:
        raise EmbeddedServersError(
            f"the embedded servers in {place.root} cannot be started: {error}"
        ) from error


async def _lock_start(place: Place) -> FileLock:
    lock = FileLock(place.start_lock)
    if not await lock.acquire(timeout_seconds=START_LOCK_SECONDS):
        raise EmbeddedServersError(
            f"another process has been starting or stopping the embedded servers for "
            f"{START_LOCK_SECONDS} s (see `fuser {place.start_lock}`)"
        )
    return lock


async def _stop_if_unused(place: Place, programs: Programs | None) -> bool:
    lock = FileLock(place.start_lock)
    if not await lock.acquire(timeout_seconds=LEAVE_LOCK_SECONDS):
        return False
    with lock:
        users = FileLock(place.users_lock)
        if not users.try_acquire():
            return False
        with users:
            stopped = await asyncio.gather(*map(lifecycle.stop, _all_servers(place)))
            if all(stopped) and programs is not None:
                remove_other_copies(place.programs_directory, programs)
    return all(stopped)
