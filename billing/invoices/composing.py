"""What a document comes to: the one way by which previews, drafts and final documents are made.

`gather` reads what has a say in it, `compose` is pure.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final

import msgspec

from billing.accounts.account import PaymentMode
from billing.database import Connection
from billing.entities import register as entities
from billing.entities.entity import Entity
from billing.errors import Conflict, NotFound
from billing.invoices.buyers import buyers_of
from billing.invoices.charges import Share
from billing.invoices.invoice import Buyer, Kind
from billing.invoices.line import ItemKind, Line, NewLine, Priced, UsageTold, price, unpriced
from billing.statements import load
from billing.taxes import rates as tax_rates
from billing.taxes.rate import AppliedRate, TaxRate
from billing.taxes.treatment import TaxParty, taxes_of

SQL = load(__package__, "queries.sql")

#: What a usage line says, by language; the plan's name follows.
USAGE: Final = {
    "en": "Internet usage",
    "de": "Internetnutzung",
    "fr": "Consommation Internet",
    "ar": "استهلاك الإنترنت",
}


class Account(msgspec.Struct, frozen=True):
    """Of an account, what its documents depend on."""

    account: str
    currency: str
    mode: PaymentMode
    payment_days: int


class Surroundings(msgspec.Struct, frozen=True):
    """What has a say in documents beside their own lines."""

    rates: Sequence[TaxRate]
    plan_categories: dict[str, str]
    entities: dict[str, Entity]
    buyers: dict[str, Buyer]


async def account_of(conn: Connection, account: str) -> Account:
    """Return an account. Raises NotFound."""
    found = await accounts_of(conn, [account])
    if account not in found:
        raise NotFound(f"account {account} does not exist")
    return found[account]


async def accounts_of(conn: Connection, accounts: Iterable[str]) -> dict[str, Account]:
    """Return accounts by id; those that do not exist are missing."""
    rows = await conn.fetch(SQL["accounts"], sorted(set(accounts)))
    return {
        row["account_id"]: Account(
            row["account_id"],
            row["currency"],
            PaymentMode(row["payment_mode"]),
            row["payment_days"],
        )
        for row in rows
    }


async def gather(
    conn: Connection, *, entity_names: Iterable[str], accounts: Iterable[str], plans: Iterable[str]
) -> Surroundings:
    """Return what has a say in documents of these. Raises NotFound."""
    categories = await conn.fetch(SQL["plan_categories"], sorted(set(plans)))
    return Surroundings(
        await tax_rates.list_(conn),
        {row["plan"]: row["category"] for row in categories},
        await entities.get_many(conn, entity_names),
        await buyers_of(conn, accounts),
    )


def lines_of(
    new: Sequence[NewLine], shares: Sequence[Share], *, entity: Entity, kind: Kind, language: str
) -> list[Line]:
    """Return the lines of a document, without amounts: those asked for, then usage by plan."""
    inclusive = entity.prices_include_tax or kind.settled_before
    lines = [unpriced(line, number, inclusive=inclusive) for number, line in enumerate(new, 1)]
    for share in shares:
        usage = NewLine(
            kind=ItemKind.USAGE,
            description=f"{USAGE[language]}: {share.plan}",
            unit_price_micros=share.charged_micros,
            plan=share.plan,
        )
        told = UsageTold(
            share.plan, share.sessions, share.seconds, share.octets_in, share.octets_out
        )
        lines.append(unpriced(usage, len(lines) + 1, inclusive=inclusive, usage=told))
    return lines


def compose(
    lines: Sequence[Line],
    *,
    kind: Kind,
    entity: Entity,
    buyer: Buyer,
    currency: str,
    around: Surroundings,
    day: date,
) -> Priced:
    """Return what a document's lines come to on a day. Raises InvalidInput or Conflict."""
    if kind.taxed and buyer.tax_pending:
        raise Conflict(f"the tax id of {buyer.name} is being checked; the document waits for it")
    seller, customer = entity.tax_party, buyer.tax_party(entity)
    known: dict[tuple[str | None, str | None], tuple[AppliedRate, ...]] = {}
    rates = [
        _rates(line, known, around, seller, customer, day) if kind.taxed else () for line in lines
    ]
    return price(lines, rates, entity.tax_rounding, currency)


def local_day(entity: Entity, now: datetime) -> date:
    """Return the day that it is where an entity dates its documents."""
    return now.astimezone(entity.zone).date()


def _rates(
    line: Line,
    known: dict[tuple[str | None, str | None], tuple[AppliedRate, ...]],
    around: Surroundings,
    seller: TaxParty,
    customer: TaxParty,
    day: date,
) -> tuple[AppliedRate, ...]:
    of_plan = around.plan_categories.get(line.plan or "")
    key = (line.tax_category, of_plan)
    if key not in known:
        known[key] = taxes_of(
            rates=around.rates,
            seller=seller,
            customer=customer,
            day=day,
            line_category=line.tax_category,
            plan_category=of_plan,
        )
    return known[key]
