"""Booking a batch in one transaction: the position, and what is parked."""

from typing import Any

import asyncpg
import msgspec
import pytest

from balances import entries
from balances.messages import Position
from billing.database import Connection
from billing.settlement.booking import Booked, book
from rating.quantity import Counters
from tests.billing.settlement.booked import open_accounts, rows, settle, settle_items
from tests.billing.settlement.making import (
    closed,
    items,
    opened,
    stream,
    unrated,
    used,
)

#: Postgres takes no NUL in text: an entry with one can be read, but not written.
POISON = entries.encode(opened(666, session="8000\x00"))


@pytest.fixture(autouse=True)
async def accounts(conn: Connection) -> None:
    """alice, bob and carol, and nothing settled."""
    await open_accounts(conn)


async def test_a_position_that_has_moved_books_nothing(conn: Connection) -> None:
    """Another settler was here: this one's batch leaves no trace."""
    await settle_items(conn, used(1))
    before = await conn.fetchval("SELECT count(*) FROM ledger_postings")
    assert await book(conn, 0, Position(1, 0), stream([items(used(1))])) is None
    assert await book(conn, 0, Position(2, 1), stream([items(used(1))])) is None
    assert await conn.fetchval("SELECT count(*) FROM ledger_postings") == before


@pytest.mark.parametrize(
    "faulty",
    [
        pytest.param(b"no entry", id="undecodable"),
        pytest.param(POISON, id="text with NUL"),
        pytest.param(entries.encode(closed(1, reason="whim")), id="check constraint"),
        pytest.param(
            entries.encode(msgspec.structs.replace(opened(8), epoch=2**40)), id="beyond its column"
        ),
        pytest.param(
            entries.encode(msgspec.structs.replace(used(8), event_time=2**43)),
            id="a moment beyond the year 9999",
        ),
        pytest.param(entries.encode(used(8, "ghost")), id="unknown account"),
        pytest.param(entries.encode(used(8, "bob", currency="EUR")), id="other currency"),
        pytest.param(
            entries.encode(msgspec.structs.replace(unrated(), counters=Counters(2**63, 0, 0))),
            id="seconds beyond their column",
        ),
    ],
)
async def test_one_faulty_item_is_parked_and_all_others_are_booked(
    conn: Connection, faulty: bytes
) -> None:
    """Wherever it stands among many, it is kept octet for octet and costs nobody else."""
    await settle_items(conn, opened(1))
    many = items(*(used(n, "alice", 10) for n in range(100, 137)), faulty, used(2, "carol", 5))
    booked = await settle(conn, many)
    assert booked == Booked(items=39, parked=1)
    assert await rows(conn, "SELECT generation, sequence, item, entry FROM parked_entries") == [
        (1, 2, 37, faulty)
    ]
    assert await conn.fetchval("SELECT sum(charged_micros) FROM usage_records") == 375
    sums = "SELECT sum(amount_micros) FROM ledger_postings WHERE account_id = $1"
    assert await conn.fetchval(sums, "alice") == 370
    assert await conn.fetchval(sums, "carol") == 5


async def test_a_session_opened_twice_is_parked(conn: Connection) -> None:
    """Its first row stands, whichever batches they come in."""
    await settle_items(conn, opened(1, session="first"))
    booked = await settle_items(conn, opened(1, session="second"), used(1))
    assert booked.parked == 1
    assert await rows(conn, "SELECT acct_session_id FROM accounting_sessions") == [("first",)]


async def test_a_poisoned_item_costs_few_retries(conn: Connection) -> None:
    """It is found by halving: some 2 log2(n) attempts at ever smaller parts, not n."""
    attempts: list[str] = []

    def note(query: Any) -> None:
        if query.query.startswith("SAVEPOINT"):
            attempts.append(query.query)

    many = items(*(used(n, "alice", 10) for n in range(1000)), POISON)
    conn.add_query_logger(note)
    await settle(conn, many)
    conn.remove_query_logger(note)
    assert 10 <= len(attempts) <= 2 * 10 + 1


async def test_many_strangers_are_parked_at_once(conn: Connection) -> None:
    """Accounts that are not known are asked for together: one more attempt, however many."""
    booked = await settle_items(
        conn, *(used(n, f"ghost{n}", 10) for n in range(300)), used(999, "alice", 5)
    )
    assert booked == Booked(items=301, parked=300)
    assert await conn.fetchval("SELECT sum(charged_micros) FROM usage_records") == 5


async def test_a_missing_partition_is_no_fault_of_an_item(conn: Connection) -> None:
    """Nothing is parked and nothing moves: it is the database that is not ready."""
    await conn.execute("UPDATE settlement_positions SET settled_at = '2199-01-01'")
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await settle_items(conn, used(1))
    assert await conn.fetchval("SELECT sequence FROM settlement_positions") == 0
    assert await conn.fetchval("SELECT count(*) FROM parked_entries") == 0


async def test_the_time_of_settlement_never_goes_back(conn: Connection) -> None:
    """A clock that was set back does not make the newest record of a session an older one."""
    await conn.execute("UPDATE settlement_positions SET settled_at = now() + interval '1 hour'")
    ahead = await conn.fetchval("SELECT settled_at FROM settlement_positions")
    await settle_items(conn, used(1))
    assert await conn.fetchval("SELECT settled_at FROM usage_records") == ahead
