"""The usage report is what was settled, for each subscriber and in total."""

from billing.database import Connection
from billing.sessions.usage import SubscriberUsage, UsageReport, report
from billing.settlement.consumer import Settler
from rating.usage import Kind, Report
from tests.billing.settlement.conservation import sums
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import SessionReport, Worker, interim, stop
from tests.billing.settlement.world import Desk


async def usage(conn: Connection, settler: Settler, username: str | None = None) -> UsageReport:
    """Settle what is in the stream, and report."""
    while await settler.settle_once(100):
        pass
    return await report(conn, username)


async def test_open_and_closed_sessions_count_alike(
    desk: Desk, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """A closed one by its final figures, an open one as far as it is settled."""
    await desk.open_account("a1", 10**9, users=["ann", "ben"])
    await worker.report(
        interim("s-1", "ann", EVENT, 1_000_000, seconds=60),
        interim("s-2", "ann", EVENT, 500_000, seconds=60),
        SessionReport("s-3", "ben", Report(Kind.START, EVENT)),
    )
    await worker.report(stop("s-1", "ann", EVENT + 60, 2_000_000, seconds=120))
    told = await usage(conn, settler)
    ann, ben = told.subscribers
    assert ann == SubscriberUsage(
        username="ann",
        sessions=2,
        octets_in=250_000,
        octets_out=2_250_000,
        seconds=180,
        charged_micros=5_000,
        charged_micros_by_currency={"EUR": 5_000},
    )
    assert (ben.sessions, ben.octets_out, ben.charged_micros) == (1, 0, 0)
    assert (told.total.sessions, told.total.octets_in, told.total.charged_micros) == (
        3,
        250_000,
        5_000,
    )
    assert (await usage(conn, settler, "ann")).subscribers == [ann]
    assert (await sums(conn)).recorded == told.total.charged_micros


async def test_currencies_are_not_summed(
    desk: Desk, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """Each stands for itself; a sum of both would be no amount of money."""
    await desk.open_account("euro", 10**9, users=["ann"])
    await desk.open_account("dollar", 10**9, currency="USD", users=["bob"])
    await worker.report(
        interim("s-1", "ann", EVENT, 1_000_000), interim("s-2", "bob", EVENT, 2_000_000)
    )
    told = await usage(conn, settler)
    assert told.total.charged_micros is None
    assert told.total.charged_micros_by_currency == {"EUR": 2_000, "USD": 4_000}
    assert [each.charged_micros for each in told.subscribers] == [2_000, 4_000]
    assert told.total.octets_out == 2_700_000


async def test_nothing_was_used(settler: Settler, conn: Connection) -> None:
    """An empty report has zeros, not gaps."""
    told = await usage(conn, settler)
    assert told.subscribers == []
    assert (told.total.sessions, told.total.charged_micros) == (0, 0)
