"""The asyncio edge of Disconnect and CoA: one connected UDP socket for each exchange.

A fresh source port for each exchange, because some NAS answer a second request with the same port
and Identifier with the reply to the first (RFC 5176 s6.3 lets them; strongSwan does for ever). A
connected socket takes datagrams from the NAS alone, and learns of its ICMP errors.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from radius.dynauth import Exchange, Outcome, Verdict

_log = logging.getLogger(__name__)

# Replies wait here only while `before_transmit` runs; whatever is beyond is junk.
_REPLY_QUEUE = 64


async def send(
    target: tuple[str, int],
    exchange: Exchange,
    *,
    before_transmit: Callable[[], Awaitable[bool]],
    bind_host: str | None = None,
) -> Verdict:
    """Run a fresh exchange with the NAS at `target` to its verdict.

    `before_transmit` is awaited before every transmission; when it returns False, nothing more is
    sent and the verdict is `CANCELLED`. What it raises passes through. `bind_host` is the local
    address to send from: the NAS picks the secret by it (RFC 5176 s2.3). An ICMP error is a lost
    transmission: the timers go on, since the port may be open again at the next one.
    """
    loop = asyncio.get_running_loop()
    replies: asyncio.Queue[bytes] = asyncio.Queue(_REPLY_QUEUE)
    try:
        sock = await _connected_socket(target, bind_host)
    except OSError as error:
        return Verdict(Outcome.UNSENT, exchange.transmissions, detail=str(error))
    transport, _ = await loop.create_datagram_endpoint(lambda: _Replies(replies), sock=sock)
    try:
        if not await before_transmit():
            return Verdict(Outcome.CANCELLED, exchange.transmissions)
        transport.sendto(exchange.first(_now_ms(loop)))
        while True:
            verdict = await _reply_before(exchange, replies)
            if verdict is not None:
                return verdict
            verdict = exchange.over(_now_ms(loop))
            if verdict is not None:
                return verdict
            if not await before_transmit():
                return Verdict(Outcome.CANCELLED, exchange.transmissions)
            # A reply may have come in meanwhile; then nothing more is to be sent.
            verdict = _reply_at_hand(exchange, replies)
            if verdict is not None:
                return verdict
            due = exchange.due(_now_ms(loop))
            if isinstance(due, Verdict):
                return due
            if due is not None:
                transport.sendto(due)
    finally:
        transport.close()


async def _connected_socket(target: tuple[str, int], bind_host: str | None) -> socket.socket:
    """A UDP socket that sends to `target` alone, and hears it alone. Raises OSError.

    Made here and not by the event loop, because uvloop leaks a socket that it cannot bind.
    """
    family = socket.AF_UNSPEC
    if bind_host is not None:
        family = socket.AF_INET6 if ":" in bind_host else socket.AF_INET
    found = await asyncio.get_running_loop().getaddrinfo(
        *target, family=family, type=socket.SOCK_DGRAM
    )
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if bind_host is not None:
            sock.bind((bind_host, 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _reply_before(exchange: Exchange, replies: asyncio.Queue[bytes]) -> Verdict | None:
    """The verdict of a genuine reply that comes before the exchange's next deadline, or None."""
    try:
        async with asyncio.timeout_at(exchange.next_deadline_ms / 1000):
            while True:
                verdict = exchange.receive(await replies.get())
                if verdict is not None:
                    return verdict
    except TimeoutError:
        return None


def _reply_at_hand(exchange: Exchange, replies: asyncio.Queue[bytes]) -> Verdict | None:
    """The verdict of a genuine reply that has already come, or None."""
    while not replies.empty():
        verdict = exchange.receive(replies.get_nowait())
        if verdict is not None:
            return verdict
    return None


def _now_ms(loop: asyncio.AbstractEventLoop) -> int:
    # Rounded, so that a timer that fires at its deadline is not found a millisecond early.
    return round(loop.time() * 1000)


class _Replies(asyncio.DatagramProtocol):
    """Puts datagrams into a queue."""

    def __init__(self, queue: asyncio.Queue[bytes]) -> None:
        self._queue = queue

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's form
        if not self._queue.full():
            self._queue.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        _log.debug("no way to the NAS for now: %s", exc)
