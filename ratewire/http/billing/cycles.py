"""Billing cycles over HTTP: when accounts are billed, the runs that do it, and what is parked."""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from billing.accounts.register import lock
from billing.clock import moved
from billing.cycles import parking, schedule
from billing.cycles import run as runs
from billing.cycles.calendar import Alignment, Unit
from billing.cycles.drafting import Drafted, approve
from billing.cycles.parking import Parked
from billing.cycles.run import RunView as Run
from billing.cycles.schedule import MAX_REVIEW_DAYS, Schedule
from billing.upkeep.jobs import Job, enqueue
from ratewire.http.amounts import shown
from ratewire.http.endpoint import MONEY, READERS, Call, Name, Nothing, Page, endpoint


class CycleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an account is billed, from the end of its running cycle on.

    An invoice is a draft for `review_days`, or until its run is approved (`needs_approval`).
    """

    unit: Unit = Unit.MONTH
    alignment: Alignment = Alignment.ANNIVERSARY
    bill_day: Annotated[int, Meta(ge=1, le=31)] | None = None
    review_days: Annotated[int, Meta(ge=0, le=MAX_REVIEW_DAYS)] = 0
    needs_approval: bool = False


class CycleView(msgspec.Struct, frozen=True):
    """How an account is billed; days are local ones, of the week (1 Monday) for cycles of weeks."""

    account: str
    time_zone: str
    unit: Unit
    alignment: Alignment
    bill_day: int
    billed_until: date | None
    next_bill_on: date | None
    review_days: int
    needs_approval: bool


class RunRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account, billed at once whether it is due or not; null: all that are due, by a job."""

    account: Name | None = None


class Started(msgspec.Struct, frozen=True):
    """`run` is the run of one account; null: the job is queued, and `runs/` will show its run."""

    run: int | None


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what came of it so far; `amounts` by currency, before tax and usage."""

    id: int
    at: datetime
    account: str | None
    actor: str
    began_at: datetime
    ended_at: datetime | None
    approved_at: datetime | None
    approved_by: str | None
    accounts_due: int
    bills: int
    billed: int
    parked: int
    amounts: dict[str, str]


class Runs(msgspec.Struct, frozen=True):
    """Runs, newest first."""

    data: list[RunView]
    next: str | None


class OutcomeView(msgspec.Struct, frozen=True):
    """What a run did to an account."""

    id: int
    account: str
    bill_on: date
    outcome: str
    items: int
    amount: str
    invoice: int | None
    detail: str


class Outcomes(msgspec.Struct, frozen=True):
    """What a run did, in order."""

    data: list[OutcomeView]
    next: str | None


class ParkedList(msgspec.Struct, frozen=True):
    """Accounts that nobody bills, by name."""

    data: list[Parked]
    next: str | None


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was put right."""

    note: Annotated[str, Meta(min_length=1, max_length=255)]


class BillItem(msgspec.Struct, frozen=True):
    """A line of a bill that is to come: a charge of a service over days."""

    service: int
    charge: str
    since: date
    until: date
    amount: str
    discount: str
    description: str


class BillView(msgspec.Struct, frozen=True):
    """What an account would be billed now, before tax and without usage."""

    account: str
    currency: str
    bill_on: date
    amount: str
    data: list[BillItem]


async def set_cycle(call: Call[Nothing, CycleRequest]) -> CycleView:
    """Set how an account is billed."""
    account, wanted = call.path["account"], call.body
    await lock(call.conn, account)
    made = await schedule.set_cycle(
        call.conn,
        account,
        unit=wanted.unit,
        alignment=wanted.alignment,
        bill_day=wanted.bill_day,
        review_days=wanted.review_days,
        needs_approval=wanted.needs_approval,
        now=await moved.current(call.conn, call.now),
    )
    return _cycle(made)


async def get_cycle(call: Call[Nothing, Nothing]) -> CycleView:
    """Read how an account is billed."""
    return _cycle(await schedule.get(call.conn, call.path["account"]))


async def preview(call: Call[Nothing, Nothing]) -> BillView:
    """Show what an account would be billed now."""
    account = call.path["account"]
    bill = await runs.preview(call.conn, account, await moved.current(call.conn, call.now))
    items = [
        BillItem(
            item.service,
            item.charge,
            item.period.start,
            item.period.end,
            shown(item.amount_micros, bill.currency),
            shown(item.discount_micros, bill.currency),
            item.description,
        )
        for item in bill.items
    ]
    amount = shown(bill.amount_micros, bill.currency)
    return BillView(account, bill.currency, bill.bill_on, amount, items)


async def start(call: Call[Nothing, RunRequest]) -> Started:
    """Bill one account, or have all billed that are due."""
    account = call.body.account
    if account is None:
        await enqueue(call.conn, Job.BILLING, key=Job.BILLING)
        return Started(None)
    now = await moved.current(call.conn, call.now)
    return Started((await runs.run_account(call.conn, account, actor=call.actor, now=now)).run)


async def list_(call: Call[Page, Nothing]) -> Runs:
    """List runs."""
    query = call.query
    found = await runs.list_(call.conn, before=query.number(), limit=query.limit + 1)
    page, more = query.cut(found, lambda each: each.run)
    return Runs([_run(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> RunView:
    """Read one, also while it runs."""
    return _run(await runs.view(call.conn, _id(call)))


async def outcomes(call: Call[Page, Nothing]) -> Outcomes:
    """List what one did."""
    run, query = await runs.view(call.conn, _id(call)), call.query
    found = await runs.outcomes(
        call.conn, run.run, after=query.number() or 0, limit=query.limit + 1
    )
    page, more = query.cut(found, lambda each: each.outcome_id)
    views = [
        OutcomeView(
            each.outcome_id,
            each.account,
            each.bill_on,
            each.outcome,
            each.items,
            shown(each.amount_micros, each.currency),
            each.invoice,
            each.detail,
        )
        for each in page
    ]
    return Outcomes(views, more)


async def approve_run(call: Call[Nothing, Nothing]) -> Drafted:
    """Finalize the drafts of one."""
    run = await runs.view(call.conn, _id(call))
    now = await moved.current(call.conn, call.now)
    return await approve(call.conn, run.run, actor=call.actor, now=now)


async def parked(call: Call[Page, Nothing]) -> ParkedList:
    """List accounts that nobody bills."""
    query = call.query
    found = await parking.list_(call.conn, after=query.cursor or "", limit=query.limit + 1)
    page, more = query.cut(found, lambda each: each.account)
    return ParkedList(list(page), more)


async def release(call: Call[Nothing, Release]) -> None:
    """Let one be billed again."""
    now = await moved.current(call.conn, call.now)
    account, note = call.path["account"], call.body.note
    await parking.release(call.conn, account, note=note, actor=call.actor, now=now)


def _id(call: Call[Any, Any]) -> int:
    return int(call.path["run_id"])


def _cycle(found: Schedule) -> CycleView:
    cycle = found.calendar.changes[-1].cycle
    return CycleView(
        found.account,
        found.zone.key,
        cycle.unit,
        found.alignment,
        cycle.day,
        found.billed_until,
        found.next_bill_on,
        found.review_days,
        found.needs_approval,
    )


def _run(run: Run) -> RunView:
    same = set(RunView.__struct_fields__) - {"id", "amounts"}
    return RunView(
        id=run.run,
        amounts={name: shown(micros, name) for name, micros in run.amounts_micros.items()},
        **{name: getattr(run, name) for name in same},
    )


_CYCLE = "billing/accounts/{account}/cycle"
_RUNS = "billing/runs/"
_RUN = "billing/runs/{run_id}"
_PARKED = "billing/parked-accounts/"

ENDPOINTS = (
    endpoint(
        "GET", _CYCLE, "Read how an account is billed", get_cycle, roles=READERS, answer=CycleView
    ),
    endpoint(
        "PUT",
        _CYCLE,
        "Set how an account is billed",
        set_cycle,
        roles=MONEY,
        body=CycleRequest,
        answer=CycleView,
    ),
    endpoint(
        "GET",
        f"{_CYCLE}/preview",
        "Show what an account would be billed now",
        preview,
        roles=READERS,
        answer=BillView,
    ),
    endpoint(
        "POST",
        _RUNS,
        "Bill an account now, or all that are due",
        start,
        roles=MONEY,
        body=RunRequest,
        answer=Started,
        status=202,
    ),
    endpoint("GET", _RUNS, "List billing runs", list_, roles=READERS, query=Page, answer=Runs),
    endpoint("GET", _RUN, "Read a run, also while it runs", get, roles=READERS, answer=RunView),
    endpoint(
        "GET",
        f"{_RUN}/outcomes",
        "List what a run did to each account",
        outcomes,
        roles=READERS,
        query=Page,
        answer=Outcomes,
    ),
    endpoint(
        "POST",
        f"{_RUN}/approve",
        "Finalize the drafts of a run",
        approve_run,
        roles=MONEY,
        answer=Drafted,
    ),
    endpoint(
        "GET",
        _PARKED,
        "List accounts that nobody bills, and why",
        parked,
        roles=READERS,
        query=Page,
        answer=ParkedList,
    ),
    endpoint(
        "POST",
        f"{_PARKED}{{account}}/release",
        "Let a parked account be billed again",
        release,
        roles=MONEY,
        body=Release,
        answer=None,
        status=204,
    ),
)
