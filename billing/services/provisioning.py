"""Letting the network know what a service is: its subscriber's plan, and whether it may log in.

A subscriber keeps the plan that was bought; while its account is throttled the store is told
another one. What is to be is compared with what is, so nothing here needs to happen once only.
"""

from datetime import date, datetime
from typing import Final

from balances.messages import AnyMovement, DropSubscriber
from billing.accounts.register import lock
from billing.cycles.calendar import local_day
from billing.cycles.schedule import zone_of
from billing.database import Connection
from billing.errors import NotFound
from billing.offers import register as offers
from billing.outbox.post import UNNUMBERED, post
from billing.services.history import ServiceState, next_change, term_on
from billing.services.listing import ServiceEntry, get
from billing.statements import load
from billing.subscribers import register as subscribers

SQL = load(__package__, "queries.sql")

#: Services that are looked at by one statement.
_PAGE: Final = 500


async def provision(conn: Connection, service: ServiceEntry, today: date, now: datetime) -> bool:
    """Bring the subscriber of a service to what it is today; return whether that changed anything.

    In a transaction that has taken the account's row. A service that was only ordered leaves its
    subscriber as it is.
    """
    assert conn.is_in_transaction()
    state = service.state_on(today)
    following = next_change(service.terms, today)
    await conn.execute(SQL["set_provisioned"], service.service, following)
    if service.username is None or state is ServiceState.ORDERED:
        return False
    row = await conn.fetchrow(SQL["subscriber"], service.username, service.account)
    if row is None:
        return False
    term = term_on(service.terms, today)
    plan = row["plan"]
    if term is not None:
        key = (term.offer.name, term.offer.version)
        plan = (await offers.versions(conn, [key]))[key].plan or plan
    served = state is ServiceState.ACTIVE
    if (row["plan"], row["served"]) == (plan, served):
        return False
    await conn.execute(SQL["serve"], service.username, plan, served)
    movement: AnyMovement = DropSubscriber(service.account, UNNUMBERED, service.username)
    if served:
        plan = await conn.fetchval(SQL["throttle_of"], service.account) or plan
        movement = await subscribers.put_as_kept(conn, service.account, service.username, plan)
    await post(conn, [movement], now)
    return True


async def provision_due(conn: Connection, now: datetime) -> int:
    """Provision all services whose terms begin or end by now; return how many changed."""
    changed = 0
    last = 0
    while rows := await conn.fetch(SQL["due_for_provisioning"], now, _PAGE, last):
        for row in rows:
            last = row["service_id"]
            async with conn.transaction():
                await lock(conn, row["account_id"])
                service = await get(conn, last)
                today = local_day(now, await zone_of(conn, service.account))
                changed += await provision(conn, service, today, now)
    return changed


async def throttle(conn: Connection, account: str, plan: str, now: datetime) -> bool:
    """Move an account's subscribers to a plan until `unthrottle`; False: they are throttled.

    In a transaction that has taken the account's row. Raises NotFound for the plan.
    """
    if not await conn.fetchval(SQL["plan_exists"], plan):
        raise NotFound(f"plan {plan} does not exist")
    if await conn.fetchval(SQL["throttle"], account, plan) is None:
        return False
    rows = await conn.fetch(SQL["served_of"], account)
    puts = [await subscribers.put_as_kept(conn, account, row["username"], plan) for row in rows]
    await post(conn, puts, now)
    return True


async def unthrottle(conn: Connection, account: str, now: datetime) -> bool:
    """Move an account's subscribers back to the plans they bought; False: they are on them.

    In a transaction that has taken the account's row.
    """
    if await conn.fetchval(SQL["unthrottle"], account) is None:
        return False
    rows = await conn.fetch(SQL["served_of"], account)
    puts = [
        await subscribers.put_as_kept(conn, account, row["username"], row["plan"]) for row in rows
    ]
    await post(conn, puts, now)
    return True
