"""Customers: changed at a known revision, exported whole, erased for good."""

from datetime import datetime

import pytest

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus, Particulars
from billing.customers.customer import Details
from billing.customers.register import accounts_of, change, create, erase, export, get, list_
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.payments.payment import Method
from billing.payments.register import NewPayment, receive

ANNA = Details(name="Anna Weiß", email="anna@example.org", city="Ulm", country="DE")


async def test_it_is_changed_at_a_known_revision(conn: Connection, now: datetime) -> None:
    made = await create(conn, "anna", ANNA, now=now)
    assert await get(conn, "anna") == made
    with pytest.raises(Conflict, match="exists already"):
        await create(conn, "anna", ANNA, now=now)
    moved = Details(name="Anna Weiß", city="Graz", country="AT")
    assert (await change(conn, "anna", moved, revision=1)).revision == 2
    assert (await change(conn, "anna", moved)).revision == 2
    with pytest.raises(Conflict, match="is at revision 2, not 1"):
        await change(conn, "anna", ANNA, revision=1)
    with pytest.raises(NotFound):
        await change(conn, "nobody", ANNA)


async def test_it_is_found_by_what_is_known(conn: Connection, now: datetime) -> None:
    await create(conn, "anna", ANNA, now=now)
    await create(conn, "bert", Details(company="Bert GmbH", country="DE"), now=now)

    async def found(text: str | None, after: str = "") -> list[str]:
        rows = await list_(conn, containing=text, after=after)
        return [each.customer_id for each in rows]

    assert await found(None) == ["anna", "bert"]
    assert await found(None, "anna") == ["bert"]
    assert await found("WEIß") == ["anna"]
    assert await found("gmbh") == ["bert"]
    assert await found("DE") == []


async def test_all_of_it_is_exported_and_then_forgotten(conn: Connection, now: datetime) -> None:
    await create(conn, "anna", ANNA, now=now)
    await accounts.create(conn, "a1", "EUR", particulars=Particulars(customer="anna"), now=now)
    await receive(conn, NewPayment("a1", 10_000_000, Method.CASH), actor="x", now=now)
    told = await export(conn, "anna")
    assert told.customer.details == ANNA
    assert [each.account for each in told.accounts] == ["a1"]
    assert [each.amount_micros for each in told.payments] == [10_000_000]
    assert told.accounts == await accounts_of(conn, "anna")
    with pytest.raises(Conflict, match=r"not closed: \['a1'\]"):
        await erase(conn, "anna", now=now)
    await accounts.set_status(conn, "a1", AccountStatus.CLOSED, now=now)
    gone = await erase(conn, "anna", now=now)
    assert (gone.details, gone.erased_at) == (None, now)
    assert await erase(conn, "anna", now=now) == gone
    with pytest.raises(Conflict, match="was erased"):
        await change(conn, "anna", ANNA)
    everywhere = await conn.fetchval(
        "SELECT count(*) FROM audit_events"
        " WHERE strpos(coalesce(before::text, '') || coalesce(after::text, ''), 'Anna') > 0"
    )
    assert everywhere == 0
