"""What a partition of the books holds, and how its parts hang together."""

import enum
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from balances.entries import JOB_FIELD
from balances.errors import StoreEmpty, StoreFenced, StoreRefused
from balances.jobs import Job
from balances.memory.agenda import Agenda
from balances.messages import Account, Position, StoredSession, StreamEntry, Subscriber, Totals

#: A closed session keeps its marks for this long, for records that come late.
LATE_WINDOW_MS = 7 * 24 * 3600 * 1000

#: Session versions of one generation of the books are below those of the next.
VERSIONS_PER_GENERATION = 2**40

#: Beyond it versions would not be exact in the server.
LAST_GENERATION = 2**13 - 1


class Wake(enum.Enum):
    """Which of an account's open sessions are to be granted anew."""

    ALL = enum.auto()
    CUTTING = enum.auto()  # a job to end them is live
    HOLDING = enum.auto()  # they hold a reservation


class Kept(msgspec.Struct, frozen=True):
    """The grant of a login as it is kept."""

    account: str
    held: int
    expires_ms: int
    username: str
    pointers: tuple[str, ...]


class Session(msgspec.Struct):
    """A session as it is kept. `leased_until_ms` is when it may be given to a sweeper again."""

    key: str
    nas: str
    stored: StoredSession
    leased_until_ms: int = 0
    forget_ms: int | None = None

    @property
    def silent_ms(self) -> int:
        """When it will have been silent for too long."""
        return self.stored.seen_ms + self.stored.quiet * 1000


class Roster:
    """The open sessions of one NAS in the order in which they came, to be gone through in parts.

    Who is there for the whole of a round is met in it, whoever comes and goes meanwhile.
    """

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []
        self._last = 0

    def add(self, key: str) -> None:
        """Put a session at the end."""
        self._last += 1
        self._number[key] = self._last
        self._order.append((self._last, key))
        if len(self._order) > 2 * len(self._number) + 64:
            self._order = [place for place in self._order if self._is_there(place)]

    def discard(self, key: str) -> None:
        """Take a session away, if it is there."""
        self._number.pop(key, None)

    def after(self, cursor: int, count: int) -> tuple[int, list[str]]:
        """Return at most `count` of those behind the cursor, and the next; 0 begins and ends."""
        found: list[str] = []
        for place in self._order[bisect_right(self._order, cursor, key=lambda place: place[0]) :]:
            if not self._is_there(place):
                continue
            if len(found) == count:
                return cursor, found
            cursor = place[0]
            found.append(place[1])
        return 0, found

    def _is_there(self, place: tuple[int, str]) -> bool:
        number, key = place
        return self._number.get(key) == number


class Partition:
    """All that is kept. The methods keep the indexes in step; the rules are their callers'."""

    def __init__(self) -> None:
        self.generation: int | None = None
        self.sequence = 0
        self.version = 0
        self.fence: str | None = None
        self.boots: dict[str, int] = {}
        self.sweeps: set[str] = set()
        self.failures: dict[str, tuple[int, int]] = {}
        self.holds: dict[str, int] = {}
        self.published: dict[str, tuple[int, dict[str, bytes]]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget accounts, subscribers, sessions, grants, jobs and stream."""
        self.accounts: dict[str, Account] = {}
        self.subscribers: dict[str, Subscriber] = {}
        self.sessions: dict[str, Session] = {}
        self.open_of_account: dict[str, dict[str, None]] = {}
        self.open_of_nas: dict[str, Roster] = {}
        self.looks = Agenda()
        self.closed = Agenda()
        self.waking: dict[tuple[str, Wake], None] = {}
        self.jobs: dict[str, Job] = {}
        self.job_agenda = Agenda()
        self.grants: dict[bytes, Kept] = {}
        self.grant_agenda = Agenda()
        self.pointers: dict[str, bytes] = {}
        self.logins: dict[str, dict[bytes, str]] = {}
        self.entries: list[StreamEntry] = []

    def require_books(self) -> int:
        """Return the generation. Raises StoreEmpty if there are no books."""
        if self.generation is None:
            raise StoreEmpty("the store holds no books: initialise or rebuild it")
        return self.generation

    def require_open_books(self) -> None:
        """Raises StoreEmpty if there are no books, StoreFenced while they are being rebuilt."""
        self.require_books()
        if self.fence is not None:
            raise StoreFenced(self.fence)

    def begin(self, generation: int) -> None:
        """Begin a generation of the books. Raises StoreRefused beyond the last one."""
        if not 1 <= generation <= LAST_GENERATION:
            raise StoreRefused(f"generation {generation}: generations are 1 to {LAST_GENERATION}")
        self.generation, self.sequence = generation, 0
        self.version = generation * VERSIONS_PER_GENERATION

    def position(self) -> Position:
        """Return where the stream stands."""
        return Position(self.generation or 0, self.sequence)

    def append(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Append one entry to the stream, unless there is nothing in it."""
        fields = list(items)
        if fields:
            self.sequence += 1
            self.entries.append(StreamEntry(self.position(), fields))

    def append_events(self, events: Iterable[bytes]) -> None:
        """Append what happened to jobs."""
        self.append((JOB_FIELD, event) for event in events)

    def session(self, key: str, now_ms: int) -> Session | None:
        """Return a session; one that was closed too long ago is not there any more."""
        for forgotten in self.closed.take(now_ms, len(self.closed)):
            del self.sessions[forgotten]
        return self.sessions.get(key)

    def put_session(self, session: Session, now_ms: int) -> None:
        """Write a session as it is now, with its place in the indexes."""
        stored, key = session.stored, session.key
        before = self.sessions.get(key)
        was_open = before is not None and before.stored.open
        if was_open and not stored.open:
            self.looks.discard(key)
            del self.open_of_account[stored.account][key]
            self.open_of_nas[session.nas].discard(key)
        self.sessions[key] = session
        if not stored.open:
            self.closed.set(key, now_ms + LATE_WINDOW_MS)
            return
        if not was_open:
            self.closed.discard(key)
            self.open_of_account.setdefault(stored.account, {})[key] = None
            self.open_of_nas.setdefault(session.nas, Roster()).add(key)
        # The lease of a sweeper that has it is not broken by a report.
        self.looks.set(key, max(session.silent_ms, session.leased_until_ms))

    def wake(self, session: Session, now_ms: int) -> None:
        """Mark an open session to be given a new grant, now."""
        session.stored = msgspec.structs.replace(session.stored, regrant=True)
        session.leased_until_ms = 0
        self.looks.set(session.key, now_ms)

    def forget_boots(self, now_ms: int) -> None:
        """Forget the boot marks that are older than any session that is remembered."""
        oldest = (now_ms - LATE_WINDOW_MS) / 1000
        self.boots = {
            nas: mark for nas, mark in self.boots.items() if mark >= oldest or nas in self.sweeps
        }

    def totals(self) -> dict[str, Totals]:
        """Return the sums over all accounts, by currency."""
        sums: dict[str, Totals] = {}
        for account in self.accounts.values():
            so_far = sums.get(account.currency, Totals(0, 0, 0))
            sums[account.currency] = Totals(
                so_far.balance + account.balance,
                so_far.reserved + account.reserved,
                so_far.limit + (account.credit_limit or 0) - account.minimum,
            )
        return sums
