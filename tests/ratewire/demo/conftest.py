"""A system that sells what the demo sells, and a NAS of its fleet that reports."""

import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from radius.records import AcctStatus
from ratewire.archive import Archive
from ratewire.demo.stock import NAS_CLIENT, stock
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import Raters
from ratewire.preparation import prepare
from ratewire.wiring import System, now_ms
from tests.ratewire.provider import Counting, request_of
from tests.ratewire.records import record

_sessions = itertools.count(1)


class Office:
    """The demo's system, with its customers; what its NASes report is charged and settled here."""

    def __init__(self, system: System) -> None:
        self.system = system
        raters = Raters(system.store, system.terms, clock_ms=now_ms, wraps_32=lambda client: False)
        self._intake = Intake(system.store, raters, Archive(system), Counting(), clock_ms=now_ms)

    async def report(
        self,
        status: AcctStatus,
        user: str,
        seconds: int = 0,
        octets: int = 0,
        *,
        session: str = "s1",
        at: float | None = None,
    ) -> None:
        """Send one record; its octets are all downloaded."""
        at_ms = now_ms() if at is None else int(at * 1000)
        counters: dict[str, Any] = {}
        if status is not AcctStatus.START:
            counters = {"session_seconds": seconds, "octets_in": 0, "octets_out": octets}
        made = record(
            status,
            session_id=session,
            user_name=user,
            client=NAS_CLIENT,
            nas=f"{NAS_CLIENT}/sim-127.96.0.1",
            source_host="127.96.0.1",
            event_time=at_ms // 1000,
            arrived_ms=at_ms,
            attributes={1: user.encode(), 44: session.encode(), 32: b"sim-127.96.0.1"},
            **counters,
        )
        assert len(await self._intake.handle([request_of(made)])) == 1

    async def session(self, user: str, seconds: int, octets: int) -> str:
        """A whole session of a user, of so many seconds until now; return its Acct-Session-Id."""
        session, began = f"session-{next(_sessions)}", time.time() - seconds
        await self.report(AcctStatus.START, user, session=session, at=began)
        half = began + seconds // 2
        await self.report(
            AcctStatus.INTERIM, user, seconds // 2, octets // 2, session=session, at=half
        )
        await self.report(AcctStatus.STOP, user, seconds, octets, session=session)
        return session

    async def settle(self) -> None:
        """Bring what is charged to the ledger."""
        settler = await self.system.settler()
        while await settler.settle_once(64):
            pass

    async def balances(self, *accounts: str) -> list[int]:
        found = await self.system.store.accounts(accounts)
        return [account.balance for account in found if account is not None]


@pytest.fixture
async def office(system: System) -> Office:
    """The demo's system at its first start."""
    await prepare(system, migrate=False)
    await stock(system)
    return Office(system)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """What speaks HTTP."""
    async with aiohttp.ClientSession() as session:
        yield session
