"""The asyncio edge of the server: one socket, one engine, bounded batches in flight.

Plain asyncio, so it runs on any event loop that has `add_reader`. The unit of work is the batch of
datagrams that the socket has ready. While the allowed number of batches is being handled the socket
is not read: the kernel's buffer is the queue, its length is bounded, and what it drops is counted.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from radius.engine import Address, Intake, PortKind
from radius.packet import Fault
from radius.udp import UdpSocket

R = TypeVar("R")

Handler = Callable[[Sequence[R]], Awaitable[Sequence[R]]]
"""Takes a batch and returns those of its requests whose effect is durable: they are answered. The
others are abandoned, and processed anew when the NAS retransmits them."""

_log = logging.getLogger(__name__)

_FAULT_LOG_INTERVAL_MS = 60_000


class ListenerStats(msgspec.Struct):
    """Counts since the listener was made."""

    datagrams: int = 0
    batches: int = 0
    """Batches handed to the handler."""
    failed_batches: int = 0
    """Batches whose handler raised."""
    replies: int = 0
    unsent_replies: int = 0
    """Replies that the kernel did not take."""
    pauses: int = 0
    """How often reading stopped because all batches were in flight."""


class PortEngine(Protocol[R]):
    """What a listener asks of the engine of its port."""

    drops: Counter[str]
    answers: Counter[str]

    @property
    def port_kind(self) -> PortKind: ...

    @property
    def requests_remembered(self) -> int: ...

    def receive(self, datagrams: Sequence[tuple[bytes, Address]], now_ms: int) -> Intake[R]: ...

    def answer(self, request: R, now_ms: int) -> tuple[bytes, Address]: ...

    def abandon(self, request: R) -> None: ...


class Listener(Generic[R]):
    """Receives for `engine`, lets `handler` process, answers. `start` it in a running event loop.

    `batch` bounds the datagrams read at once, `in_flight` the batches handled at once.
    """

    def __init__(
        self,
        engine: PortEngine[R],
        handler: Handler[R],
        *,
        bind: str,
        port: int,
        recv_buffer_octets: int = 4 * 1024 * 1024,
        batch: int = 256,
        in_flight: int = 4,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        on_stage: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        """`on_stage` is told, for each batch, the seconds spent in "decode" (verifying, too), and
        in "answer": from when its datagrams were read until its last reply was sent.
        """
        assert batch > 0
        assert in_flight > 0
        self.engine = engine
        self.stats = ListenerStats()
        self._handler = handler
        self._bind = bind
        self._port = port
        self._recv_buffer_octets = recv_buffer_octets
        self._batch = batch
        self._in_flight = in_flight
        self._now_ms = now_ms
        self._on_stage = on_stage
        self._socket: UdpSocket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = False
        self._closing = False
        self._fault_log = _FaultLog()

    def start(self) -> None:
        """Bind and begin to read. Raises OSError when the address cannot be bound."""
        assert self._socket is None, "a listener starts once"
        self._socket = UdpSocket(
            self._bind, self._port, recv_buffer_octets=self._recv_buffer_octets
        )
        granted = self._socket.granted_octets
        if granted < self._recv_buffer_octets:
            _log.warning(
                "RADIUS receive buffer on %s port %d: %d octets asked, %d granted; "
                "raise net.core.rmem_max to hold a burst of accounting",
                *(self.host, self.port, self._recv_buffer_octets, granted),
            )
        self._resume()

    @property
    def host(self) -> str:
        """The address that is bound."""
        return self._open_socket.host

    @property
    def port(self) -> int:
        """The port that is bound, also when it was the kernel's choice."""
        return self._open_socket.port

    @property
    def granted_recv_buffer_octets(self) -> int:
        """What the kernel granted of `recv_buffer_octets`."""
        return self._open_socket.granted_octets

    @property
    def batches_in_flight(self) -> int:
        """How many batches the handler has now, 0 to `in_flight`."""
        return len(self._tasks)

    def kernel_drops(self) -> int | None:
        """Datagrams lost to a full receive buffer since `start`; None when that is not known.

        Not known either before `start` and after `close`.
        """
        return None if self._socket is None else self._socket.kernel_drops()

    async def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Stop reading, let batches in flight finish and be answered, then close the socket.

        Batches that take longer than `timeout_seconds` are cancelled and abandoned. To close again,
        also meanwhile, does no harm.
        """
        bound = self._socket
        if bound is None:
            return
        self._closing = True
        self._pause()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        bound.close()
        self._socket = None

    @property
    def _open_socket(self) -> UdpSocket:
        assert self._socket is not None, "the listener is not started, or closed"
        return self._socket

    def _on_readable(self) -> None:
        """Take one batch. With more ready than that, the event loop calls again."""
        datagrams = self._open_socket.receive_ready(self._batch)
        if not datagrams:
            return
        began = time.perf_counter()
        now_ms = self._now_ms()
        self.stats.datagrams += len(datagrams)
        intake = self.engine.receive(datagrams, now_ms)
        for reply, address in intake.replies:
            self._send(reply, address)
        for fault, address in intake.faults:
            self._fault_log.note(fault, address, now_ms)
        self._on_stage("decode", time.perf_counter() - began)
        if not intake.requests:
            return
        self.stats.batches += 1
        task = asyncio.get_running_loop().create_task(self._serve(intake.requests, began))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        if len(self._tasks) >= self._in_flight:
            self.stats.pauses += 1
            self._pause()

    async def _serve(self, requests: Sequence[R], began: float) -> None:
        """Have one batch handled, answer what is durable, abandon the rest."""
        durable: frozenset[int] = frozenset()
        try:
            # By identity: a record holds a dictionary, so requests have no hash.
            durable = frozenset(map(id, await self._handler(requests)))
        except Exception:  # noqa: BLE001 - one failed batch must not end the service
            self.stats.failed_batches += 1
            _log.exception("batch of %d requests failed, abandoned", len(requests))
        finally:
            now_ms = self._now_ms()
            for request in requests:
                if id(request) in durable:
                    self._send(*self.engine.answer(request, now_ms))
                else:
                    self.engine.abandon(request)
            self._on_stage("answer", time.perf_counter() - began)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("answering a batch of requests failed", exc_info=error)
        if not self._closing:
            self._resume()

    def _send(self, reply: bytes, address: Address) -> None:
        if self._open_socket.send(reply, address):
            self.stats.replies += 1
        else:
            self.stats.unsent_replies += 1

    def _resume(self) -> None:
        if not self._reading:
            asyncio.get_running_loop().add_reader(self._open_socket.fileno(), self._on_readable)
            self._reading = True

    def _pause(self) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(self._open_socket.fileno())
            self._reading = False


class _FaultLog:
    """Says once a minute for each reason what was dropped, so that no flood fills the log."""

    def __init__(self) -> None:
        self._last_ms: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}

    def note(self, fault: Fault, address: Address, now_ms: int) -> None:
        reason = fault.reason
        if reason == "duplicate_in_flight":
            return  # the ordinary life of a busy server
        last_ms = self._last_ms.get(reason)
        if last_ms is not None and 0 <= now_ms - last_ms < _FAULT_LOG_INTERVAL_MS:
            self._unsaid[reason] = self._unsaid.get(reason, 0) + 1
            return
        self._last_ms[reason] = now_ms
        _log.warning(
            "dropped a datagram from %s port %s: %s (%s; %d more since last told)",
            *(address[0], address[1], fault.detail, reason, self._unsaid.pop(reason, 0)),
        )
