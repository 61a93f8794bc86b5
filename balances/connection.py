"""A connection to the store: commands and library functions, with errors in our terms."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from balances import functions, packing
from balances.errors import (
    StoreEmpty,
    StoreError,
    StoreFenced,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from balances.keys import prefix
from balances.wire import Command, Wire

#: What the library's functions say of a store without books.
EMPTY = "the store holds no books: initialise or rebuild it"

#: What the store says while it cannot work for a reason that passes: busy, loading, its disk full
#: (MISCONF), a replica or a cluster that is being failed over.
_TRANSIENT = (
    *("BUSY", "LOADING", "MISCONF", "READONLY", "MASTERDOWN"),
    *("NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"),
)


class _Client(Protocol):
    """The little of redis-py's client that is used here, typed."""

    @property
    def connection_pool(self) -> Any: ...

    @property
    def response_callbacks(self) -> MutableMapping[str | bytes, Any]: ...

    async def execute_command(self, *args: bytes | str | int) -> Any: ...

    async def aclose(self) -> None: ...


class Connection:
    """A client of the store that knows the function library and speaks in StoreErrors.

    `now_ms` replaces the store's clock, for simulated worlds and tests; None uses the store's.
    """

    def __init__(self, url: str, *, partition: int = 0, timeout_ms: int = 2000) -> None:
        self.prefix = prefix(partition)
        self.now_ms: int | None = None
        self._timeout_s = timeout_ms / 1000
        self._wire: Wire | None = None
        self._opening = asyncio.Lock()
        # A retry of our own would hide from the caller that time has passed: the NAS retries.
        self._client: _Client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] -- **kwargs
            url,
            protocol=3,
            socket_timeout=timeout_ms / 1000,
            socket_connect_timeout=timeout_ms / 1000,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
        pool = self._client.connection_pool
        pool.connection_class = packing.PACKED[pool.connection_class]
        # Replies as they come: the client's own shapes differ by command, version and protocol.
        self._client.response_callbacks.clear()

    async def close(self) -> None:
        """Close the connections to the store."""
        if self._wire is not None:
            self._wire.close()
        await self._client.aclose()

    async def command(self, *arguments: bytes | str | int) -> Any:
        """Send one command, which may wait. Raises a StoreError for whatever goes wrong."""
        try:
            return await self._client.execute_command(*arguments)
        except RedisError as error:
            raise store_error(error) from error

    async def ask(self, *commands: Command) -> Any:
        """Send commands that do not wait, and return the reply to the last of them.

        All such share a connection, and are under way together. Raises a StoreError.
        """
        try:
            return await self._ask(*commands)
        except RedisError as error:
            raise store_error(error) from error

    async def call(self, function: str, *arguments: bytes | str | int) -> Any:
        """Call a function of the library on this partition; loads the library if it is missing."""
        sent = ("FCALL", functions.name(function), 1, self.prefix, *arguments)
        try:
            return await self._ask(sent)
        except ResponseError as error:
            if not functions.is_missing(error):
                raise store_error(error) from error
        except RedisError as error:
            raise store_error(error) from error
        await self.load()
        return await self.ask(sent)

    async def read_books(self, field: str, *commands: Command) -> tuple[bytes | None, list[Any]]:
        """Read at one moment: a field of the partition's `meta`, and what the commands return.

        Raises StoreEmpty if there are no books (an emptied store must not look like one without
        subscribers), and StoreFenced while they are being rebuilt: half restored, they would make
        strangers of subscribers, which would be booked once the fence is lifted.
        """
        meta = ("HMGET", f"{self.prefix}:meta", "generation", "fence", field)
        replies = await self.ask(("MULTI",), meta, *commands, ("EXEC",))
        for reply in replies:
            if isinstance(reply, RedisError):
                raise store_error(reply)
        (generation, fence, value), *found = replies
        if generation is None:
            raise StoreEmpty(EMPTY)
        if fence is not None:
            raise StoreFenced(fence.decode())
        return value, found

    async def _ask(self, *commands: Command) -> Any:
        """The same as `ask`, with the client's errors."""
        wire = self._wire
        if wire is None or wire.lost:
            async with self._opening:
                wire = self._wire
                if wire is None or wire.lost:
                    opener = self._client.connection_pool.make_connection()
                    wire = self._wire = await Wire.open(opener, self._timeout_s)
        return await wire.ask(*commands)

    async def load(self, source: str | None = None) -> None:
        """Load the function library, unless it is there."""
        await functions.load(self.command, source)

    @property
    def clock(self) -> str:
        """The `now` argument of the functions."""
        return "" if self.now_ms is None else str(self.now_ms)


def store_error(error: RedisError) -> StoreError:
    """Return our error for the client's."""
    text = str(error)
    text = text.removeprefix("ERR ")
    if isinstance(error, OutOfMemoryError) or "OOM" in text[:4]:
        return StoreFull("the store has reached its memory bound (maxmemory, noeviction)")
    for word, kind in (("FENCED", StoreFenced), ("EMPTY", StoreEmpty), ("REFUSED", StoreRefused)):
        if text.startswith(word):
            return kind(text.removeprefix(word).split(" script:")[0].strip())
    if isinstance(error, RedisConnectionError | RedisTimeoutError) or text.startswith(_TRANSIENT):
        return StoreUnavailable(text)
    return StoreRefused(text)
