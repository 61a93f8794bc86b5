"""Lines as they stand, and what was decided about them."""

import pytest

from billing.database import Connection
from billing.errors import NotFound
from billing.reconciliation import line
from billing.reconciliation.line import State
from billing.reconciliation.pairing import ignore
from tests.billing.invoices.making import NOW
from tests.billing.reconciliation.bank import Booked, camt
from tests.billing.reconciliation.conftest import bring

pytestmark = pytest.mark.usefixtures("business")


async def test_lines_are_listed_in_order_and_tell_their_history(conn: Connection) -> None:
    await bring(conn, camt(*[Booked(f"{n}.00", f"t{n}", "P", "DE1") for n in range(1, 6)]))
    first = await line.list_(conn, limit=2)
    rest = await line.list_(conn, after=first[-1].line_id)
    assert [each.as_told().text for each in (*first, *rest)] == ["t1", "t2", "t3", "t4", "t5"]
    assert await line.history(conn, first[0].line_id) == []
    await ignore(conn, first[0].line_id, reason="a gift", actor="clerk", now=NOW)
    [event] = await line.history(conn, first[0].line_id)
    assert (event.action, b"a gift" in bytes(event.after or b"")) == ("update", True)
    assert len(await line.list_(conn, state=State.NEW)) == 4
    with pytest.raises(NotFound):
        await line.history(conn, 99)
