"""One connection to the store that carries any number of commands at a time, answered in order.

What redis-py does for a command costs several times what a command has to, and each batch of
records waits for it (docs/decisions/0008-store-connection.md). So it opens the connection, with all
that belongs to that (TLS, passwords, the handshake), and then the transport is handed over to this
protocol: packing and parsing are hiredis's, in C, and between them is a queue.
"""

import asyncio
from collections import deque
from typing import Any, Protocol, cast

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from balances.packing import pack

#: What the parser returns while a reply is not complete; a reply may be False.
_INCOMPLETE = object()

#: A command as the store takes it: its name and its arguments.
Command = tuple[bytes | str | int, ...]


class Opener(Protocol):
    """A connection of redis-py that was not used yet; its stream is what is taken over."""

    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None

    async def connect(self) -> None: ...


class Wire(asyncio.Protocol):
    """An open connection. Once it is lost, for whatever reason, it stays so: open another."""

    def __init__(self, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self._writer = writer  # kept, for it closes the transport when nobody holds it any more
        self._transport = cast("asyncio.Transport", writer.transport)
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader(
            protocolError=RedisConnectionError,
            replyError=cast("Any", ResponseError),
            notEnoughData=_INCOMPLETE,
        )
        # Who asked, whether it is the last of their commands, and when.
        self._waiting: deque[tuple[asyncio.Future[Any], bool, float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.lost = False

    @classmethod
    async def open(cls, opener: Opener, timeout_s: float) -> "Wire":
        """Connect. Raises what redis-py raises."""
        await opener.connect()
        # There is no other way to them: redis-py does not lend its streams.
        writer = opener._writer  # pyright: ignore[reportPrivateUsage]
        opener._reader = opener._writer = None  # pyright: ignore[reportPrivateUsage]
        if writer is None or writer.is_closing():
            raise RedisConnectionError("the connection was lost as soon as it was there")
        wire = cls(writer, timeout_s)
        writer.transport.set_protocol(wire)
        return wire

    def ask(self, *commands: Command) -> asyncio.Future[Any]:
        """Send commands, at once; return the reply to the last of them, when it is there.

        Its exception is the first of theirs, one of redis-py's. Whoever stops waiting does not
        hinder the others.
        """
        answer = self._loop.create_future()
        if self.lost:
            answer.set_exception(RedisConnectionError("the connection to the store is lost"))
            return answer
        now = self._loop.time()
        for _ in commands[1:]:
            self._waiting.append((answer, False, now))
        self._waiting.append((answer, True, now))
        self._transport.write(b"".join(map(pack, commands)))
        if self._watch is None:
            self._watch = self._loop.call_at(now + self._timeout_s, self._look)
        return answer

    def close(self) -> None:
        """Close the connection; what is under way fails."""
        self._fail(RedisConnectionError("the connection to the store was closed"))

    def data_received(self, data: bytes) -> None:
        parser, waiting = self._parser, self._waiting
        try:
            parser.feed(data)
            while (reply := parser.gets()) is not _INCOMPLETE:
                if isinstance(reply, hiredis.PushNotification):
                    continue
                answer, last, _ = waiting.popleft()
                if answer.done():
                    continue
                if isinstance(reply, ResponseError):
                    answer.set_exception(reply)
                elif last:
                    answer.set_result(reply)
        except (RedisConnectionError, IndexError) as error:
            # Not the protocol, or more answers than questions: nothing that comes can be trusted.
            self._fail(RedisConnectionError(f"the store speaks another protocol: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(RedisConnectionError(f"the connection to the store was lost: {exc or 'closed'}"))

    def _look(self) -> None:
        """See whether the oldest command has waited for too long."""
        self._watch = None
        if not self._waiting:
            return
        due = self._waiting[0][2] + self._timeout_s
        if self._loop.time() < due:
            self._watch = self._loop.call_at(due, self._look)
            return
        self._fail(RedisTimeoutError(f"the store has not answered for {self._timeout_s:g} s"))

    def _fail(self, error: RedisError) -> None:
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for answer, _, _ in waiting:
            if not answer.done():
                answer.set_exception(error)
