"""The register of payment plans: agreeing on one, collecting it, and what becomes of it.

A plan is for invoices that are open. While it is active their own due dates do not count, so their
account is not dunned for them. What is paid, credited or written off on them counts for the plan.
"""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from billing.accounts.register import lock
from billing.cycles.calendar import Unit
from billing.cycles.schedule import zone_of
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.payment_plans.schedule import (
    Instalment,
    Standing,
    due_micros,
    instalments,
    standing,
)
from billing.statements import load

SQL = load(__package__, "queries.sql")

MAX_GRACE_DAYS = 90

#: Plans that are read by one statement.
_PAGE = 500


class PaymentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A payment plan as it stands on a day. `status` is active, completed, defaulted or cancelled.

    `due_micros` is what is to be collected now: what has become due and was not paid, never more
    than `outstanding_micros`.
    """

    plan: int
    account: str
    currency: str
    status: str
    debt_micros: int
    outstanding_micros: int
    due_micros: int
    grace_days: int
    instalments: tuple[Instalment, ...]
    invoices: tuple[int, ...]
    actor: str
    created_at: datetime
    ended_at: datetime | None


async def create(
    conn: Connection,
    account: str,
    *,
    number: int,
    first_due: date,
    every: Unit = Unit.MONTH,
    grace_days: int = 3,
    invoices: Sequence[int] | None = None,
    actor: str,
    now: datetime,
) -> PaymentPlan:
    """Agree that an account pays its open invoices (or these) in so many instalments.

    They sum exactly to what is left on the invoices. Raises NotFound, InvalidInput, or Conflict:
    nothing is owed, or an invoice is not open or has a plan.
    """
    async with conn.transaction():
        held = await lock(conn, account)
        today = now.astimezone(await zone_of(conn, account)).date()
        if first_due < today:
            raise InvalidInput(f"the first instalment on {first_due}: allowed is {today} or later")
        if not 0 <= grace_days <= MAX_GRACE_DAYS:
            raise InvalidInput(f"grace_days is {grace_days}, allowed is 0 to {MAX_GRACE_DAYS}")
        wanted = None if invoices is None else sorted(set(invoices))
        rows = await conn.fetch(SQL["open_invoices"], account, wanted)
        found = [row["invoice_id"] for row in rows]
        if wanted is not None and (missing := sorted(set(wanted) - set(found))):
            raise Conflict(
                f"invoices {', '.join(map(str, missing))}: they must be open invoices of account"
                f" {account} with something left on them, and in no plan"
            )
        if not rows:
            raise Conflict(f"account {account} owes nothing that a plan could be for")
        debt = sum(row["left_micros"] for row in rows)
        parts = instalments(debt, number, first_due=first_due, every=every, currency=held.currency)
        plan: int = await conn.fetchval(
            SQL["create"], account, held.currency, debt, grace_days, actor, now
        )
        await conn.execute(
            SQL["add_installments"],
            plan,
            [each.number for each in parts],
            [each.due_on for each in parts],
            [each.amount_micros for each in parts],
        )
        await conn.execute(SQL["add_invoices"], plan, found, [row["left_micros"] for row in rows])
        return await get(conn, plan, now)


async def get(conn: Connection, plan: int, now: datetime) -> PaymentPlan:
    """Return a plan as it stands now. Raises NotFound."""
    row = await conn.fetchrow(SQL["get"], plan)
    if row is None:
        raise NotFound(f"payment plan {plan} does not exist")
    parts = tuple(Instalment(*each) for each in await conn.fetch(SQL["installments"], plan))
    today = now.astimezone(await zone_of(conn, row["account_id"])).date()
    active = row["status"] == Standing.ACTIVE
    return PaymentPlan(
        plan=row["plan_id"],
        account=row["account_id"],
        currency=row["currency"],
        status=row["status"],
        debt_micros=row["debt_micros"],
        outstanding_micros=row["outstanding_micros"],
        due_micros=due_micros(parts, row["outstanding_micros"], today) if active else 0,
        grace_days=row["grace_days"],
        instalments=parts,
        invoices=tuple(row["invoices"]),
        actor=row["actor"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


async def list_(
    conn: Connection,
    account: str | None = None,
    *,
    before: int | None = None,
    limit: int = 100,
    now: datetime,
) -> list[PaymentPlan]:
    """Return the newest `limit` plans before one, of an account or of all."""
    rows = await conn.fetch(SQL["listed"], account, before, limit)
    return [await get(conn, row["plan_id"], now) for row in rows]


async def review(conn: Connection, plan: int, now: datetime) -> PaymentPlan:
    """Complete a plan that is paid, and end one of which an instalment was missed.

    Raises NotFound.
    """
    async with conn.transaction():
        found = await get(conn, plan, now)
        await lock(conn, found.account)
        found = await get(conn, plan, now)
        if found.status != Standing.ACTIVE:
            return found
        today = now.astimezone(await zone_of(conn, found.account)).date()
        stands = standing(found.instalments, found.outstanding_micros, today, found.grace_days)
        if stands is not Standing.ACTIVE:
            await conn.execute(SQL["end"], plan, stands, now)
        return await get(conn, plan, now)


async def review_account(conn: Connection, account: str, now: datetime) -> None:
    """Review the active plans of an account."""
    for row in await conn.fetch(SQL["active_of"], account):
        await review(conn, row["plan_id"], now)


async def review_all(conn: Connection, now: datetime) -> list[PaymentPlan]:
    """Review all active plans; return those that ended."""
    ended: list[PaymentPlan] = []
    last = 0
    while rows := await conn.fetch(SQL["active"], last, _PAGE):
        for row in rows:
            last = row["plan_id"]
            reviewed = await review(conn, last, now)
            if reviewed.status != Standing.ACTIVE:
                ended.append(reviewed)
    return ended


async def cancel(conn: Connection, plan: int, now: datetime) -> PaymentPlan:
    """End a plan: what is left of its invoices is due by their own dates again.

    Raises NotFound, or Conflict if it has ended.
    """
    async with conn.transaction():
        found = await get(conn, plan, now)
        await lock(conn, found.account)
        found = await get(conn, plan, now)
        if found.status != Standing.ACTIVE:
            raise Conflict(f"payment plan {plan} is {found.status}")
        await conn.execute(SQL["end"], plan, "cancelled", now)
        return await get(conn, plan, now)
