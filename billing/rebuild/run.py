"""rebuild-balances: the fence, the last settling, a new generation, and the fence is lifted.

It may be killed anywhere and run again. Until the old books are dropped nothing is lost, and the
fence is lifted if it fails; from then on the fence stays up until a run comes to its end, and the
store holds nothing that Postgres does not.
"""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
import structlog

from balances.errors import StoreEmpty, StoreError
from balances.messages import Books, Position
from balances.port import BookKeeping, Restoration, SettlementStream
from billing.database import WHOLE_SECONDS, Connection, Pool
from billing.rebuild import restored
from billing.settlement import position as positions
from billing.settlement.booking import park
from billing.settlement.consumer import SettlementStopped, Settler
from billing.settlement.position import Settled
from billing.settlement.rows import Refusal, items_of
from billing.statements import load

_SQL = load(__package__, "queries.sql")
_log = structlog.get_logger(__name__)

#: What refused callers read. The mark of a rebuild that did not come to its end, too.
FENCE: Final = "the balances are being rebuilt"

_SETTLE_ENTRIES: Final = 64


class RebuildRefused(Exception):
    """The books cannot be rebuilt now; the message says why. Nothing was changed."""


class Rebuilt(msgspec.Struct, frozen=True):
    """What was written to the store, in its new generation.

    `settled_entries` is what the old stream still had for Postgres; `parked_items` what it had and
    could not be settled, kept octet for octet. `lost` says what may be missing because the store
    did not have it any more; None if the old books were settled to their end.
    """

    generation: int
    accounts: int
    subscribers: int
    sessions: int
    settled_entries: int
    parked_items: int
    lost: str | None


async def rebuild(
    pool: Pool,
    books: BookKeeping,
    stream: SettlementStream,
    restoration: Restoration,
    *,
    partition: int = 0,
    interval_seconds: int,
    quiet_seconds: int,
    fence: str = FENCE,
    within: str | None = None,
) -> Rebuilt:
    """Write the store's books anew from Postgres, under a new generation.

    All writing to the store is refused meanwhile. Sessions that are open in Postgres are restored
    with the counters as far as they were settled, so that their next reports, being cumulative,
    charge just what is missing; they hold nothing until the sweeper grants them anew. Those closed
    in the late window are restored as closed, so that what a NAS sends again is known. That brings
    back the jobs to cut those without credit; a disconnect that a person asked for is forgotten.
    `interval_seconds` is how often they are expected to report, and after `quiet_seconds` of
    silence they are lost. A restore whose last part this is gives a `fence` of its own, which tells
    what a run that did not come to its end was about, and has put up another one before: `within`,
    which is lifted in the end. Raises RebuildRefused, StoreError, or what asyncpg raises; run it
    again then. Needs two connections of the pool.
    """
    run = _Rebuild(pool, books, stream, restoration, partition, fence, within)
    async with pool.acquire() as conn, _alone(conn, partition):
        settled = await positions.read(conn, partition)
        if settled is None:
            raise RebuildRefused("settlement never began, so Postgres has no books to rebuild from")
        return await run.run(conn, settled, interval_seconds, quiet_seconds)


@contextlib.asynccontextmanager
async def _alone(conn: Connection, partition: int) -> AsyncGenerator[None]:
    if not await conn.fetchval(_SQL["try_lock"], partition):
        raise RebuildRefused("another process is rebuilding the balances")
    try:
        yield
    finally:
        if not conn.is_closed():
            await conn.fetchval(_SQL["unlock"], partition)


class _Rebuild:
    def __init__(
        self,
        pool: Pool,
        books: BookKeeping,
        stream: SettlementStream,
        restoration: Restoration,
        partition: int,
        fence: str,
        within: str | None,
    ) -> None:
        self._pool = pool
        self._books = books
        self._stream = stream
        self._restoration = restoration
        self._partition = partition
        self._fence = fence
        self._within = within

    async def run(
        self, conn: Connection, settled: Settled, interval_seconds: int, quiet_seconds: int
    ) -> Rebuilt:
        """Do all of it; `settled` is where settlement stands."""
        old = await self._old_books()
        await self._books.fence(self._fence)
        try:
            entries, lost = await self._drain(settled, old)
            if lost is not None:
                _log.warning("the old books were not settled to their end", lost=lost)
            parked = await self._park_rest(conn, lost)
        except BaseException:
            if self._within is None and (old is None or old.fence is None):
                # Nothing was dropped: let the work go on. If this fails, too, the fence stays.
                with contextlib.suppress(StoreError):
                    await self._books.fence("")
            raise
        generation = 1 + max(
            settled.position.generation, 0 if old is None else old.position.generation
        )
        async with conn.transaction():
            await conn.execute(_SQL["no_limit"])
            # Whoever is still settling finds another generation when this is committed.
            await positions.hold(conn, self._partition)
            await self._restoration.restart(generation)
            _log.info("the books begin anew", generation=generation)
            counts = await self._write(conn, generation, interval_seconds, quiet_seconds)
            await conn.execute(_SQL["begin_generation"], self._partition, generation)
        ours = (self._fence, self._within)
        fence = None if old is None or old.fence in ours else old.fence
        await self._books.fence(fence or "")
        rebuilt = Rebuilt(generation, *counts, entries, parked, lost)
        _log.info("the balances are rebuilt", **msgspec.structs.asdict(rebuilt))
        return rebuilt

    async def _old_books(self) -> Books | None:
        try:
            return await self._books.books()
        except StoreEmpty:
            return None

    async def _drain(self, settled: Settled, old: Books | None) -> tuple[int, str | None]:
        """Settle what the old stream holds; return how many entries, and what may be missing."""
        at = settled.position
        since = (
            f"what it acknowledged after entry {_told(at)} (settled at {settled.at.isoformat()})"
        )
        if old is None:
            return 0, f"the store held no books: {since} is not in the ledger"
        if old.position.generation != at.generation:
            if old.fence == self._fence and old.position.generation > at.generation:
                return 0, None  # an earlier run has settled the old books, and dropped them
            return 0, (
                f"the store held books of generation {old.position.generation},"
                f" which Postgres does not know: {since} is not in the ledger"
            )
        settler = Settler(self._pool, self._stream, self._books, self._partition)
        entries = 0
        try:
            while some := await settler.settle_once(_SETTLE_ENTRIES):
                entries += some
        except SettlementStopped as stopped:
            return entries, f"{stopped}; what was acknowledged beyond that is not in the ledger"
        return entries, None

    async def _park_rest(self, conn: Connection, lost: str | None) -> int:
        """Keep what is left in a stream that could not be settled; return how many items."""
        if lost is None:
            return 0
        at, parked = Position(0, 0), 0
        now = await conn.fetchval(_SQL["now"])
        while found := await self._stream.entries_after(at, _SETTLE_ENTRIES):
            items = items_of(found)
            reason = f"left in the stream when the balances were rebuilt: {lost}"
            await park(conn, self._partition, now, [Refusal(item, reason) for item in items])
            at, parked = found[-1].position, parked + len(items)
        return parked

    async def _write(
        self, conn: Connection, generation: int, interval_seconds: int, quiet_seconds: int
    ) -> tuple[int, int, int]:
        """Write everything to the store, from one snapshot; take off the road what that contains.

        Returns how many accounts, subscribers and sessions there are.
        """
        accounts = subscribers = sessions = 0
        async with (
            self._pool.acquire() as reader,
            reader.transaction(isolation="repeatable_read", readonly=True),
        ):
            await reader.execute(_SQL["no_limit"])
            contained = await reader.fetch(_SQL["on_the_road"], timeout=WHOLE_SECONDS)
            async for some in restored.accounts(reader, generation):
                await self._restoration.restore_accounts(some)
                accounts += len(some)
            async for some in restored.subscribers(reader):
                await self._restoration.restore_subscribers(some)
                subscribers += len(some)
            async for some in restored.sessions(
                reader, interval_seconds=interval_seconds, quiet_seconds=quiet_seconds
            ):
                await self._restoration.restore_sessions(some)
                sessions += sum(session.open for session in some)
        await conn.execute(
            _SQL["take_off_the_road"],
            [row["account_id"] for row in contained],
            [row["sequence"] for row in contained],
            timeout=WHOLE_SECONDS,
        )
        return accounts, subscribers, sessions


def _told(position: Position) -> str:
    return f"{position.generation}-{position.sequence}"
