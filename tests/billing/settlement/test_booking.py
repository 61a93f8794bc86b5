"""A batch in Postgres: rows, postings, parking. On a real database, without a store."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from balances import entries
from balances.entries import Entry, JobEvent, Reopened
from balances.messages import Position
from billing.database import Connection
from billing.settlement.booking import Booked, book
from billing.settlement.rows import Item
from rating.quantity import Counters
from tests.billing.settlement.making import (
    AT_MS,
    EVENT,
    anomaly,
    closed,
    items,
    job_event,
    opened,
    stream,
    uid,
    unrated,
    used,
)

#: Postgres takes no NUL in text: an entry with one can be read, but not written.
POISON = entries.encode(opened(666, session="8000\x00"))


@pytest.fixture(autouse=True)
async def accounts(conn: Connection) -> None:
    """alice and bob prepay, carol does not; nothing is settled."""
    await conn.execute(
        "INSERT INTO customer_billing_accounts (account_id, currency, payment_mode, created_at)"
        " VALUES ('alice', 'EUR', 'prepaid', now()), ('bob', 'USD', 'prepaid', now()),"
        " ('carol', 'EUR', 'postpaid', now())"
    )
    await conn.execute("INSERT INTO settlement_positions VALUES (0, 1, 0, now())")


async def settle(conn: Connection, *batches: Sequence[Item]) -> Booked:
    """Book these stream entries, one a batch of items, after what was booked before."""
    at = await conn.fetchval("SELECT sequence FROM settlement_positions")
    booked = await book(conn, 0, Position(1, at), stream(batches, after=at))
    assert booked is not None
    return booked


async def settle_items(conn: Connection, *values: Entry | JobEvent | bytes) -> Booked:
    """Book one stream entry."""
    return await settle(conn, items(*values))


async def rows(conn: Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query, as tuples."""
    return [tuple(row) for row in await conn.fetch(query)]


async def test_postings_are_one_an_account_and_one_for_revenue(conn: Connection) -> None:
    """Prepaid credit is used up, postpaid usage is owed; a batch's revenue is one credit each."""
    booked = await settle(
        conn,
        items(used(1, "alice", 20), used(2, "bob", 7, currency="USD")),
        items(used(3, "alice", 30), used(4, "carol", 100), used(5, "carol", 0)),
    )
    assert booked == Booked(items=5, parked=0)
    assert await rows(
        conn,
        "SELECT name, account_id, currency, amount_micros FROM ledger_postings"
        " JOIN ledgers USING (ledger) ORDER BY account_id, currency",
    ) == [
        ("customer_credit", "alice", "EUR", 50),
        ("customer_credit", "bob", "USD", 7),
        ("unbilled_usage", "carol", "EUR", 100),
        ("revenue", None, "EUR", -150),
        ("revenue", None, "USD", -7),
    ]
    assert await rows(
        conn,
        "SELECT kind, account_id, partition, generation, first_sequence, last_sequence"
        " FROM billing_transactions",
    ) == [("usage", None, 0, 1, 1, 2)]


async def test_a_usage_record_a_record(conn: Connection) -> None:
    """With its counters after it, its charge, and the charge sequence of its account."""
    await settle_items(conn, used(1, charge=20), used(1, charge=0, total=20))
    assert await rows(
        conn,
        "SELECT charge_sequence, octets_in, used_octets_out, charged_micros, total_micros,"
        " extract(epoch FROM event_at)::bigint FROM usage_records ORDER BY 1",
    ) == [(1, 1000, 9000, 20, 20, EVENT), (2, 1000, 9000, 0, 20, EVENT)]


async def test_a_session_from_its_opening_to_its_end(conn: Connection) -> None:
    """Open while it runs, closed with its final figures, open again if it reports again."""
    state = (
        "SELECT closed_at IS NULL, close_reason, terminate_cause, octets_out, charged_micros"
        " FROM accounting_sessions"
    )
    await settle_items(conn, opened(1), used(1))
    assert await rows(conn, state) == [(True, None, None, None, None)]
    await settle_items(conn, closed(1, reason="lost", total=20))
    assert await rows(conn, state) == [(False, "lost", 1, 9000, 20)]
    await settle_items(conn, Reopened(uid(1), "alice", AT_MS, EVENT))
    assert await rows(conn, state) == [(True, None, None, None, None)]
    await settle_items(conn, closed(1, total=25))
    await settle_items(conn, closed(1, total=30))
    assert await rows(conn, state) == [(False, "stop", 1, 9000, 30)]


async def test_a_session_that_opens_and_ends_in_one_batch(conn: Connection) -> None:
    """It is written once, closed; its 64-bit counters are whole."""
    large = msgspec.structs.replace(opened(1), base=Counters(0, 2**64 - 1, 0))
    await settle_items(conn, large, used(1), closed(1))
    assert await rows(
        conn, "SELECT base_octets_in, octets_in, close_reason FROM accounting_sessions"
    ) == [(2**64 - 1, 1000, "stop")]


async def test_the_end_of_an_unknown_session_is_parked(conn: Connection) -> None:
    """There is no row to write it into; it is not lost for that."""
    booked = await settle_items(conn, used(1), closed(2))
    assert booked.parked == 1
    assert await rows(conn, "SELECT item, error FROM parked_entries") == [
        (1, "no session 00000000-0000-0000-0000-000000000002 was ever opened here")
    ]
    assert await conn.fetchval("SELECT count(*) FROM usage_records") == 1


async def test_anomalies_are_counted_over_batches(conn: Connection) -> None:
    """By session and code, with the counters of the last record."""
    await settle_items(conn, anomaly(octets_in=1), anomaly(octets_in=2))
    await settle_items(conn, anomaly(octets_in=2**64 - 1), anomaly(code="earlier_epoch"))
    assert await rows(
        conn, "SELECT code, records, octets_in, account_id FROM anomalies ORDER BY records DESC"
    ) == [("counter_fell", 3, 2**64 - 1, "alice"), ("earlier_epoch", 1, 5, "alice")]


async def test_the_newest_unrated_record_stays(conn: Connection) -> None:
    """A late one is counted, but its counters are not taken."""
    await settle_items(conn, unrated(event_time=EVENT, octets_in=10))
    await settle_items(conn, unrated(event_time=EVENT - 60, octets_in=5))
    assert await rows(conn, "SELECT records, octets_in FROM unrated_records") == [(2, 10)]
    await settle_items(conn, unrated(event_time=EVENT + 60, octets_in=15), unrated("80000010"))
    assert await rows(
        conn, "SELECT records, octets_in FROM unrated_records ORDER BY acct_session_id"
    ) == [(3, 15), (1, 10)]


async def test_events_of_jobs_are_kept(conn: Connection) -> None:
    """Each as it happened."""
    await settle_items(conn, job_event(7, "requested"), job_event(7, "proven"))
    assert await rows(
        conn,
        "SELECT event, cause, due_at - at, attempts FROM enforcement_events ORDER BY event_id",
    ) == [
        ("requested", "exhausted", timedelta(milliseconds=500), 1),
        ("proven", "exhausted", timedelta(milliseconds=500), 1),
    ]


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
