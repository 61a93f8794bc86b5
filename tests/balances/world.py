"""A store with a clock in the test's hand, and words for what the tests do with it."""

from collections.abc import Callable
from typing import Any

import msgspec

from balances.connection import Connection
from balances.housekeeping import Housekeeping, StreamAndBooks
from balances.keys import grant_pointers
from balances.logins import Logins as StoreLogins
from balances.memory import MemoryStore
from balances.messages import (
    Account,
    AnyMovement,
    CutCause,
    Due,
    Found,
    Login,
    LoginOutcome,
    LoginStatus,
    Lookup,
    OpenAccount,
    Outcome,
    Position,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    Status,
    Step,
    StoredSession,
)
from balances.port import (
    BalanceStore,
    BookKeeping,
    Directory,
    JobQueue,
    Logins,
    Movements,
    Restoration,
    SettlementStream,
    Sweeps,
)
from balances.restoration import Restoration as StoreRestoration
from balances.store import Store

#: The generation in which the tests' books begin.
GENERATION = 1

BEGINNING = Position(GENERATION, 0)

#: When the tests begin, Unix ms.
START_MS = 1_800_000_000_000

ALICE = "alice"
NAS = "pop1/10.0.0.1"
SESSION = f"{NAS}|8000001a"
SIBLING = f"{NAS}|8000001b"
LEASE_MS = 60_000
QUIET_S = 900
LIFETIME_MS = 120_000


def uid_of(session: str, epoch: int = 0) -> bytes:
    """A session epoch's name: any 16 octets that differ."""
    return (session.encode()[-12:] + b"%04d" % epoch).rjust(16, b".")


class World:
    """The ports of one partition's books, for one test."""

    def __init__(
        self,
        hot: BalanceStore,
        movements: Movements,
        directory: Directory,
        sweeps: Sweeps,
        jobs: JobQueue,
        stream: SettlementStream,
        keeping: BookKeeping,
        restoration: Restoration,
        logins: Logins,
    ) -> None:
        self.hot = hot
        self.movements = movements
        self.directory = directory
        self.sweeps = sweeps
        self.jobs = jobs
        self.stream = stream
        self.keeping = keeping
        self.restoration = restoration
        self.logins = logins
        self._now_ms = START_MS
        self.connection: Connection | None = None

    @property
    def now_ms(self) -> int:
        """The time, Unix ms."""
        return self._now_ms

    def pass_ms(self, milliseconds: int) -> None:
        """Let time pass."""
        self._now_ms += milliseconds
        if self.connection is not None:
            self.connection.now_ms = self._now_ms

    def begin_again(self) -> None:
        """Set the clock to where the test began."""
        self.pass_ms(START_MS - self._now_ms)

    @property
    def server(self) -> Connection:
        """The connection to the server, where there is one."""
        assert self.connection is not None
        return self.connection

    # Accounts and what moves them

    async def account(self, account: str = ALICE) -> Account:
        """An account that is there."""
        (audit,) = await self.keeping.inspect([account])
        assert audit is not None
        return audit.account

    async def money(self, account: str = ALICE) -> tuple[int, int]:
        """Balance and reserved of an account that is there."""
        found = await self.account(account)
        return found.balance, found.reserved

    async def move(self, make: Callable[[int], AnyMovement], account: str = ALICE) -> None:
        """Apply the movement that `make` makes for the account's next sequence."""
        (audit,) = await self.keeping.inspect([account])
        sequence = 1 + (audit.account.moved if audit else 0)
        assert await self.movements.apply([make(sequence)]) == [sequence]

    async def fund(
        self,
        balance: int,
        account: str = ALICE,
        *,
        credit_limit: int | None = 0,
        minimum: int = 0,
        currency: str = "EUR",
    ) -> None:
        """Open an account with a balance."""
        await self.move(lambda n: OpenAccount(account, n, currency, credit_limit, minimum), account)
        if balance:
            await self.top_up(balance, account)

    async def top_up(self, amount: int, account: str = ALICE) -> None:
        """Post an amount."""
        await self.move(lambda n: Post(account, n, amount), account)

    async def limit(self, credit_limit: int | None, minimum: int = 0, account: str = ALICE) -> None:
        """Set the limits."""
        await self.move(lambda n: SetLimits(account, n, credit_limit, minimum), account)

    async def status(
        self, account: str = ALICE, *, suspended: bool = False, closed: bool = False
    ) -> None:
        """Suspend, close, or activate."""
        await self.move(lambda n: SetStatus(account, n, suspended, closed), account)

    async def subscribe(self, username: str, account: str = ALICE, plan: str = "metered") -> None:
        """Give a user name to an account."""
        await self.move(lambda n: PutSubscriber(account, n, username, plan), account)

    # Sessions

    async def find(self, session: str = SESSION, username: str = "") -> Found:
        """What is there for one lookup."""
        nas = session.partition("|")[0]
        return (await self.hot.read([Lookup(session, nas, username)])).found[0]

    async def session(self, session: str = SESSION) -> StoredSession:
        """A session that is there."""
        stored = (await self.find(session)).session
        assert stored is not None
        return stored

    async def step(self, session: str = SESSION, account: str = ALICE, **changes: Any) -> Step:
        """A step for a session as it is in the books now, granted what there is; not committed.

        `changes` are fields of the step; `want` and `charge` decide the grant unless it is given.
        """
        nas = session.partition("|")[0]
        snapshot = await self.hot.read([Lookup(session, nas)])
        stored = snapshot.found[0].session
        (audit,) = await self.keeping.inspect([account])
        step = Step(
            session=session,
            nas=nas,
            account=account,
            uid=stored.uid if stored and stored.open else uid_of(session),
            state=b"state",
            open=True,
            expected_version=stored.version if stored else 0,
            expected_rating=audit.account.rating_version if audit else 1,
            expected_boot=snapshot.boots.get(nas),
            charge=0,
            want=0,
            grant=0,
            cut_after_ms=None,
            cut_cause=CutCause.EXHAUSTED,
            quiet=QUIET_S,
            entries=(),
        )
        step = msgspec.structs.replace(step, **changes)
        if "grant" in changes or audit is None:
            return step
        held = stored.held if stored else 0
        available = audit.account.available
        if available is None:
            grant = step.want
        else:
            grant = min(step.want, max(available + held - step.charge, 0))
        return msgspec.structs.replace(step, grant=grant)

    async def commit(self, *steps: Step, loose: tuple[bytes, ...] = ()) -> list[Outcome]:
        """Commit; return the outcomes."""
        return (await self.hot.commit(steps, loose)).outcomes

    async def statuses(self, *steps: Step) -> list[Status]:
        """Commit; return what became of the steps."""
        return [outcome.status for outcome in await self.commit(*steps)]

    async def book(self, session: str = SESSION, account: str = ALICE, **changes: Any) -> None:
        """Commit a step made of the session as it is: it must be booked."""
        step = await self.step(session, account, **changes)
        assert await self.statuses(step) == [Status.COMMITTED]

    async def cut(self, session: str = SESSION, after_ms: int = 0, **changes: Any) -> str:
        """Book a step that schedules the session's end; return the job's uid."""
        await self.book(session, cut_after_ms=after_ms, **changes)
        return (await self.session(session)).uid.hex()

    # Logins

    async def ask(
        self,
        session: str = SESSION,
        account: str = ALICE,
        *,
        station: str = "mac1",
        username: str = "ute",
        **changes: Any,
    ) -> LoginOutcome:
        """Log in for a session, granted what there is unless `grant` is given."""
        nas, _, acct_session_id = session.partition("|")
        login = Login(
            uid=uid_of(session, 9),
            account=account,
            username=username,
            pointers=grant_pointers(nas, acct_session_id, username, station),
            expected_rating=(await self.account(account)).rating_version,
            want=0,
            grant=0,
            lifetime_ms=LIFETIME_MS,
        )
        login = msgspec.structs.replace(login, **changes)
        if "grant" not in changes:
            available = (await self.account(account)).available
            grant = login.want if available is None else min(login.want, max(available, 0))
            login = msgspec.structs.replace(login, grant=grant)
        return await self.logins.login(login)

    async def grant(self, session: str = SESSION, account: str = ALICE, **changes: Any) -> bytes:
        """Log in, which must be granted; return the grant's uid."""
        assert (await self.ask(session, account, **changes)).status is LoginStatus.GRANTED
        return uid_of(session, 9)

    async def due(self, limit: int = 1000, lease_ms: int = LEASE_MS) -> Due:
        """Take what is due."""
        return await self.sweeps.due(limit, lease_ms)

    async def due_sessions(self) -> list[str]:
        """Take what is due; return the sessions' keys in order."""
        return sorted(session.session for session in (await self.due()).sessions)


def memory_world() -> World:
    """A world over the store in memory."""
    worlds: list[World] = []
    store = MemoryStore(lambda: worlds[0].now_ms)
    worlds.append(World(store, store, store, store, store, store, store, store, store))
    return worlds[0]


def store_world(connection: Connection) -> World:
    """A world over a server."""
    store, stream = Store(connection), StreamAndBooks(connection)
    housekeeping = Housekeeping(connection)
    world = World(
        store,
        store,
        store,
        housekeeping,
        housekeeping,
        stream,
        stream,
        StoreRestoration(connection),
        StoreLogins(connection),
    )
    world.connection = connection
    world.pass_ms(0)
    return world
