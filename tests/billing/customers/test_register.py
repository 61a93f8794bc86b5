"""Customers: changed at a known revision, exported whole, erased for good."""

from datetime import datetime

import msgspec
import pytest

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus, Particulars
from billing.customers.customer import Details
from billing.customers.register import accounts_of, change, create, erase, export, get, list_
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.payments import methods
from billing.payments.payment import Method
from billing.payments.register import NewPayment, receive
from billing.requests import once
from billing.sealing.keyring import Keyring
from tests.billing.invoices.making import open_business

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


async def test_what_it_left_elsewhere_is_forgotten_with_it(conn: Connection, now: datetime) -> None:
    await create(conn, "anna", ANNA, now=now)
    await accounts.create(conn, "a1", "EUR", particulars=Particulars(customer="anna"), now=now)
    keyring = Keyring([bytes(32)])
    await methods.add(
        conn, keyring, "a1", Method.CARD, gateway="stripe", token=b"pm_1", label="Visa", now=now
    )
    await open_business(conn)
    answer = msgspec.json.encode({"account": "a1", "buyer": {"name": "Anna Weiß"}})
    await conn.execute(
        "INSERT INTO subscribers (username, account_id, plan, password_sealed, created_at)"
        " VALUES ('a@isp', 'a1', 'gold', '\\x01', $1)", now,
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO mail_messages (account_id, kind, entity, language, recipient, subject, body,"
        " created_at) VALUES ('a1', 'reminder', 'main', 'en', $1, 'Due', 'Dear Anna Weiß', $2)",
        ANNA.email, now,
    )  # fmt: skip
    async with conn.transaction():
        for key, body in (("k", answer), ("other", b'{"account":"a10"}')):
            await once.begin(conn, b"t", key, b"h", now)
            await once.end(conn, b"t", key, once.Answered(201, body))
    await accounts.set_status(conn, "a1", AccountStatus.CLOSED, now=now)
    await erase(conn, "anna", now=now)
    assert await methods.of_account(conn, "a1") == []
    left = await conn.fetchrow(
        "SELECT (SELECT count(*) FROM payment_methods WHERE token_sealed IS NOT NULL) AS tokens,"
        " (SELECT count(*) FROM subscribers WHERE password_sealed IS NOT NULL) AS passwords,"
        " (SELECT array_agg(idempotency_key) FROM http_requests) AS keys"
    )
    assert left is not None
    assert tuple(left) == (0, 0, ["other"])
    mail = await conn.fetchrow("SELECT recipient, subject, body, status FROM mail_messages")
    assert mail is not None
    assert tuple(mail) == ("", "", "", "failed")
