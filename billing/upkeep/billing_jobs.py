"""The jobs of the billing side. Each may run twice, or in two schedulers at once, without harm."""

from datetime import datetime
from typing import Final

import structlog

from billing.clock import moved
from billing.cycles import run
from billing.cycles.drafting import finalize_due
from billing.cycles.topups import document_topups
from billing.database import Pool
from billing.dunning import processes
from billing.entities import register as entities
from billing.payment_plans import register as payment_plans
from billing.services.provisioning import provision_due
from billing.services.register import start_used

_log = structlog.get_logger(__name__)

ACTOR: Final = "scheduler"


async def bill_what_is_due(pool: Pool, real: datetime) -> None:
    """Start, provision and bill what is due, finalize the drafts whose review has ended, and make
    the documents of top-ups.

    Where no legal entity is set up yet, nothing is billed.
    """
    async with pool.acquire() as conn:
        now = await moved.current(conn, real)
        started = await start_used(conn, now)
        provisioned = await provision_due(conn, now)
        ready = await run.is_due(conn, now) and await entities.list_(conn)
    if started or provisioned:
        _log.info("services provisioned", started=started, provisioned=provisioned)
    if ready:
        done = await run.run(pool, at=now, actor=ACTOR, now=now)
        _log.info(
            "accounts billed", run=done.run, billed=done.billed, parked=done.parked,
            amounts_micros=done.amounts_micros,
        )  # fmt: skip
    async with pool.acquire() as conn:
        drafted = await finalize_due(conn, now, actor=ACTOR)
        documented = await document_topups(conn, now, actor=ACTOR)
    if documented:
        _log.info("top-ups documented", documents=documented)
    if drafted.finalized:
        _log.info("drafts finalized", finalized=drafted.finalized)
    if drafted.refused:
        _log.warning("drafts cannot be finalized", drafts=drafted.refused)


async def dun_all(pool: Pool, real: datetime) -> None:
    """Review the payment plans, then look at all debts that are overdue."""
    async with pool.acquire() as conn:
        now = await moved.current(conn, real)
        for plan in await payment_plans.review_all(conn, now):
            _log.info("a payment plan ended", plan=plan.plan, status=plan.status)
    for looked in await processes.look_at_all(pool, now):
        _log.info(
            "dunned", account=looked.account, taken=looked.taken, restored=looked.restored,
            ended=looked.ended,
        )  # fmt: skip


async def look_at_debt(pool: Pool, account: str, real: datetime) -> None:
    """Look at an account on whose invoices something was paid, credited or written off."""
    async with pool.acquire() as conn:
        now = await moved.current(conn, real)
        await payment_plans.review_account(conn, account, now)
        looked = await processes.look_at(conn, account, now)
    if looked.restored:
        _log.info("the service is restored", account=account)
