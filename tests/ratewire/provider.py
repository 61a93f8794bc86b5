"""A small provider for the tests: books, plans, a subscriber, and the parts that work on them.

Everything runs on one clock, which the test holds (`provider.world.pass_ms`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from balances.entries import JOB_FIELD, Entry, decode
from balances.jobs import Job
from balances.messages import Account, StoredSession
from balances.port import BalanceStore, Sweeps
from radius.clients import Client, network
from radius.engine import Request
from radius.records import AccountingRecord, AcctStatus
from ratewire.pipeline.intake import Archive, ArchiveUnavailable, Intake
from ratewire.pipeline.plans import encode_plan, published_name
from ratewire.pipeline.raters import Raters
from ratewire.pipeline.steps import Terms
from ratewire.sweeper import Sweeper
from rating.plan import Plan
from tests.balances.world import BEGINNING, GENERATION, World
from tests.ratewire.records import HOURLY, METERED, record

START, STOP, INTERIM = AcctStatus.START, AcctStatus.STOP, AcctStatus.INTERIM
NAS = "pop1/bras"
SECRET = b"a shared secret"


class Counting:
    """ratewire.observer.Observer, for tests to look at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] += by

    def stage(self, name: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages[name] += 1


class Shelf:
    """ratewire.pipeline.intake.Archive, filled by the test."""

    def __init__(self) -> None:
        self.sessions: dict[str, StoredSession] = {}
        self.asked: list[str] = []
        self.away = False

    async def find(self, keys: Sequence[str]) -> Mapping[str, StoredSession]:
        self.asked += keys
        if self.away:
            raise ArchiveUnavailable("closed for today")
        return {key: self.sessions[key] for key in keys if key in self.sessions}


class Provider:
    """Books with the plans `metered` and `hourly`, and words for what the tests do with them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.observer = Counting()
        self.archive = Shelf()
        self.intake = self.worker()
        self.sweeper = self.sweeping()

    def clock(self) -> int:
        return self.world.now_ms

    def raters(self) -> Raters:
        return Raters(
            self.world.directory, Terms(), clock_ms=self.clock, wraps_32=lambda client: False
        )

    def worker(self, store: BalanceStore | None = None, archive: Archive | None = None) -> Intake:
        """One more worker, with caches of its own."""
        return Intake(
            store or self.world.hot,
            self.raters(),
            archive or self.archive,
            self.observer,
            clock_ms=self.clock,
        )

    def sweeping(self, store: BalanceStore | None = None, sweeps: Sweeps | None = None) -> Sweeper:
        """One more sweeper."""
        return Sweeper(
            store or self.world.hot,
            sweeps or self.world.sweeps,
            self.raters(),
            self.observer,
            clock_ms=self.clock,
        )

    async def publish(self, *plans: Plan) -> None:
        """Publish these plans in place of those before."""
        revision = await self.world.directory.revision("plans")
        values = {published_name(plan): encode_plan(plan) for plan in plans}
        await self.world.movements.publish("plans", revision + 1, values)

    async def subscribe(
        self, balance: int, *, user: str = "bob", account: str = "acme", plan: str = "metered"
    ) -> None:
        """Open an account with a balance for one subscriber."""
        await self.world.fund(balance, account)
        await self.world.subscribe(user, account, plan)

    # Records

    def report(
        self,
        status: AcctStatus,
        *counters: int | None,
        session: str = "s1",
        user: str | None = "bob",
        nas: str = NAS,
        **changes: Any,
    ) -> AccountingRecord:
        """A record that was made now; `counters` are seconds, octets in and octets out."""
        now_ms = self.world.now_ms
        raw = {44: session.encode(), 32: nas.partition("/")[2].encode()}
        if user is not None:
            raw[1] = user.encode()
        fields: dict[str, Any] = {
            "session_id": session,
            "user_name": user,
            "nas": nas,
            "event_time": now_ms // 1000,
            "arrived_ms": now_ms,
            "attributes": raw,
        }
        return record(status, *counters, **(fields | changes))

    async def say(self, *records: AccountingRecord, to: Intake | None = None) -> list[bool]:
        """Send records as one batch; return which of them are answered."""
        requests = [request_of(each) for each in records]
        answered = await (to or self.intake).handle(requests)
        return [any(one is request for one in answered) for request in requests]

    async def told(self, *arguments: Any, **changes: Any) -> None:
        """Send one record, which must be answered; see `report`."""
        assert await self.say(self.report(*arguments, **changes)) == [True]

    # What is there

    async def session(self, session: str = "s1", nas: str = NAS) -> StoredSession:
        return await self.world.session(f"{nas}|{session}")

    async def account(self, account: str = "acme") -> Account:
        return await self.world.account(account)

    async def money(self, account: str = "acme") -> tuple[int, int]:
        """Balance and reserved."""
        return await self.world.money(account)

    async def jobs(self) -> list[Job]:
        return await self.world.jobs.live_jobs(1000)

    async def entries(self) -> list[Entry]:
        """All that was committed, in order, without what happened to jobs."""
        found = await self.world.stream.entries_after(BEGINNING, 10_000)
        return [
            decode(value) for each in found for field, value in each.items if field != JOB_FIELD
        ]


def request_of(record: AccountingRecord) -> Request:
    """A record as the engine hands it on."""
    client = Client(name="pop1", source=network(record.source_host), secret=SECRET)
    return Request(record, client, (record.source_host, record.source_port), 1, bytes(16), (), b"")


async def begun(world: World) -> Provider:
    """A provider whose books have just begun."""
    await world.keeping.initialise(GENERATION)
    provider = Provider(world)
    await provider.publish(METERED, HOURLY)
    return provider
