"""Receipts and account statements, from what is in Postgres."""

from datetime import date, datetime, time, timedelta

from billing.database import Connection
from billing.documents.content import AccountStatement, Movement, Receipt
from billing.entities import register as entities
from billing.entities.entity import LANGUAGES, MAIN, Entity
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices.buyers import buyers_of
from billing.invoices.composing import account_of
from billing.invoices.invoice import Buyer
from billing.statements import load

SQL = load(__package__, "queries.sql")


async def receipt(conn: Connection, payment_id: int, entity: str = MAIN) -> Receipt:
    """Return the receipt of a payment. Raises NotFound, or Conflict if it did not arrive."""
    row = await conn.fetchrow(SQL["payment"], payment_id)
    if row is None:
        raise NotFound(f"payment {payment_id} does not exist")
    if row["status"] != "succeeded":
        raise Conflict(f"payment {payment_id} is {row['status']}: there is no receipt for it")
    seller = await entities.get(conn, entity)
    buyer = (await buyers_of(conn, [row["account_id"]]))[row["account_id"]]
    used = await conn.fetch(SQL["used_for"], payment_id)
    return Receipt(
        number=f"R-{payment_id}",
        account=row["account_id"],
        currency=row["currency"],
        language=language_of(buyer, seller),
        amount_micros=row["amount_micros"],
        received_on=row["settled_at"].astimezone(seller.zone).date(),
        method=row["method"].replace("_", " "),
        reference=row["reference"],
        seller=seller,
        buyer=buyer,
        used_for=tuple((each["number"], each["micros"]) for each in used),
    )


async def statement(
    conn: Connection, account: str, since: date, to: date, entity: str = MAIN
) -> AccountStatement:
    """Return what moved an account's balance from a day to another (included); usage by the day.

    Raises NotFound, or InvalidInput.
    """
    if to < since:
        raise InvalidInput(f"a statement from {since} to {to}: it ends before it begins")
    known = await account_of(conn, account)
    seller = await entities.get(conn, entity)
    buyer = (await buyers_of(conn, [account]))[account]
    begin = datetime.combine(since, time(), seller.zone)
    end = datetime.combine(to + timedelta(days=1), time(), seller.zone)
    opening: int = await conn.fetchval(SQL["opening"], account, begin)
    movements: list[Movement] = []
    balance = opening
    for row in await conn.fetch(SQL["movements"], account, begin, end, seller.time_zone):
        balance += row["micros"]
        day = row["posted_at"].astimezone(seller.zone).date()
        movements.append(Movement(day, row["description"], row["micros"], balance))
    return AccountStatement(
        account=account,
        currency=known.currency,
        language=language_of(buyer, seller),
        since=since,
        to=to,
        opening_micros=opening,
        closing_micros=balance,
        seller=seller,
        buyer=buyer,
        movements=tuple(movements),
    )


def language_of(buyer: Buyer, seller: Entity) -> str:
    """Return the buyer's language if there are words for it, else the seller's."""
    return buyer.language if buyer.language in LANGUAGES else seller.language
