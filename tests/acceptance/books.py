"""Store and ledger of the running system, by the functions behind the command line's listings."""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import msgspec

from balances.jobs import Job
from billing.accounts import money
from billing.accounts import register as accounts
from billing.catalogue import plans
from billing.catalogue.planfile import read_plans
from billing.database import Connection
from billing.ledger.statement import StatementRow, statement
from billing.ledger.transaction import Kind
from billing.nas import register as nas_register
from billing.reconcile.run import Reconciliation, reconcile
from billing.review.listings import (
    EnforcementEvent,
    SessionAnomaly,
    UnratedSession,
    anomalies,
    enforcement,
    unrated,
)
from billing.sessions.explain import explain
from billing.sessions.statement import sessions
from billing.subscribers import register as subscribers
from billing.subscribers.login import NO_BOUNDS, Bounds, PasswordKind
from config.settings import Settings
from ratewire.preparation import prepare
from ratewire.views.sessions import SessionView, session_views
from ratewire.wiring import PARTITION, System, now, servers
from tests.acceptance.installation import eventually

Result = TypeVar("Result")

SAMPLE_PLANS = Path(__file__).parents[2] / "config/samples/plans.toml"


class Epoch(msgspec.Struct, frozen=True):
    """A session epoch as the ledger's side has it: its counters, and the charge of each record.

    Records that add no usage have no charge. `closed` is why it ended, None while it is open.
    """

    seconds: int
    octets_in: int
    octets_out: int
    charges: tuple[int, ...]
    closed: str | None = "stop"


class Money(msgspec.Struct, frozen=True):
    """An account in the store, in micros."""

    balance: int
    reserved: int
    available: int
    open_sessions: int


class Books:
    """Provisions accounts, and looks at them. Uses the embedded servers while it is open."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._names = itertools.count(1)
        self._system = self._run(self._open(settings))

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # Provisioning ------------------------------------------------------------------------------

    def load_sample_plans(self) -> None:
        """Load config/samples/plans.toml."""

        async def work(system: System, conn: Connection) -> None:
            await plans.load_plans(conn, read_plans(SAMPLE_PLANS), now())
            await (await system.relay()).publish()

        self._with_connection(work)

    def add_nas(self, name: str, source: str, *, secret: bytes, vendor: str, coa_port: int) -> None:
        """Let NASes of a network speak."""

        async def work(system: System, conn: Connection) -> None:
            await nas_register.add(
                conn,
                system.keyring,
                name,
                source=source,
                secret=secret,
                vendor=vendor,
                coa_port=coa_port,
                now=now(),
            )
            await (await system.relay()).publish()

        self._with_connection(work)

    def open_account(self, micros: int, *users: str, plan: str = "metered") -> str:
        """Open a prepaid account, topped up, whose users are on a plan; return its name."""
        account = f"account-{next(self._names)}-{users[0]}"

        async def work(system: System, conn: Connection) -> None:
            await accounts.create(conn, account, "EUR", now=now())
            await money.top_up(conn, account, micros, actor="tests", now=now())
            for user in users:
                await subscribers.add(
                    conn, system.keyring, user, account=account, plan=plan, now=now()
                )
            await (await system.relay()).drain([account])

        self._with_connection(work)
        return account

    def add_subscriber(
        self,
        user: str,
        account: str,
        *,
        plan: str = "metered",
        password: bytes | None = None,
        kind: PasswordKind = PasswordKind.CLEAR,
        bounds: Bounds = NO_BOUNDS,
    ) -> None:
        """As `ratewire subscriber add`."""

        async def work(system: System, conn: Connection) -> None:
            await subscribers.add(
                conn,
                system.keyring,
                user,
                account=account,
                plan=plan,
                password=password,
                kind=kind,
                bounds=bounds,
                now=now(),
            )
            await (await system.relay()).drain([account])

        self._with_connection(work)

    def top_up(self, account: str, micros: int) -> None:
        """As `ratewire topup`."""

        async def work(system: System, conn: Connection) -> None:
            await money.top_up(conn, account, micros, actor="tests", now=now())
            await (await system.relay()).drain([account])

        self._with_connection(work)

    def at_desk(self, work: Callable[[System, Connection], Awaitable[Result]]) -> Result:
        """What staff do, or look up, with the functions behind the HTTP API."""
        return self._with_connection(work)

    # Looking -----------------------------------------------------------------------------------

    def balance(self, account: str) -> Money:
        """As `ratewire balance`: live from the store."""
        [audit] = self._run(self._system.stream.inspect([account]))
        assert audit is not None
        live = audit.account
        assert audit.held == live.reserved
        assert live.available is not None
        return Money(live.balance, live.reserved, live.available, audit.sessions)

    def open_sessions(self, user: str) -> list[SessionView]:
        """As `ratewire sessions`: live from the store."""
        return self._run(session_views(self._system, user=user, limit=1000))

    def jobs(self, account: str) -> list[Job]:
        """The live enforcement jobs of an account."""
        found = self._run(self._system.housekeeping.live_jobs(1000))
        return [job for job in found if job.account == account]

    def job_events(self, account: str) -> list[EnforcementEvent]:
        """What happened to the enforcement jobs of an account, oldest first."""

        async def work(_: System, conn: Connection) -> list[EnforcementEvent]:
            return await enforcement(conn, limit=1000)

        found = self._with_connection(work)
        return [event for event in reversed(found) if event.account == account]

    def unrated(self, user: str) -> list[UnratedSession]:
        """As `ratewire unrated`."""

        async def work(_: System, conn: Connection) -> list[UnratedSession]:
            return await unrated(conn, username=user)

        return self._with_connection(work)

    def anomalies(self, account: str) -> list[SessionAnomaly]:
        """What was odd about the sessions of an account."""

        async def work(_: System, conn: Connection) -> list[SessionAnomaly]:
            return await anomalies(conn, account=account)

        return self._with_connection(work)

    def ledger(self, account: str) -> list[StatementRow]:
        """As `ratewire ledger`."""

        async def work(_: System, conn: Connection) -> list[StatementRow]:
            return await statement(conn, account, limit=100_000)

        return self._with_connection(work)

    def epochs(self, account: str) -> list[Epoch]:
        """The sessions of an account as they are settled, in the order in which they opened."""

        async def work(_: System, conn: Connection) -> list[Epoch]:
            found: list[Epoch] = []
            for each in await sessions(conn, account=account, limit=1000):
                explained = await explain(conn, each.session_uid)
                charges = tuple(charge.charged_micros for charge in explained.charges)
                assert sum(charges) == each.charged_micros
                found.append(
                    Epoch(each.seconds, each.octets_in, each.octets_out, charges, each.close_reason)
                )
            return found

        return self._with_connection(work)

    def reconcile(self) -> Reconciliation:
        """As `ratewire reconcile`."""

        async def work(system: System) -> Reconciliation:
            return await reconcile(
                await system.pool(), system.stream, system.stream, partition=PARTITION
            )

        return self._run(work(self._system))

    # Judging -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until all is settled; then store and ledger must agree to the micro."""

        def settled() -> Reconciliation | None:
            found = self.reconcile()
            return found if found.unsettled_entries == 0 else None

        found = eventually(settled)
        assert found.exact, found
        assert found.drift_micros == 0, found
        assert (found.parked_entries, found.unapplied_movements) == (0, 0), found

    def assert_account(
        self, account: str, paid_in: int, epochs: Sequence[Epoch], *, reserved: int = 0
    ) -> None:
        """An account's money, sessions, charges and ledger are just these, and reconcile exactly.

        Amounts are micros. `epochs` are its sessions, in any order.
        """
        self.settle()
        assert Counter(self.epochs(account)) == Counter(epochs)
        charged = sum(sum(epoch.charges) for epoch in epochs)
        balance = paid_in - charged
        running = sum(epoch.closed is None for epoch in epochs)
        assert self.balance(account) == Money(balance, reserved, balance - reserved, running)
        rows = self.ledger(account)
        assert sum(row.amount_micros for row in rows if row.kind is Kind.TOPUP) == paid_in
        assert sum(row.amount_micros for row in rows if row.kind is Kind.USAGE) == -charged
        assert rows[-1].balance_micros == balance

    # The loop ----------------------------------------------------------------------------------

    async def _open(self, settings: Settings) -> System:
        urls, _ = await self._stack.enter_async_context(servers(settings))
        system = System(settings, urls)
        self._stack.push_async_callback(system.close)
        await prepare(system, migrate=True)
        return system

    def _with_connection(self, work: Callable[[System, Connection], Awaitable[Result]]) -> Result:
        async def connected() -> Result:
            async with (await self._system.pool()).acquire() as conn:
                return await work(self._system, conn)

        return self._run(connected())

    def _run(self, work: Awaitable[Result]) -> Result:
        """Run on the loop that the connections belong to, whatever loop this thread has."""

        async def awaited() -> Result:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(60)
