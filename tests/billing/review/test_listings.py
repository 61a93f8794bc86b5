"""What was settled for staff to see is what they see."""

from uuid import UUID

import msgspec

from balances.messages import Position
from billing.database import Connection
from billing.review import listings
from billing.settlement.booking import book
from tests.billing.settlement.making import (
    anomaly,
    items,
    job_event,
    opened,
    stream,
    uid,
    unrated,
)


async def settle(conn: Connection) -> None:
    """Two of each kind, in one batch."""
    await conn.execute("INSERT INTO settlement_positions VALUES (0, 1, 0, now())")
    made = items(
        opened(1), unrated("8000000a"), unrated("8000000b"), anomaly(1), anomaly(2), b"odd",
        b"odder", job_event(1), job_event(2, "proven"),
    )  # fmt: skip
    assert await book(conn, 0, Position(1, 0), stream([made])) is not None


async def test_sessions_that_could_not_be_rated(conn: Connection) -> None:
    """With why, and with what they reported last."""
    await settle(conn)
    first, second = await listings.unrated(conn, username="mallory")
    assert (first.acct_session_id, second.acct_session_id) == ("8000000a", "8000000b")
    assert (first.reason, first.client, first.records) == ("unknown_user", "pop1", 1)
    assert (first.seconds, first.octets_in, first.octets_out) == (60, 10, 100)
    assert await listings.unrated(conn, username="alice") == []
    assert len(await listings.unrated(conn, limit=1)) == 1


async def test_anomalies_name_their_session_if_it_is_known(conn: Connection) -> None:
    """Whether or not its opening was settled."""
    await settle(conn)
    known, unknown = await listings.anomalies(conn, account="alice")
    assert (known.session, known.username) == ("pop1|80000001", "alice")
    assert (unknown.session, unknown.username) == (None, None)
    assert (known.code, known.records, known.octets_out) == ("counter_fell", 1, 7)
    assert await listings.anomalies(conn, account="bob") == []


async def test_parked_entries_come_octet_for_octet(conn: Connection) -> None:
    """Newest first, with why they were parked."""
    await settle(conn)
    odder, odd = await listings.parked(conn)
    assert (odd.entry, odder.entry) == (b"odd", b"odder")
    assert (odd.generation, odd.sequence, odd.item, odd.field) == (1, 1, 5, b"6")
    assert odd.error


async def test_events_of_enforcement(conn: Connection) -> None:
    """Of one session, or of all."""
    await settle(conn)
    assert [each.event for each in await listings.enforcement(conn)] == ["proven", "requested"]
    (proven,) = await listings.enforcement(conn, session_uid=UUID(bytes=uid(2)))
    assert (proven.event, proven.cause, proven.attempts) == ("proven", "exhausted", 1)


async def test_counts_and_json(conn: Connection) -> None:
    """Everything can be counted and sent."""
    await settle(conn)
    assert await listings.counts(conn) == listings.ReviewCounts(unrated=2, anomalies=2, parked=2)
    for found in (
        await listings.unrated(conn),
        await listings.anomalies(conn),
        await listings.parked(conn),
        await listings.enforcement(conn),
    ):
        assert len(msgspec.json.decode(msgspec.json.encode(found))) == 2
