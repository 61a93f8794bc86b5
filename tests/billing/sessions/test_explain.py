"""Every charge is explained by its own plan version, to the micro."""

from uuid import UUID, uuid4

import msgspec
import pytest

from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.sessions.explain import ExplainedSession, explain, explain_settled, lines_of
from billing.settlement.consumer import Settler
from rating.charge import LineKind
from rating.plan import Plan
from rating.quantity import NOTHING, Counters
from rating.tariff import Counter, Rule, Tariff
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim, stop
from tests.billing.settlement.world import Books, Desk, keep_plan

FANCY = Plan(
    "metered-EUR",
    7,
    Tariff(
        "EUR",
        (
            Rule(Counter.SECONDS, 600_000, 3600),
            Rule(Counter.OCTETS_TOTAL, 2_000_000, 10**9, 1000, 1000),
        ),
        connect_fee_micros=50_000,
        minimum_micros=80_000,
    ),
)


@pytest.fixture
async def session(books: Books, desk: Desk, settler: Settler, conn: Connection) -> UUID:
    """A session on a plan with a fee, a minimum and two counters, settled in three records."""
    await keep_plan(conn, FANCY)
    await desk.open_account("a1", 10**9, users=["ann"])
    worker = Worker(books, [FANCY])
    await worker.report(interim("s-1", "ann", EVENT, 1_000_000, seconds=60))
    await worker.report(interim("s-1", "ann", EVENT + 60, 20_000_000, seconds=120))
    await worker.report(stop("s-1", "ann", EVENT + 120, 20_000_000, seconds=180))
    while await settler.settle_once(10):
        pass
    return await conn.fetchval("SELECT session_uid FROM accounting_sessions")


def kinds(told: ExplainedSession) -> list[list[str]]:
    """The kinds of the lines of each charge."""
    return [[line.kind for line in charge.lines] for charge in told.charges]


async def test_lines_sum_to_the_charges(session: UUID, conn: Connection) -> None:
    """Each record's to its charge, the session's to its total, which is the sum of the charges."""
    told = await explain(conn, session)
    assert [charge.charged_micros for charge in told.charges] == [80_000, 30_000, 10_000]
    assert [charge.total_micros for charge in told.charges] == [80_000, 110_000, 120_000]
    for charge in told.charges:
        assert sum(line.amount_micros for line in charge.lines) == charge.charged_micros
    assert told.charged_micros == 120_000
    assert sum(line.amount_micros for line in told.lines) == 120_000
    assert (told.username, told.account, told.plan_version) == ("ann", "a1", 7)


async def test_reasons_are_named(session: UUID, conn: Connection) -> None:
    """The fee once, the minimum while usage is below it and taken back as usage comes up to it."""
    first, second, third = kinds(await explain(conn, session))
    assert first == [LineKind.CONNECT_FEE, LineKind.USAGE, LineKind.USAGE, LineKind.MINIMUM]
    assert LineKind.CONNECT_FEE not in second
    assert LineKind.MINIMUM in second
    assert third == [LineKind.USAGE]


async def test_an_explanation_can_be_sent(session: UUID, conn: Connection) -> None:
    """It encodes as JSON, with plain keys."""
    told = msgspec.json.decode(msgspec.json.encode(await explain(conn, session)))
    assert told["session_uid"] == str(session)
    assert told["charges"][0]["lines"][0] == {"kind": "connect_fee", "amount_micros": 50_000}


async def test_a_charge_that_its_tariff_does_not_explain(session: UUID, conn: Connection) -> None:
    """Is a bug, and is not papered over."""
    assert lines_of(FANCY.tariff, NOTHING, NOTHING, 0) == ()
    with pytest.raises(AssertionError, match="the tariff says"):
        lines_of(FANCY.tariff, NOTHING, Counters(1, 0, 0), 1)
    await conn.execute("UPDATE accounting_sessions SET charged_micros = charged_micros + 1")
    with pytest.raises(AssertionError, match="120001"):
        await explain(conn, session)


async def test_what_does_not_exist(session: UUID, conn: Connection) -> None:
    """An unknown session, or a plan version that is gone, is told as that."""
    with pytest.raises(NotFound, match="session"):
        await explain(conn, uuid4())
    await conn.execute("DELETE FROM plans")
    with pytest.raises(NotFound, match="version 7 of plan metered-EUR"):
        await explain(conn, session)


async def test_a_settled_charge_is_explained_by_its_number_or_its_transaction(
    session: UUID, conn: Connection
) -> None:
    everything = await explain_settled(conn, "a1", limit=10)
    assert [each.charge.charged_micros for each in everything] == [10_000, 30_000, 80_000]
    number = everything[1].charge.charge_sequence
    assert await explain_settled(conn, "a1", charge_sequence=number, limit=10) == everything[1:2]
    transactions = await conn.fetch(
        "SELECT transaction_id FROM billing_transactions WHERE kind = 'usage' ORDER BY posted_at"
    )
    told = [
        each
        for row in transactions
        for each in await explain_settled(conn, "a1", transaction_id=row[0], limit=10)
    ]
    assert sum(each.charge.charged_micros for each in told) == 120_000
    assert all(
        sum(line.amount_micros for line in each.charge.lines) == each.charge.charged_micros
        for each in told
    )
    topup = await conn.fetchval("SELECT min(transaction_id) FROM billing_transactions")
    with pytest.raises(Conflict, match="its description is the reason"):
        await explain_settled(conn, "a1", transaction_id=topup, limit=10)
    with pytest.raises(NotFound, match="no such settled charge"):
        await explain_settled(conn, "a1", charge_sequence=10**6, limit=10)
