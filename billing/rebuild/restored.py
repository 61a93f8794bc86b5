"""What Postgres knows, as the store takes it back. Reading only, within one snapshot."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from balances.messages import Account, RestoredSession, Subscriber, encode_state
from billing.database import WHOLE_SECONDS, Connection
from billing.sessions import archive
from billing.statements import load
from billing.subscribers.register import login_text

SQL = load(__package__, "queries.sql")

#: How much is written to the store at once.
CHUNK: Final = 500


async def accounts(conn: Connection, generation: int) -> AsyncIterator[list[Account]]:
    """Yield all accounts: balances by the ledger, all their movements contained.

    Nothing is reserved and nothing was charged in this generation of the books. The rating version
    is one that no account had before, so a step that was computed before the rebuild is stale.
    """
    chunk: list[Account] = []
    async for row in conn.cursor(SQL["accounts"], prefetch=CHUNK, timeout=WHOLE_SECONDS):
        chunk.append(_account(row, generation))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def subscribers(conn: Connection) -> AsyncIterator[list[tuple[str, Subscriber]]]:
    """Yield all user names, and who they belong to."""
    chunk: list[tuple[str, Subscriber]] = []
    async for row in conn.cursor(SQL["subscribers"], prefetch=CHUNK, timeout=WHOLE_SECONDS):
        subscriber = Subscriber(row["account_id"], row["plan"], login_text(row))
        chunk.append((row["username"], subscriber))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def sessions(
    conn: Connection, *, interval_seconds: int, quiet_seconds: int
) -> AsyncIterator[list[RestoredSession]]:
    """Yield all open sessions, as far as they are settled, and those closed of late.

    Closed ones are there to know what a NAS sends again of them.
    """
    found = archive.living_sessions(conn, chunk=CHUNK, interval_seconds=interval_seconds)
    async for chunk in found:
        yield [
            RestoredSession(
                session=session.session,
                nas=session.nas,
                account=session.account,
                uid=session.uid,
                open=session.open,
                quiet=quiet_seconds,
                state=encode_state(session.state),
            )
            for session in chunk
        ]


def _account(row: asyncpg.Record, generation: int) -> Account:
    return Account(
        account=row["account_id"],
        currency=row["currency"],
        balance=row["balance_micros"],
        reserved=0,
        credit_limit=row["credit_limit_micros"],
        minimum=row["minimum_balance_micros"],
        rating_version=(generation << 32) + 1,
        charged=0,
        moved=row["movement_sequence"],
        suspended=row["status"] == "suspended",
        closed=row["status"] == "closed",
        pool=row["pool"],
    )
