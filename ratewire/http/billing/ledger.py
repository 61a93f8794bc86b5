"""The ledger over HTTP: transactions searched, and the statement of an account for a period."""

import asyncio
from datetime import date, datetime
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from billing.accounts import register as accounts
from billing.documents import content, loading, typesetting
from billing.documents.archive import File
from billing.errors import InvalidInput
from billing.ledger import search as searching
from billing.ledger.period import period
from billing.ledger.transaction import Kind
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.endpoint import READERS, Call, Nothing, Page, endpoint

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]


class TransactionsQuery(Page, frozen=True):
    """Which transactions: `since` included, `until` not; `at_least` is the size, either way.

    `text` is a part of the description, `key` an idempotency key.
    """

    account: str | None = None
    kind: Kind | None = None
    actor: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    at_least: Amount | None = None
    text: str | None = None
    key: str | None = None


class FoundView(msgspec.Struct, frozen=True):
    """A transaction, and what it did to balances, by currency.

    Of one account's where that was searched for, else of the one that it is about, or for usage
    (`account` null) of all together.
    """

    id: int
    posted_at: datetime
    kind: Kind
    account: str | None
    description: str
    actor: str
    key: str | None
    amounts: dict[str, str]


class Found(msgspec.Struct, frozen=True):
    """Transactions, newest first."""

    data: list[FoundView]
    next: str | None


class StatementQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `since` on, before `until`: days in the account's time zone."""

    since: date
    until: date


class StatementLine(msgspec.Struct, frozen=True):
    """What changed the balance, and the balance after it; usage is one line a day."""

    at: datetime
    kind: Kind
    transaction_id: int | None
    description: str
    amount: str
    balance: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An account over a period: closing = opening + all lines, and the next period's opening."""

    account: str
    currency: str
    time_zone: str
    since: date
    until: date
    opening: str
    closing: str
    data: list[StatementLine]


class PrintQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a day to another (included), in the time zone of the entity that issues it."""

    since: date
    to: date
    entity: str = "main"


async def search(call: Call[TransactionsQuery, Nothing]) -> Found:
    """Search transactions."""
    query = call.query
    least = None if query.at_least is None else read(query.at_least, "at_least")
    if least is not None and least < 0:
        raise InvalidInput(f"at_least {query.at_least!r}: allowed is 0 or more")
    found = await searching.search(
        call.conn,
        account=query.account,
        kind=query.kind,
        actor=query.actor,
        since=query.since,
        until=query.until,
        at_least_micros=least,
        text=query.text,
        key=query.key,
        before=query.number(),
        limit=query.limit + 1,
    )
    page, more = query.cut(found, lambda each: each.transaction_id)
    views = [
        FoundView(
            each.transaction_id,
            each.posted_at,
            each.kind,
            each.account,
            each.description,
            each.actor,
            each.idempotency_key,
            {name: shown(micros, name) for name, micros in each.amounts_micros.items()},
        )
        for each in page
    ]
    return Found(views, more)


async def statement(call: Call[StatementQuery, Nothing]) -> Statement:
    """Read the statement of one account."""
    account = await accounts.get(call.conn, call.path["account"])
    zone, query = ZoneInfo(account.time_zone), call.query
    found = await period(call.conn, account.account, query.since, query.until, zone)

    def money(micros: int) -> str:
        return shown(micros, account.currency)

    return Statement(
        account=account.account,
        currency=account.currency,
        time_zone=account.time_zone,
        since=query.since,
        until=query.until,
        opening=money(found.opening_micros),
        closing=money(found.closing_micros),
        data=[
            StatementLine(
                line.at,
                line.kind,
                line.transaction_id,
                line.description,
                money(line.amount_micros),
                money(line.balance_micros),
            )
            for line in found.lines
        ],
    )


async def printed(call: Call[PrintQuery, Nothing]) -> File:
    """Return the statement of one account as PDF."""
    query, name = call.query, call.path["account"]
    loaded = await loading.statement(call.conn, name, query.since, query.to, query.entity)
    made = content.of_statement(loaded)
    octets = await asyncio.to_thread(typesetting.pdf, "document", made, content.made_at(made))
    return File(f"statement-{name}-{query.to}.pdf", "application/pdf", octets)


ENDPOINTS = (
    endpoint(
        "GET",
        "billing/transactions/",
        "Search transactions",
        search,
        roles=READERS,
        query=TransactionsQuery,
        answer=Found,
    ),
    endpoint(
        "GET",
        "billing/accounts/{account}/statement",
        "Read the statement of an account for a period",
        statement,
        roles=READERS,
        query=StatementQuery,
        answer=Statement,
    ),
    endpoint(
        "GET",
        "billing/accounts/{account}/statement/pdf",
        "Read the statement of an account as PDF",
        printed,
        roles=READERS,
        query=PrintQuery,
        answer=File,
        media_types=("application/pdf",),
    ),
)
