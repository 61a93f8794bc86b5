"""A role at work in this process, a NAS that speaks to it, and waiting for what it does."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from radius.requests import accounting_request
from tests.ratewire.provider import SECRET

STOP_S = 15.0


@asynccontextmanager
async def running(
    role: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
) -> AsyncGenerator[asyncio.Event]:
    """Run a role; at the end it is told to stop, and must."""
    stop = asyncio.Event()
    task = asyncio.create_task(role(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(STOP_S):
            await task


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


def start(session: str = "s1", user: str = "bob", **changes: Any) -> dict[str, Any]:
    """The attributes of a Start; `changes` with underscores for hyphens."""
    attributes: dict[str, Any] = {
        "Acct-Status-Type": 1,
        "Acct-Session-Id": session,
        "User-Name": user,
        "NAS-Identifier": "bras",
    }
    return attributes | {name.replace("_", "-"): value for name, value in changes.items()}


class Speaker:
    """A NAS's socket, connected to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(("127.0.0.1", port))
        self._identifier = 0

    def account(self, attributes: dict[str, Any], *, secret: bytes = SECRET) -> bytes:
        """Send an Accounting-Request; return its octets."""
        self._identifier += 1
        request = accounting_request(attributes, secret=secret, identifier=self._identifier)
        self.send(request)
        return request

    def send(self, datagram: bytes) -> None:
        """Send any octets; to whom nobody listens they are lost."""
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.send(datagram)
            return
        # That was the fate of an earlier datagram; this one has not been sent.
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.send(datagram)

    async def reply(self, seconds: float = 5.0) -> bytes | None:
        """The next reply; None if none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        except (TimeoutError, ConnectionRefusedError):
            return None

    async def answered(self, attributes: dict[str, Any]) -> None:
        """Send an Accounting-Request until it is answered, as a NAS does."""
        request = self.account(attributes)

        async def is_answered() -> bool:
            self.send(request)
            return await self.reply(0.2) is not None

        await eventually(is_answered)

    def close(self) -> None:
        self._socket.close()
