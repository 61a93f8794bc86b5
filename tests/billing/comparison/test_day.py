"""A day rated once more changes nothing, and tells each account's difference."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billing.comparison.day import Difference, compare
from billing.database import Connection
from billing.errors import InvalidInput
from billing.settlement.consumer import Settler
from rating.allowance import Allowance, Unit
from rating.plan import Plan
from rating.tariff import Counter, Rule, Tariff
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim, stop
from tests.billing.settlement.world import Books, Desk, keep_plan

#: 0.001 a megabyte.
OLD = Plan("metered-EUR", 7, Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 1_000, 10**6),)))
#: Twice that, 5 MB of each day free.
NEW = msgspec.structs.replace(
    OLD,
    version=8,
    tariff=Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 2_000, 10**6),)),
    allowances=(Allowance("daily", Unit.OCTETS, 5 * 10**6),),
)
DAY = datetime.fromtimestamp(EVENT, UTC).date()


async def test_each_account_is_told_what_the_other_version_asks_for(
    books: Books, desk: Desk, settler: Settler, conn: Connection
) -> None:
    await keep_plan(conn, OLD)
    await desk.open_account("a1", 10**9, users=["ann"])
    await desk.open_account("a2", 10**9, users=["bob"])
    worker = Worker(books, [OLD])
    await worker.report(interim("s-1", "ann", EVENT, 4_000_000, seconds=60))
    await worker.report(interim("s-1", "ann", EVENT + 60, 20_000_000, seconds=120))
    await worker.report(stop("s-2", "bob", EVENT + 70, 3_000_000, seconds=70))
    await worker.report(stop("s-1", "ann", EVENT + 86_400, 90_000_000, seconds=86_460))
    while await settler.settle_once(10):
        pass
    async with conn.transaction():
        found = await compare(conn, DAY, NEW)
        assert found.accounts == [
            Difference("a1", 2, 20_000, 20_000, 30_000),
            Difference("a2", 1, 3_000, 3_000, 0),
        ]
        assert found.total.difference_micros == 7_000
        # What a session used on the day before is no usage of this one.
        next_day = await compare(conn, DAY + timedelta(days=1), NEW)
        assert next_day.accounts == [Difference("a1", 1, 70_000, 70_000, 130_000)]
        assert (await compare(conn, DAY - timedelta(days=1), NEW)).accounts == []
        other = msgspec.structs.replace(NEW, tariff=Tariff("USD", ()))
        other = msgspec.structs.replace(other, allowances=())
        with pytest.raises(InvalidInput, match="in EUR, the plan is in USD"):
            await compare(conn, DAY, other)
