"""What a batch becomes in Postgres: postings, usage records, sessions, notes."""

import gc
from datetime import timedelta

import msgspec
import pytest

from balances.entries import Freed, Reopened
from billing.database import Connection
from billing.settlement.booking import Booked
from rating.quantity import Counters
from tests.billing.settlement.booked import open_accounts, rows, settle, settle_items
from tests.billing.settlement.making import (
    AT_MS,
    EVENT,
    anomaly,
    closed,
    items,
    job_event,
    opened,
    uid,
    unrated,
    used,
)


@pytest.fixture(autouse=True)
async def accounts(conn: Connection) -> None:
    """alice, bob and carol, and nothing settled."""
    await open_accounts(conn)


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


async def test_what_is_free_moves_where_a_session_is_counted_from(conn: Connection) -> None:
    """Or it would be charged once the store is rebuilt, by the next cumulative record."""
    state = "SELECT base_seconds, base_octets_in, base_octets_out FROM accounting_sessions"
    first, last = Counters(60, 0, 2**40), Counters(120, 2**64 - 1, 2**41)
    freed = Freed(uid(1), "alice", AT_MS, first)
    await settle_items(conn, opened(1), used(1), freed)
    assert await rows(conn, state) == [(60, 0, 2**40)]
    await settle_items(conn, freed, msgspec.structs.replace(freed, base=last), closed(1))
    assert await rows(conn, state) == [(120, 2**64 - 1, 2**41)]


async def test_an_end_with_the_greatest_terminate_cause_is_written(conn: Connection) -> None:
    cause = 2**32 - 1
    ended = msgspec.structs.replace(closed(1), terminate_cause=cause)
    assert (await settle_items(conn, opened(1), ended)).parked == 0
    assert await rows(conn, "SELECT terminate_cause FROM accounting_sessions") == [(cause,)]
    await settle_items(conn, msgspec.structs.replace(ended, total_micros=30))
    assert await rows(conn, "SELECT charged_micros FROM accounting_sessions") == [(30,)]


async def test_a_batch_leaves_no_data_behind_for_the_garbage_collector(conn: Connection) -> None:
    """It looks seldom: what COPY was given must be gone with the batch."""
    await settle_items(conn, used(1))
    gc.collect()
    gc.disable()
    try:
        for number in range(2, 22):
            await settle_items(conn, used(number))
        classes = [each for each in gc.get_objects() if isinstance(each, type)]
        before = len(classes)
        del classes
        gc.collect()
        assert sum(isinstance(each, type) for each in gc.get_objects()) == before
    finally:
        gc.enable()


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
