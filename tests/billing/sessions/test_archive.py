"""A session that the store forgot is found again as its worker left it."""

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from balances.messages import Lookup, SessionState, decode_state
from billing.database import Connection, Pool
from billing.sessions import archive
from billing.sessions.archive import ArchivedSession
from billing.settlement.consumer import Settler
from rating.quantity import NOTHING, Counters
from rating.reservation import Pace
from rating.usage import Kind, Meter, Phase, Report
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import (
    IDENTITY,
    SessionReport,
    Worker,
    interim,
    stop,
)
from tests.billing.settlement.world import Books, Desk

NAS = "pop1/10.0.0.1"
KEY = f"{NAS}|s-1"


@pytest.fixture(autouse=True)
async def accounts(desk: Desk) -> None:
    """One user with money."""
    await desk.open_account("a1", 10**12, users=["ann"])


async def settle_all(settler: Settler) -> None:
    """Settle what is in the stream."""
    while await settler.settle_once(100):
        pass


async def the_session(conn: Connection) -> ArchivedSession:
    """The session of these tests, from the archive."""
    return (await archive.find(conn, [KEY]))[KEY]


def remembering_the_last(meter: Meter) -> Meter:
    """A meter that knows its last report alone, as the archive gives it back."""
    return replace(meter, prints=meter.prints[-4:])


async def the_stored(books: Books) -> SessionState:
    """The session of these tests, from the store."""
    found = (await books.store.read([Lookup(KEY, NAS)])).found[0].session
    assert found is not None
    return decode_state(found.state)


async def test_an_open_session_with_usage(
    worker: Worker, settler: Settler, conn: Connection, books: Books
) -> None:
    """Its newest usage record is its state; its pace is not kept."""
    await worker.report(interim("s-1", "ann", EVENT, 1_000_000, seconds=60))
    await worker.report(interim("s-1", "ann", EVENT + 60, 3_000_000, seconds=120))
    await settle_all(settler)
    found = await the_session(conn)
    stored = await the_stored(books)
    assert found.open
    assert found.account == "a1"
    assert found.nas == NAS
    assert found.state.meter == remembering_the_last(stored.meter)
    assert (found.state.username, found.state.plan, found.state.plan_version) == (
        "ann",
        "metered-EUR",
        1,
    )
    assert found.state.currency == "EUR"
    assert bytes(found.state.identity) == bytes(IDENTITY)
    assert found.state.pace == Pace(archive.DEFAULT_INTERVAL_S)


async def test_the_newest_of_records_that_were_settled_together(
    worker: Worker, settler: Settler, conn: Connection
) -> None:
    """They have one time of settlement; the counters tell which came last, not their place."""
    for n in range(1, 20):
        await worker.report(interim("s-1", "ann", EVENT + 60 * n, 1000 * n))
    await settle_all(settler)
    assert (await the_session(conn)).state.meter.used.octets_out == 900 * 19
    await conn.execute("SET ROLE NONE")
    await conn.execute("CREATE TEMPORARY TABLE kept AS TABLE usage_records")
    await conn.execute("SET session_replication_role = replica")
    await conn.execute("TRUNCATE usage_records")
    await conn.execute("SET session_replication_role = origin")
    await conn.execute("INSERT INTO usage_records SELECT * FROM kept ORDER BY total_micros DESC")
    assert (await the_session(conn)).state.meter.used.octets_out == 900 * 19


async def test_an_open_session_without_usage(
    worker: Worker, settler: Settler, conn: Connection, books: Books
) -> None:
    """Nothing is charged yet; it stands at its base."""
    await worker.report(SessionReport("s-1", "ann", Report(Kind.START, EVENT)))
    await settle_all(settler)
    found = await the_session(conn)
    assert found.state.meter == remembering_the_last((await the_stored(books)).meter)
    assert found.state.meter.marks == NOTHING
    assert found.state.meter.total_micros == 0


@pytest.mark.parametrize("phase", [Phase.STOPPED, Phase.LOST, Phase.NAS_DOWN])
async def test_a_closed_session(
    worker: Worker, settler: Settler, conn: Connection, books: Books, phase: Phase
) -> None:
    """It has its final figures, and how it ended."""
    await worker.report(interim("s-1", "ann", EVENT, 1_000_000, seconds=60))
    if phase is Phase.STOPPED:
        await worker.report(stop("s-1", "ann", EVENT + 60, 2_000_000, seconds=120))
    else:
        await worker.close(KEY, NAS, phase)
    await settle_all(settler)
    found = await the_session(conn)
    assert not found.open
    assert found.state.meter == remembering_the_last((await the_stored(books)).meter)
    assert found.state.meter.phase is phase


async def test_a_session_that_came_back(
    worker: Worker, settler: Settler, conn: Connection, books: Books
) -> None:
    """Given up and then heard of again: it is open, with what it used since."""
    await worker.report(interim("s-1", "ann", EVENT, 1_000_000, seconds=60))
    await worker.close(KEY, NAS, Phase.LOST)
    await settle_all(settler)
    await worker.report(interim("s-1", "ann", EVENT + 600, 5_000_000, seconds=660))
    await settle_all(settler)
    found = await the_session(conn)
    assert found.open
    assert found.state.meter == remembering_the_last((await the_stored(books)).meter)


async def test_the_newest_epoch_of_a_session_id(
    worker: Worker, settler: Settler, conn: Connection, books: Books
) -> None:
    """A NAS that uses an id again: the older epoch is not given back, and not restored."""
    await worker.report(stop("s-1", "ann", EVENT, 1_000_000, seconds=60))
    again = Report(Kind.START, EVENT + 100)
    await worker.report(SessionReport("s-1", "ann", again))
    await settle_all(settler)
    found = await the_session(conn)
    assert found.state.meter.epoch == 1
    assert found.state.meter == replace((await the_stored(books)).meter, prints=b"")
    await conn.execute("UPDATE accounting_sessions SET closed_at = NULL, close_reason = NULL")
    async with conn.transaction():
        chunks = [chunk async for chunk in archive.living_sessions(conn, chunk=10)]
    assert [session.uid for chunk in chunks for session in chunk] == [found.uid]


async def test_unknown_sessions_are_left_out(conn: Connection) -> None:
    """The answer has only what is known; asking for nothing asks nobody."""
    assert await archive.find(conn, ["pop1|nobody"]) == {}
    assert await archive.find(conn, []) == {}


async def test_living_sessions_come_in_chunks(
    worker: Worker, settler: Settler, conn: Connection
) -> None:
    """Each once, whether it is open or just closed."""
    for n in range(7):
        await worker.report(interim(f"s-{n}", "ann", EVENT, 1000 * n, seconds=60))
    await worker.report(stop("s-3", "ann", EVENT + 60, 9000, seconds=120))
    await settle_all(settler)
    async with conn.transaction():
        chunks = [chunk async for chunk in archive.living_sessions(conn, chunk=2)]
    assert [len(chunk) for chunk in chunks] == [2, 2, 2, 1]
    keys = {session.session for chunk in chunks for session in chunk}
    assert keys == {f"{NAS}|s-{n}" for n in range(7)}


async def test_when_it_last_reported(worker: Worker, settler: Settler, conn: Connection) -> None:
    """By its NAS's clock if that can be right, else when it was settled."""
    settled_at = await conn.fetchval("SELECT extract(epoch FROM now())::bigint")
    await worker.report(interim("s-1", "ann", settled_at - 1800, 1000, seconds=60))
    await settle_all(settler)
    found = await the_session(conn)
    assert found.state.reported_ms == (settled_at - 1800) * 1000
    await conn.execute("SET ROLE NONE")
    for wrong in (0, settled_at + 9999):
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("UPDATE usage_records SET event_at = to_timestamp($1)", wrong)
        await conn.execute("SET session_replication_role = origin")
        found = await the_session(conn)
        assert abs(found.state.reported_ms - settled_at * 1000) < 60_000


_numbers = itertools.count(1)
_reports = st.lists(
    st.builds(
        Report,
        kind=st.sampled_from([Kind.START, Kind.INTERIM, Kind.INTERIM, Kind.STOP]),
        event_time=st.integers(EVENT, EVENT + 2000),
        seconds=st.none() | st.integers(0, 2000),
        octets_in=st.none() | st.integers(0, 10**9),
        octets_out=st.none() | st.integers(0, 10**9),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_reports)
async def test_whatever_was_reported(
    pool: Pool, books: Books, settler: Settler, worker: Worker, reports: list[Report]
) -> None:
    """The archive has the same epoch, phase, marks and total as the store, after any reports."""
    session = f"s-{next(_numbers)}"
    key = f"{NAS}|{session}"
    for report in reports:
        await worker.report(SessionReport(session, "ann", report))
    await settle_all(settler)
    stored = (await books.store.read([Lookup(key, NAS)])).found[0].session
    assert stored is not None
    meter = decode_state(stored.state).meter
    async with pool.acquire() as conn:
        found = (await archive.find(conn, [key]))[key]
    assert found.uid == stored.uid
    assert found.open == stored.open
    kept = found.state.meter
    assert (kept.epoch, kept.phase, kept.marks, kept.base, kept.total_micros) == (
        meter.epoch,
        meter.phase,
        meter.marks,
        meter.base,
        meter.total_micros,
    )
    assert kept.used == Counters(*msgspec.structs.astuple(meter.marks - meter.base))


async def test_closed_sessions_are_living_for_the_late_window(
    worker: Worker, settler: Settler, conn: Connection
) -> None:
    await worker.report(stop("s-1", "ann", EVENT, 1_000_000, seconds=60))
    await settle_all(settler)

    async def living() -> list[bool]:
        async with conn.transaction():
            chunks = [chunk async for chunk in archive.living_sessions(conn, chunk=10)]
        return [session.open for chunk in chunks for session in chunk]

    assert await living() == [False]
    await conn.execute("UPDATE accounting_sessions SET closed_at = now() - interval '8 days'")
    assert await living() == []
