"""The settler: takes what was committed from the store's stream and books it in Postgres.

The position in Postgres is moved in the transaction that books, and only from where this settler
believes it to be. So an entry is booked exactly once, whoever dies when, and however many settlers
there are. Nothing is ever skipped: where the stream does not go on as it must, settlement stops and
says so.
"""

import asyncio
import enum
import time
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import msgspec
import structlog

from balances import entries as codec
from balances.entries import JOB_FIELD
from balances.errors import StoreEmpty, StoreError
from balances.messages import Position, StreamEntry
from balances.port import BookKeeping, SettlementStream
from billing.database import Pool, unavailable
from billing.settlement import position as positions
from billing.settlement.booking import Booked, book

_log = structlog.get_logger(__name__)

#: Items of a batch: enough that a transaction's own cost is nothing, and not yet much memory.
BATCH_ITEMS: Final = 4000

#: Most stream entries of a batch; each is one commit of up to some hundred sessions.
BATCH_ENTRIES: Final = 4000

#: Between batches that are not full there is a pause: fewer, larger transactions cost less.
_PAUSE_S: Final = 0.2

#: How long to wait for the next entry; well below the store client's timeout.
_WAIT_MS: Final = 1000

#: A batch that takes longer waits for something, and it is told. Its statements may wait for much
#: longer before they fail. More than any batch takes, and than the store may.
_PATIENCE_S: Final = 5.0

_DATABASE_ERRORS: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg raises when a connection ends just as it is used: the server's last words come
    # where it expects nothing. The pool drops the connection.
    asyncpg.InternalClientError,
)

_BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_STOPPED_S: Final = 5.0


class SettlementStopped(Exception):
    """The stream does not go on where Postgres stands. Somebody has to look; nothing was skipped.

    `expected` is the entry that must come next, `found` what is there instead (None: nothing).
    """

    def __init__(self, message: str, expected: Position, found: Position | None) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class Condition(enum.StrEnum):
    """How the settler is. STOPPED needs a person, WAITING passes by itself."""

    STARTING = "starting"
    SETTLING = "settling"
    WAITING = "waiting"
    STOPPED = "stopped"


class Lag(msgspec.Struct, frozen=True):
    """How far settlement is behind: stream entries, and the age of the oldest (0 if none)."""

    entries: int
    oldest_ms: int


class Counts(msgspec.Struct):
    """What a settler has done since it began."""

    batches: int = 0
    entries: int = 0
    items: int = 0
    parked: int = 0


class Settler:
    """Settles one partition. Any number of them may run for it; one at a time makes progress.

    `condition` and `trouble` (None when there is none) tell how it is, `counts` what it has done.
    """

    def __init__(
        self,
        pool: Pool,
        stream: SettlementStream,
        books: BookKeeping,
        partition: int = 0,
        *,
        on_batch: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`on_batch` is told how many seconds each batch took to be booked and trimmed."""
        self._on_batch = on_batch
        self._pool = pool
        self._stream = stream
        self._books = books
        self._partition = partition
        self._position: Position | None = None
        self._batch_entries = 16
        self.condition = Condition.STARTING
        self.trouble: str | None = None
        self.counts = Counts()

    async def settle_once(self, max_entries: int, wait_ms: int = 0) -> int:
        """Settle up to `max_entries` stream entries in one transaction; return how many.

        0 if nothing came within `wait_ms`; then everything in the stream is settled. Raises
        SettlementStopped, StoreError, or what asyncpg raises for a database that is away; the next
        call goes on where Postgres stands then.
        """
        try:
            return await self._settle_once(max_entries, wait_ms)
        except BaseException:
            # Whether a commit that failed was made is not known; Postgres is asked again.
            self._position = None
            raise

    async def _settle_once(self, max_entries: int, wait_ms: int) -> int:
        while True:
            at = self._position or await self._reload()
            found = await self._stream.entries_after(at, max_entries, wait_ms)
            entries = _unbroken(at, found)
            fault = None
            if found and not entries:
                fault = _gap(at, found[0])
            elif not found:
                fault = await self._silence(at)
            if fault is not None:
                # Another settler may have settled, and trimmed, what is missing here.
                if at != await self._reload():
                    continue
                raise fault
            if not entries:
                return 0
            began = time.perf_counter()
            async with self._pool.acquire() as conn:
                booked = await book(conn, self._partition, at, entries)
            if booked is None:
                self._position = None
                continue
            self._position = entries[-1].position
            self._count(entries, booked)
            await self._stream.trim(self._position)
            self._on_batch(time.perf_counter() - began)
            return len(entries)

    async def _reload(self) -> Position:
        async with self._pool.acquire() as conn:
            settled = await positions.begin(conn, self._books, self._partition)
        self._position = settled.position
        return settled.position

    async def _silence(self, at: Position) -> SettlementStopped | None:
        """Return what is wrong if the stream ends here; None if nothing more was committed."""
        expected = Position(at.generation, at.sequence + 1)
        try:
            books = await self._books.books()
        except StoreEmpty:
            return SettlementStopped(
                f"the store holds no books; Postgres has settled {_told(at)}", expected, None
            )
        found = books.position
        if found.generation != at.generation:
            if books.fence is not None:
                return None  # the books are being rebuilt, and Postgres will follow
            return SettlementStopped(
                f"the store's books are of generation {found.generation},"
                f" Postgres has settled {_told(at)}",
                expected,
                found,
            )
        if found.sequence < at.sequence:
            return SettlementStopped(
                f"the store's books end at {_told(found)}, Postgres has settled {_told(at)}:"
                " the store has lost what it had committed",
                expected,
                found,
            )
        if found.sequence > at.sequence and not await self._stream.entries_after(at, 1):
            return SettlementStopped(
                f"entry {_told(expected)} is not in the stream, though the store's books go on"
                f" to {_told(found)}",
                expected,
                None,
            )
        return None

    def _count(self, entries: Sequence[StreamEntry], booked: Booked) -> None:
        self.counts.batches += 1
        self.counts.entries += len(entries)
        self.counts.items += booked.items
        self.counts.parked += booked.parked
        if booked.parked:
            _log.error("settlement entries were parked", parked=booked.parked)
        per_entry = max(1, -(-booked.items // len(entries)))
        self._batch_entries = min(BATCH_ENTRIES, max(1, BATCH_ITEMS // per_entry))

    async def lag(self, now_ms: int) -> Lag:
        """Return how far settlement is behind, by the clock given. Raises like `settle_once`."""
        books = await self._books.books()
        at = self._position or await self._reload()
        waiting = await self._stream.entries_after(at, 1)
        oldest = _committed_ms(waiting[0]) if waiting else None
        # Not the stream's length: what was settled may still have to be trimmed.
        waits = max(0, books.position.sequence - at.sequence)
        return Lag(waits, 0 if oldest is None else max(0, now_ms - oldest))

    async def run(self, stop: asyncio.Event) -> None:
        """Settle until `stop` is set, through whatever goes away and comes back.

        `condition` and `trouble` tell how it is. When it has stopped for a reason that a person
        must see to, it looks again now and then and goes on by itself once that is seen to.
        """
        failures = 0
        while not stop.is_set():
            try:
                settled = await self._settle_watched()
            except SettlementStopped as error:
                self._note(Condition.STOPPED, str(error))
                await _pause(stop, _STOPPED_S)
            except (StoreError, *_DATABASE_ERRORS) as error:
                self._note(Condition.WAITING, f"{type(error).__name__}: {error}")
                if not (isinstance(error, StoreError) or unavailable(error)):
                    _log.exception("settlement failed and will be tried again")
                await _pause(stop, _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
                failures += 1
            else:
                failures = 0
                self._note(Condition.SETTLING, None)
                if 0 < settled < self._batch_entries:
                    await _pause(stop, _PAUSE_S)

    async def _settle_watched(self) -> int:
        """Settle the next batch; note when it has to wait for the database for long."""
        trouble = (
            f"the database has not answered for {_PATIENCE_S:g} s: it stands still, or something"
            " holds settlement, as a reconciliation does"
        )
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_PATIENCE_S, self._note, Condition.WAITING, trouble)
        try:
            return await self.settle_once(self._batch_entries, _WAIT_MS)
        finally:
            timer.cancel()

    def _note(self, condition: Condition, trouble: str | None) -> None:
        """Take note of how it is, and tell when that has changed."""
        if condition is not self.condition or trouble != self.trouble:
            if condition is Condition.STOPPED:
                _log.critical("settlement has stopped", partition=self._partition, reason=trouble)
            elif condition is Condition.WAITING:
                _log.warning("settlement waits", partition=self._partition, reason=trouble)
            else:
                _log.info("settlement runs", partition=self._partition)
        self.condition, self.trouble = condition, trouble


def _unbroken(at: Position, found: Sequence[StreamEntry]) -> Sequence[StreamEntry]:
    """Return the entries that follow one another from `at`: those before the first gap."""
    for number, entry in enumerate(found):
        if entry.position != Position(at.generation, at.sequence + 1 + number):
            return found[:number]
    return found


def _gap(at: Position, found: StreamEntry) -> SettlementStopped:
    expected = Position(at.generation, at.sequence + 1)
    return SettlementStopped(
        f"the stream goes on at {_told(found.position)}, expected is {_told(expected)}",
        expected,
        found.position,
    )


def _committed_ms(entry: StreamEntry) -> int | None:
    """When an entry was committed; None if it does not say."""
    for field, value in entry.items:
        try:
            if field == JOB_FIELD:
                return codec.decode_job_event(value).at_ms
            return codec.decode(value).at_ms
        except ValueError:
            continue
    return None


def _told(position: Position) -> str:
    return f"{position.generation}-{position.sequence}"


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
