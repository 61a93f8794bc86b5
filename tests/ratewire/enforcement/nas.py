"""A NAS on real UDP that takes Disconnect-Requests, and answers with pyrad as it is told."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from radius.clients import Client, network
from radius.profiles import builtin_profiles
from radius.requests import dynamic_reply, read_dynamic_request
from ratewire.nas import NasDirectory
from tests.ratewire.provider import SECRET

Behaviour = Callable[[dict[str, list[Any]], bytes], bytes | None]
"""What to answer to a request with these attributes; None for nothing."""


def ack(_attributes: dict[str, list[Any]], request: bytes) -> bytes:
    return dynamic_reply(request, secret=SECRET, ack=True)


def nak(cause: int | None) -> Callable[[dict[str, list[Any]], bytes], bytes]:
    def refuse(_attributes: dict[str, list[Any]], request: bytes) -> bytes:
        return dynamic_reply(request, secret=SECRET, ack=False, error_cause=cause)

    return refuse


def silence(_attributes: dict[str, list[Any]], _request: bytes) -> None:
    return None


class Nas(asyncio.DatagramProtocol):
    """What it was sent, in order: attributes, octets and times (seconds, monotonic)."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[dict[str, list[Any]]] = []
        self.datagrams: list[bytes] = []
        self.times: list[float] = []
        self.asked = asyncio.Event()
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = read_dynamic_request(data, secret=SECRET)
        assert request is not None, "what is not genuine"
        self.requests.append(request.attributes)
        self.datagrams.append(data)
        self.times.append(time.monotonic())
        self.asked.set()
        answer = self.behaviour(request.attributes, data)
        if answer is not None:
            self._transport.sendto(answer, addr)

    def directory(self, name: str = "pop1", source: str = "10.0.0.1") -> NasDirectory:
        """The NASes that are configured: this one."""
        client = Client(
            name=name,
            source=network(source),
            secret=SECRET,
            coa_host="127.0.0.1",
            coa_port=self.port,
        )
        return NasDirectory(1, {name: client}, builtin_profiles())


@asynccontextmanager
async def listening(behaviour: Behaviour) -> AsyncGenerator[Nas]:
    """A NAS on a free port."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Nas(behaviour), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol
    finally:
        transport.close()
