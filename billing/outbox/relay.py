"""The relay: brings movements to the store in each account's order, and mirrors what is published.

Nothing here needs to happen once only: the store applies just the movement that is next for its
account, and takes just a newer revision. So any number of relays may run, die and start again. What
the store cannot take stops its own account, visibly; all others go on.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

import asyncpg
import msgspec
import structlog

from balances.errors import StoreError, StoreRefused
from balances.messages import AnyMovement, decode_movement
from balances.port import Directory, Movements
from billing.catalogue import plans
from billing.database import Connection, Pool, unavailable
from billing.nas import register as nas
from billing.outbox.publication import What
from billing.statements import load

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)

#: Movements of one call to the store: enough that the call's own cost is nothing, and few enough
#: that the records of running sessions do not wait for it noticeably.
PACK: Final = 500

#: Applied movements are deleted when there are some of so many accounts. What a relay that dies has
#: not deleted is applied no second time.
TAKE_OFF_ACCOUNTS: Final = 1000

#: How often to look without having been told: a notice can be lost with its connection.
POLL_SECONDS: Final = 5.0

#: An account that stands still is tried again after this, since its cause may have been put right.
RETRY_REFUSED_SECONDS: Final = 60.0

#: When so many movements are refused in a row, it is not the movements.
MAX_REFUSALS: Final = 50

BACK_OFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)

_OUTBOX: Final = "ratewire_outbox"
_CHANNELS: Final = (_OUTBOX, "ratewire_publications")

_SOURCES: Final[dict[What, Callable[[Connection], Coroutine[Any, Any, dict[str, bytes]]]]] = {
    "plans": plans.published,
    "nas": nas.published,
}


class MirroredStore(Movements, Directory, Protocol):
    """What a relay asks of the store."""


class Relay:
    """Brings what is on the road to the store, on one connection of the pool."""

    def __init__(self, pool: Pool, store: MirroredStore) -> None:
        self._pool = pool
        self._store = store
        self._retry_at: dict[str, float] = {}  # the accounts that stand still
        self._refused_in_a_row = 0
        self._told: set[str] = set()
        self._wake = asyncio.Event()

    async def drain(self, accounts: Sequence[str] | None = None) -> int:
        """Bring what waits (for these accounts, or for all) to the store; return how much that was.

        Raises StoreError, or what `billing.database.unavailable` knows; what was applied until then
        stays so, and the next call goes on from there.
        """
        async with self._pool.acquire() as conn:
            return await self._drain(conn, accounts)

    async def publish(self) -> list[What]:
        """Mirror the plans and the NASes where they have changed; return which had.

        Raises as `drain` does.
        """
        async with self._pool.acquire() as conn:
            return await self._publish(conn)

    async def run(self, stop: asyncio.Event) -> None:
        """Drain and publish whenever there is something, until `stop` is set.

        Goes on by itself after Postgres or the store was away. Raises only what is a bug.
        """
        failures = 0
        while not stop.is_set():
            try:
                async with self._pool.acquire() as conn, self._listening(conn):
                    while not stop.is_set():
                        await self._round(conn)
                        if failures:
                            _log.warning("the relay works again", failures=failures)
                            failures = 0
                        await self._sleep(stop, POLL_SECONDS)
            except Exception as error:
                if not (isinstance(error, StoreError) or unavailable(error)):
                    raise
                if not failures:
                    _log.error("the relay fails", kind=type(error).__name__, error=str(error))
                pause = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
                failures += 1
                # What is posted meanwhile does not shorten it, nor does the end of the connection.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    # Movements ---------------------------------------------------------------------------------

    async def _drain(self, conn: Connection, accounts: Sequence[str] | None) -> int:
        self._refused_in_a_row = 0
        for account in accounts or ():
            self._retry_at.pop(account, None)
        taken_off = 0
        applied: dict[str, int] = {}
        account, sequence = "", 0
        try:
            while True:
                if accounts is None:
                    if told := self._told_since():
                        # A top-up does not wait behind an import of many thousand movements.
                        taken_off += await self._drain(conn, told)
                    statement, of = SQL["waiting_after"], self._standing_still()
                else:
                    statement, of = SQL["waiting_of"], list(accounts)
                rows = await conn.fetch(statement, account, sequence, PACK, of)
                if not rows:
                    break
                applied |= await self._bring(conn, rows)
                account, sequence = rows[-1]["account_id"], rows[-1]["sequence"]
                if len(applied) >= TAKE_OFF_ACCOUNTS:
                    taken_off += await self._take_off(conn, applied)
                    applied = {}
        finally:
            taken_off += await self._take_off(conn, applied)
        return taken_off

    async def _bring(self, conn: Connection, rows: Sequence[asyncpg.Record]) -> dict[str, int]:
        """Bring rows (in the order of their accounts) to the store; see `_apply`."""
        movements: list[AnyMovement] = []
        for row in rows:
            account, sequence = row["account_id"], row["sequence"]
            if account in self._retry_at:
                continue
            try:
                movements.append(decode_movement(row["movement"]))
            except msgspec.MsgspecError as error:
                reason = f"this version cannot read it: {error}"
                await self._stand_still(conn, account, sequence, reason)
        applied = await self._apply(conn, movements)
        await self._check(conn, movements, applied)
        return applied

    async def _take_off(self, conn: Connection, applied: dict[str, int]) -> int:
        """Delete what the store has applied, and return how much that was."""
        if not applied:
            return 0
        done = await conn.execute(SQL["delete_applied"], list(applied), list(applied.values()))
        return int(done.removeprefix("DELETE "))

    async def _apply(self, conn: Connection, movements: list[AnyMovement]) -> dict[str, int]:
        """Apply movements; return what the store has applied of each of their accounts.

        One that is refused is found by halves, and stops its account.
        """
        if not movements:
            return {}
        try:
            answers = await self._store.apply(movements)
        except StoreRefused as error:
            if len(movements) == 1:
                self._refused_in_a_row += 1
                if self._refused_in_a_row > MAX_REFUSALS:
                    raise
                await self._stand_still(
                    conn, movements[0].account, movements[0].sequence, str(error)
                )
                return {}
            middle = len(movements) // 2
            first = await self._apply(conn, movements[:middle])
            rest = [each for each in movements[middle:] if each.account not in self._retry_at]
            return first | await self._apply(conn, rest)
        self._refused_in_a_row = 0
        return {each.account: answer for each, answer in zip(movements, answers, strict=True)}

    async def _check(
        self, conn: Connection, movements: Sequence[AnyMovement], applied: dict[str, int]
    ) -> None:
        """Stop the accounts of which store and database know different histories.

        What the store only seems to have applied is dropped from `applied`.
        """
        last = {each.account: each.sequence for each in movements}
        beyond = [account for account, done in applied.items() if done > last[account]]
        if beyond:  # usually because another relay was faster
            rows = await conn.fetch(SQL["posted_up_to"], beyond)
            posted = {row["account_id"]: row["movement_sequence"] for row in rows}
            for account in beyond:
                if applied[account] > posted[account]:
                    done = applied.pop(account)
                    await self._stand_still(
                        conn,
                        account,
                        last[account],
                        f"the store has applied up to {done}, which was never posted here:"
                        " the database is an older state; rebuild the balances",
                    )
        for each in movements:
            done = applied.get(each.account, each.sequence)
            if each.sequence > done and each.account not in self._retry_at:
                await self._stand_still(
                    conn,
                    each.account,
                    each.sequence,
                    f"the store has applied up to {done}, and what follows it is gone:"
                    " the store is an older state; rebuild the balances",
                )

    async def _stand_still(
        self, conn: Connection, account: str, sequence: int, reason: str
    ) -> None:
        self._retry_at[account] = asyncio.get_running_loop().time() + RETRY_REFUSED_SECONDS
        noted = await conn.execute(SQL["note_refusal"], account, sequence, reason)
        if noted != "UPDATE 0":
            _log.error(
                "an account's movements stand still",
                account=account,
                sequence=sequence,
                reason=reason,
            )

    def _standing_still(self) -> list[str]:
        """The accounts that are not to be tried now."""
        now = asyncio.get_running_loop().time()
        self._retry_at = {account: at for account, at in self._retry_at.items() if at > now}
        return list(self._retry_at)

    # Publications ------------------------------------------------------------------------------

    async def _publish(self, conn: Connection) -> list[What]:
        done: list[What] = []
        for what, values_of in _SOURCES.items():
            # The store's first: it has at most what the database had before.
            mirrored = await self._store.revision(what)
            revision = await conn.fetchval(SQL["publication_revision"], what)
            if revision < mirrored:
                _log.error("published is newer than the database", what=what, revision=mirrored)
                await conn.execute(SQL["pass_publication"], what, mirrored)
            elif revision == mirrored:
                continue
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                revision = await conn.fetchval(SQL["publication_revision"], what)
                values = await values_of(conn)
            await self._store.publish(what, revision, values)
            _log.info("published", what=what, revision=revision, values=len(values))
            done.append(what)
        return done

    # Running -----------------------------------------------------------------------------------

    async def _round(self, conn: Connection) -> None:
        if conn.is_closed():
            raise ConnectionResetError("the connection to the database was closed")
        self._wake.clear()
        await self._publish(conn)
        await self._drain(conn, None)

    @contextlib.asynccontextmanager
    async def _listening(self, conn: Connection) -> AsyncGenerator[None]:
        def hear(_conn: object, _pid: int, channel: str, payload: object) -> None:
            if channel == _OUTBOX and isinstance(payload, str) and payload:
                self._told.add(payload)
            self._wake.set()

        def closed(_conn: object) -> None:
            self._wake.set()

        conn.add_termination_listener(closed)
        try:
            for channel in _CHANNELS:
                await conn.add_listener(channel, hear)
            yield
        finally:
            # It is not given back to the pool, where its next user would be told of movements. An
            # InterfaceError tells that the pool has found out before us that it was lost.
            with contextlib.suppress(asyncpg.InterfaceError):
                conn.terminate()

    def _told_since(self) -> list[str]:
        """The accounts for which something was posted since the last call."""
        told = sorted(self._told)
        self._told.clear()
        return told

    async def _sleep(self, stop: asyncio.Event, seconds: float) -> None:
        """Sleep for so long, until something was posted or published, or until `stop`."""
        waiters = [asyncio.ensure_future(event.wait()) for event in (stop, self._wake)]
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
