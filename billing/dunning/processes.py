"""Dunning processes: looking at a debt and doing what the campaign says, each step once.

A look takes the account's row; so two of them, or a look and a payment, come one after the other.
What is done is written in the same transaction: the suspension with its movement to the store, the
fee with its invoice.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec
import structlog

from billing.accounts.account import AccountStatus
from billing.accounts.register import LockedAccount, lock
from billing.cycles.schedule import zone_of
from billing.database import Connection, Pool, refused
from billing.dunning import campaigns
from billing.dunning.campaign import Action, Campaign, fee_of
from billing.dunning.decision import Debt, Decision, Done, Process, decide
from billing.dunning.effects import (
    cancel_services,
    charge_fee,
    remind,
    tell_of_suspension,
)
from billing.errors import BillingError, Conflict, InvalidInput, NotFound
from billing.services.provisioning import throttle, unthrottle
from billing.statements import load
from billing.suspensions import register as suspensions
from billing.suspensions.register import Cause

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)

ACTOR: Final = "dunning"

#: Accounts that are read by one statement.
_PAGE: Final = 1000

Progress = Callable[[int], None]


class ProcessView(msgspec.Struct, frozen=True):
    """A dunning process. `since` is when the oldest overdue debt was due, `next_on` when it is
    looked at again if nothing is paid; `ending` is cleared or excluded. One that terminated the
    services runs on until the debt is paid or written off.
    """

    process: int
    account: str
    campaign: str
    campaign_version: int
    currency: str
    since: date
    overdue_micros: int
    promised_until: date | None
    promise: str | None
    next_on: date | None
    opened_at: datetime
    ended_at: datetime | None
    ending: str | None


class StepView(msgspec.Struct, frozen=True):
    """A step that was taken; `skipped` in favour of a later reminder; `holds` until its debt is
    paid; `invoice` is the one for its fee.
    """

    since: date
    step: int
    action: Action
    taken_on: date
    taken_at: datetime
    skipped: bool
    holds: bool
    invoice: int | None


class Looked(msgspec.Struct, frozen=True):
    """What a look at an account did: the actions taken, whether the service was restored."""

    account: str
    taken: tuple[Action, ...]
    restored: bool
    ended: bool


async def look_at_all(
    pool: Pool, now: datetime, progress: Progress = lambda _done: None
) -> list[Looked]:
    """Look at each account that has an overdue debt or a process; return where something was done.

    Any number may do so at once. An account at which it fails holds up no other.
    """
    done: list[Looked] = []
    last, number = "", 0
    async with pool.acquire() as conn:
        while rows := await conn.fetch(SQL["to_look_at"], now, last, _PAGE):
            for row in rows:
                last = row["account_id"]
                try:
                    looked = await look_at(conn, last, now)
                except (BillingError, asyncpg.PostgresError) as error:
                    if isinstance(error, asyncpg.PostgresError) and not refused(error):
                        raise
                    _log.error("dunning an account failed", account=last, error=str(error))
                    continue
                finally:
                    number += 1
                    progress(number)
                if looked.taken or looked.restored or looked.ended:
                    done.append(looked)
    return done


async def look_at(conn: Connection, account: str, now: datetime) -> Looked:
    """Do what an account's campaign says now. Raises NotFound."""
    async with conn.transaction():
        held = await lock(conn, account)
        row = await conn.fetchrow(SQL["process"], account)
        settings = await campaigns.of_account(conn, account)
        if row is None and (settings.campaign is None or held.status is AccountStatus.CLOSED):
            return Looked(account, (), restored=False, ended=False)
        campaign, version = await _campaign(conn, row, settings)
        local = now.astimezone(await zone_of(conn, account)).replace(tzinfo=None)
        debt = await _debt(conn, held, local.date())
        process = await _process(conn, row, settings.excluded)
        decision = decide(campaign, process, debt, local)
        return await _do(conn, held, campaign, version, row, debt, decision, local.date(), now)


async def promise(
    conn: Connection, account: str, until: date, *, reason: str, now: datetime
) -> ProcessView:
    """Take note that an account promises to pay: no step is taken before `until`.

    Raises InvalidInput for a day that is not to come, NotFound if it is not dunned.
    """
    async with conn.transaction():
        await lock(conn, account)
        row = await conn.fetchrow(SQL["process"], account)
        if row is None:
            raise NotFound(f"account {account} is not dunned")
        today = now.astimezone(await zone_of(conn, account)).date()
        if until <= today:
            raise InvalidInput(f"a promise to pay until {until}: allowed are days after {today}")
        await conn.execute(SQL["promise"], row["process_id"], until, reason)
        await look_at(conn, account, now)
        return await get(conn, account)


async def get(conn: Connection, account: str) -> ProcessView:
    """Return the newest process of an account. Raises NotFound."""
    listed = await list_(conn, account, limit=1)
    if not listed:
        raise NotFound(f"account {account} was never dunned")
    return listed[0]


async def list_(
    conn: Connection,
    account: str | None = None,
    *,
    before: int | None = None,
    limit: int = 1000,
    running: bool = False,
) -> list[ProcessView]:
    """Return the newest `limit` processes before one, of an account or of all."""
    rows = await conn.fetch(SQL["listed"], account, before, limit, running)
    return [ProcessView(*row) for row in rows]


async def steps(conn: Connection, process: int) -> list[StepView]:
    """Return the steps that a process took, in order."""
    return [
        StepView(
            row["since"], row["step"], Action(row["action"]), row["taken_on"], row["taken_at"],
            row["skipped"], row["holds"], row["invoice_id"],
        )
        for row in await conn.fetch(SQL["steps"], process)
    ]  # fmt: skip


async def _campaign(
    conn: Connection, row: asyncpg.Record | None, settings: campaigns.AccountDunning
) -> tuple[Campaign, int]:
    if row is not None:
        name, version = row["campaign"], row["campaign_version"]
        return await campaigns.at_version(conn, name, version), version
    assert settings.campaign is not None
    stored = await campaigns.get(conn, settings.campaign)
    return stored.campaign, stored.version


async def _debt(conn: Connection, held: LockedAccount, today: date) -> Debt:
    row = await conn.fetchrow(SQL["debt"], held.account, today)
    assert row is not None, "an aggregate has a row"
    return Debt(held.currency, row["overdue_micros"], row["oldest_due"])


async def _process(conn: Connection, row: asyncpg.Record | None, excluded: bool) -> Process:
    if row is None:
        return Process(excluded=excluded)
    taken = await steps(conn, row["process_id"])
    done = tuple(Done(each.step, each.taken_on) for each in taken if each.holds)
    return Process(row["since"], done, row["promised_until"], excluded)


async def _do(
    conn: Connection,
    held: LockedAccount,
    campaign: Campaign,
    version: int,
    row: asyncpg.Record | None,
    debt: Debt,
    decision: Decision,
    today: date,
    now: datetime,
) -> Looked:
    restored = decision.restore and await _restore(conn, held, campaign, decision, debt, now)
    if decision.since is None:
        if row is not None:
            cleared = debt.overdue_micros <= campaign.cleared_at(held.currency)
            ending = "cleared" if cleared else "excluded"
            await conn.execute(SQL["end"], row["process_id"], now, ending, debt.overdue_micros)
        return Looked(held.account, (), restored, ended=row is not None)
    process: int = (
        row["process_id"]
        if row is not None
        else await conn.fetchval(
            SQL["open"], held.account, campaign.name, version, held.currency, decision.since,
            debt.overdue_micros, now,
        )
    )  # fmt: skip
    await conn.execute(SQL["keep"], process, [done.step for done in decision.kept])
    before = {(each.since, each.step) for each in await steps(conn, process) if not each.skipped}
    taken: list[Action] = []
    for index in sorted((*decision.take, *decision.skip)):
        skipped = index in decision.skip or not _applies(
            held, campaign.steps[index].action, again=(decision.since, index) in before
        )
        invoice = None
        if not skipped:
            invoice = await _take(conn, held, campaign, index, debt, today, now)
            taken.append(campaign.steps[index].action)
        await conn.execute(
            SQL["take"], process, decision.since, index, campaign.steps[index].action, today, now,
            skipped, invoice,
        )  # fmt: skip
    await conn.execute(SQL["go_on"], process, decision.since, debt.overdue_micros, decision.next_on)
    return Looked(held.account, tuple(taken), restored, ended=False)


def _applies(held: LockedAccount, action: Action, *, again: bool) -> bool:
    """Whether a step does anything: a debt that the bank brought back costs no second late fee, and
    a closed account has no service and gets no new invoice.
    """
    if held.status is AccountStatus.CLOSED:
        return action is Action.REMIND
    return not (again and action is Action.LATE_FEE)


async def _take(
    conn: Connection,
    held: LockedAccount,
    campaign: Campaign,
    index: int,
    debt: Debt,
    today: date,
    now: datetime,
) -> int | None:
    """Take a step; return the invoice for its fee, if it has one."""
    step = campaign.steps[index]
    told = f"{campaign.name}, step {index + 1}, {step.after_days} days after due"
    if step.action is Action.LATE_FEE:
        fee = fee_of(step, debt.overdue_micros, held.currency)
        return await charge_fee(conn, held.account, "Late fee", fee, actor=ACTOR, now=now)
    if step.action is Action.REMIND:
        await remind(conn, held.account, debt, today, now)
    elif step.action is Action.THROTTLE:
        assert step.plan is not None
        await throttle(conn, held.account, step.plan, now)
    elif step.action is Action.SUSPEND:
        await suspensions.suspend(
            conn, held.account, Cause.DUNNING, reason=told, actor=ACTOR, now=now
        )
        await tell_of_suspension(conn, held.account, debt, now)
    elif step.action is Action.TERMINATE:
        await cancel_services(conn, held.account, reason=told, actor=ACTOR, now=now)
    return None


async def _restore(
    conn: Connection,
    held: LockedAccount,
    campaign: Campaign,
    decision: Decision,
    debt: Debt,
    now: datetime,
) -> bool:
    """Undo what steps did; return whether the service can be used again by that. Only then is the
    fee for it due: not while staff have it suspended, nor once the account is closed.
    """
    restored = await unthrottle(conn, held.account, now)
    try:
        lifted = await suspensions.lift(
            conn, held.account, Cause.DUNNING, reason="paid", actor=ACTOR, now=now
        )
    except Conflict:
        return restored  # it was not suspended, or staff have lifted that before
    if lifted and decision.fee is not None:
        fee = fee_of(campaign.steps[decision.fee], debt.overdue_micros, held.currency)
        await charge_fee(conn, held.account, "Reactivation fee", fee, actor=ACTOR, now=now)
    return lifted
