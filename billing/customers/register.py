"""The register of customers."""

from datetime import datetime

import asyncpg
import msgspec

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus, BillingAccount
from billing.customers.customer import Customer, Details, check, customer_id
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.payments.payment import Payment
from billing.payments.register import list_ as payments
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Details).decode

#: Accounts of a customer that are told at once: more than any has.
EXPORTED_ACCOUNTS = 1_000_000

#: Payments in an export; older ones are listed by account.
EXPORTED_PAYMENTS = 10_000


class CustomerSubscriber(msgspec.Struct, frozen=True):
    """A user name of a customer."""

    username: str
    account: str
    plan: str
    created_at: datetime


class Export(msgspec.Struct, frozen=True):
    """All that is kept about a customer and was not made by sessions or documents."""

    customer: Customer
    accounts: list[BillingAccount]
    subscribers: list[CustomerSubscriber]
    payments: list[Payment]


async def create(conn: Connection, customer: str, details: Details, *, now: datetime) -> Customer:
    """Create a customer. Raises InvalidInput, or Conflict if there is one of that id."""
    check(details)
    async with conn.transaction():
        if await conn.fetchval(SQL["create"], customer_id(customer), now) is None:
            raise Conflict(f"customer {customer} exists already")
        await conn.execute(SQL["put_details"], customer, _encode(details))
    return Customer(customer, 1, now, None, details)


async def get(conn: Connection, customer: str) -> Customer:
    """Return a customer. Raises NotFound, or InvalidInput."""
    row = await conn.fetchrow(SQL["get"], customer_id(customer))
    if row is None:
        raise NotFound(f"customer {customer} does not exist")
    return _customer(row)


async def list_(
    conn: Connection, *, after: str = "", containing: str | None = None, limit: int = 100
) -> list[Customer]:
    """Return the first customers whose id follows `after`, with a text in what is known of them."""
    return [_customer(row) for row in await conn.fetch(SQL["list"], after, limit, containing)]


async def change(
    conn: Connection, customer: str, details: Details, *, revision: int | None = None
) -> Customer:
    """Give a customer these details instead of those it has.

    Raises InvalidInput, NotFound, or Conflict: it was erased, or is not at `revision` any more.
    """
    check(details)
    async with conn.transaction():
        found = await _hold(conn, customer, revision)
        if found.erased_at is not None:
            raise Conflict(f"customer {customer} was erased at {found.erased_at.isoformat()}")
        if found.details != details:
            await conn.execute(SQL["put_details"], customer, _encode(details))
            await conn.execute(SQL["change"], customer)
        return await get(conn, customer)


async def erase(conn: Connection, customer: str, *, now: datetime) -> Customer:
    """Forget a customer's personal data for good; the books stay, and name only ids.

    With them go the tokens of its payment methods, its passwords, the text of its mails, and what
    requests about it were answered. Finalized documents stay as they are, as the law wants.
    The same again changes nothing. Raises NotFound, or Conflict while an account of it is not
    closed.
    """
    async with conn.transaction():
        found = await _hold(conn, customer, None)
        if found.erased_at is not None:
            return found
        rows = await conn.fetch(SQL["accounts"], customer)
        running = [row["account_id"] for row in rows if row["status"] != AccountStatus.CLOSED]
        if running:
            raise Conflict(f"customer {customer} has accounts that are not closed: {running}")
        await conn.execute(SQL["erase_details"], customer)
        theirs = [row["account_id"] for row in rows]
        await conn.execute(SQL["forget_methods"], theirs, now)
        await conn.execute(SQL["forget_passwords"], theirs)
        await conn.execute(SQL["forget_mails"], theirs)
        await conn.execute(SQL["forget_answers"], [customer, *theirs])
        await conn.execute(SQL["erased"], customer, now)
        return await get(conn, customer)


async def export(conn: Connection, customer: str) -> Export:
    """Return what is kept about a customer. Raises NotFound."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        found = await get(conn, customer)
        theirs = await accounts_of(conn, customer)
        return Export(
            customer=found,
            accounts=theirs,
            subscribers=[
                CustomerSubscriber(r["username"], r["account_id"], r["plan"], r["created_at"])
                for r in await conn.fetch(SQL["subscribers"], customer)
            ],
            payments=[
                payment
                for each in theirs
                for payment in await payments(conn, account=each.account, limit=EXPORTED_PAYMENTS)
            ],
        )


async def accounts_of(conn: Connection, customer: str) -> list[BillingAccount]:
    """Return the accounts of a customer, by id. Raises NotFound."""
    await get(conn, customer)
    return await accounts.list_(conn, customer=customer, limit=EXPORTED_ACCOUNTS)


async def _hold(conn: Connection, customer: str, revision: int | None) -> Customer:
    there = await conn.fetchval(SQL["lock"], customer_id(customer))
    if there is None:
        raise NotFound(f"customer {customer} does not exist")
    if revision is not None and there != revision:
        raise Conflict(f"customer {customer} is at revision {there}, not {revision}: read it again")
    return await get(conn, customer)


def _customer(row: asyncpg.Record) -> Customer:
    details = row["details"]
    return Customer(
        customer_id=row["customer_id"],
        revision=row["revision"],
        created_at=row["created_at"],
        erased_at=row["erased_at"],
        details=None if details is None else _decode(details),
    )
