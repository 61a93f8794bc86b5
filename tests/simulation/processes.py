"""The processes of the product, as they run in the simulated world.

The parts are the real ones: engine, intake, sweeper, settler, enforcer. What is written anew here
is what waits in them: sockets, timers, loops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any
from unittest.mock import patch

from balances.errors import StoreError
from billing.settlement.consumer import Settler
from radius.dynauth import Exchange, Outcome, Verdict
from radius.engine import Address, Engine, Request
from radius.records import AccountingRecord
from ratewire.enforcement import enforcer
from ratewire.enforcement.enforcer import Enforcer
from ratewire.nas import NasDirectory
from ratewire.observer import Silent
from ratewire.pipeline.intake import Archive, Intake
from ratewire.pipeline.raters import Raters
from ratewire.sweeper import Sweeper
from tests.simulation.clockwork import Clockwork, Mailbox
from tests.simulation.clockwork import Task as VirtualTask
from tests.simulation.postgres import Connection, Postgres
from tests.simulation.road import Road

#: Datagrams that a worker takes from its socket at once.
BATCH = 16

#: Batches that a worker has in the works at once.
IN_FLIGHT = 4


class Worker:
    """A listener process: its socket, its engine, its intake.

    `answering` is told of every record in the moment in which its answer goes out.
    """

    def __init__(
        self,
        name: str,
        road: Road,
        raters: Raters,
        archive: Archive,
        directory: NasDirectory,
        clockwork: Clockwork,
        random: Random,
        clock_ms: Callable[[], int],
        send: Callable[[bytes, Address], None],
        answering: Callable[[AccountingRecord], None],
    ) -> None:
        self.name = name
        self._engine = Engine(directory.table)
        self._intake = Intake(road, raters, archive, Silent(), clock_ms=clock_ms)
        self._clockwork = clockwork
        self._random = random
        self._clock_ms = clock_ms
        self._send = send
        self._answering = answering
        self._buffer: list[tuple[bytes, Address]] = []
        self._reading = False
        self._in_flight = 0
        self.dead = False

    def receive(self, datagram: bytes, address: Address) -> None:
        """Take a datagram into the socket's buffer."""
        self._buffer.append((datagram, address))
        self._read_soon()

    def _read_soon(self) -> None:
        if not self._reading and self._buffer and self._in_flight < IN_FLIGHT:
            self._reading = True
            self._clockwork.after(self._random.choice((0, 0, 1, 30)), "read", self._read)

    def _read(self) -> None:
        self._reading = False
        if self.dead:
            return
        batch, self._buffer = self._buffer[:BATCH], self._buffer[BATCH:]
        intake = self._engine.receive(batch, self._clock_ms())
        assert not intake.faults or all(
            fault.reason == "duplicate_in_flight" for fault, _ in intake.faults
        ), intake.faults
        for reply, address in intake.replies:
            self._send(reply, address)
        if intake.requests:
            self._in_flight += 1
            self._clockwork.start(f"{self.name} batch", self, self._serve(intake.requests))
        self._read_soon()

    async def _serve(self, requests: list[Request]) -> None:
        durable = set(map(id, await self._intake.handle(requests)))
        self._in_flight -= 1
        for request in requests:
            if id(request) in durable:
                self._answering(request.record)
                self._send(*self._engine.answer(request, self._clock_ms()))
            else:
                self._engine.abandon(request)
        self._read_soon()


class Edges:
    """What the enforcer has of the outside: its tasks and its sockets, in virtual time.

    In place of the modules asyncio and radius.dynauth_client. `transmit` sends a datagram to a
    host.
    """

    Task = asyncio.Task  # named by annotations

    def __init__(
        self, clockwork: Clockwork, transmit: Callable[[bytes, str, Mailbox[bytes]], None]
    ) -> None:
        self._clockwork = clockwork
        self._transmit = transmit

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> VirtualTask:
        """Begin a task of the process that is at work now: asyncio.create_task."""
        at_work = self._clockwork.current
        assert at_work is not None
        return self._clockwork.start("enforcer job", at_work.owner, coroutine)

    async def send(
        self,
        target: tuple[str, int],
        exchange: Exchange,
        *,
        before_transmit: Callable[[], Awaitable[bool]],
        bind_host: str | None = None,
    ) -> Verdict:
        """Run an exchange to its verdict: radius.dynauth_client.send."""
        clockwork, host = self._clockwork, target[0]
        replies: Mailbox[bytes] = Mailbox(clockwork)
        if not await before_transmit():
            return Verdict(Outcome.CANCELLED, exchange.transmissions)
        self._transmit(exchange.first(clockwork.now_ms), host, replies)
        while True:
            reply = await replies.until(exchange.next_deadline_ms)
            verdict = exchange.over(clockwork.now_ms) if reply is None else exchange.receive(reply)
            if verdict is not None:
                return verdict
            if reply is not None:
                continue
            if not await before_transmit():
                return Verdict(Outcome.CANCELLED, exchange.transmissions)
            due = exchange.due(clockwork.now_ms)
            if isinstance(due, Verdict):
                return due
            if due is not None:
                self._transmit(due, host, replies)


@contextmanager
def enforcing_here(edges: Edges) -> Generator[None]:
    """Let enforcers work in virtual time while this lasts."""
    with patch.multiple(enforcer, asyncio=edges, dynauth_client=edges):
        yield


async def enforce(at_work: Enforcer, clockwork: Clockwork, random: Random) -> None:
    """Claim jobs and begin them, for ever."""
    while True:
        with suppress(StoreError):
            await at_work.step()
        await clockwork.tick(random.choice((250, 1_000, 4_000)))


async def sweep(sweeper: Sweeper, clockwork: Clockwork, random: Random) -> None:
    """Sweep for ever."""
    while True:
        try:
            pause_s = await sweeper.sweep()
        except StoreError:
            pause_s = 1.0
        if pause_s:
            await clockwork.tick(random.choice((250, 2_000, 8_000)))


async def settle(road: Road, connection: Connection, clockwork: Clockwork, random: Random) -> None:
    """Settle for ever, through whatever goes away. SettlementStopped is not caught: a violation."""
    settler = Settler(connection, road, road)  # pyright: ignore[reportArgumentType]
    while True:
        try:
            settled = await settler.settle_once(random.choice((1, 3, 50)))
        except (StoreError, ConnectionResetError):
            settled = 0
        if not settled or random.random() < 0.5:
            await clockwork.tick(random.choice((200, 3_000, 9_000)))


async def relay(road: Road, postgres: Postgres, clockwork: Clockwork, random: Random) -> None:
    """Bring movements to the store for ever: in order, but repeated, late, and out of turn."""
    while True:
        waiting = postgres.waiting()
        if waiting and not postgres.away:
            account, movements = random.choice(waiting)
            before = postgres.posted[account][: -len(movements)]
            brought = [*before[len(before) - random.choice((0, 0, 1)) :], *movements]
            if random.random() < 0.1:
                brought = brought[1:]
            if brought:
                try:
                    applied = await road.apply(brought)
                except StoreError:
                    applied = [0]
                done = max(applied)
                assert done <= len(postgres.posted[account]), "applied and never posted"
                postgres.relayed[account] = max(postgres.relayed[account], done)
        await clockwork.tick(random.choice((5, 1_000, 5_000)))
