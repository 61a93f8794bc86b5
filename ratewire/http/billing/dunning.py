"""What is done about debts, over HTTP: dunning, suspensions, payment plans."""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from billing.accounts import register as accounts
from billing.clock import moved
from billing.cycles.calendar import Unit
from billing.dunning import campaigns, processes
from billing.dunning.campaigns import AccountDunning
from billing.dunning.processes import ProcessView as Process
from billing.dunning.processes import StepView
from billing.payment_plans import register as plans
from billing.payment_plans.register import PaymentPlan
from billing.suspensions import register as suspensions
from billing.suspensions.register import Cause, Suspension
from ratewire.http.amounts import shown
from ratewire.http.endpoint import CARE, MONEY, READERS, Call, Name, Nothing, Page, endpoint

_Why = Annotated[str, Meta(min_length=1, max_length=255)]


class DunningView(msgspec.Struct, frozen=True, kw_only=True):
    """A dunning process; `since` is when the oldest overdue debt was due."""

    id: int
    account: str
    campaign: str
    campaign_version: int
    currency: str
    since: date
    overdue: str
    promised_until: date | None
    promise: str | None
    next_on: date | None
    opened_at: datetime
    ended_at: datetime | None
    ending: str | None


class Dunned(msgspec.Struct, frozen=True):
    """How an account is dunned, its newest process (null: never), and the steps that it took."""

    account: str
    settings: AccountDunning
    process: DunningView | None
    steps: list[StepView]


class Processes(msgspec.Struct, frozen=True):
    """Dunning processes, newest first."""

    data: list[DunningView]
    next: str | None


class DunningQuery(Page, frozen=True):
    """Which processes; `ended` those that ended too."""

    account: str | None = None
    ended: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign of the account's own (null: the default), or that it is not dunned at all."""

    reason: _Why
    campaign: str | None = None
    excluded: bool = False


class Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No step is taken before `until`."""

    until: date
    reason: _Why


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the record."""

    reason: _Why


class Lift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose suspension is lifted, and why."""

    reason: _Why
    cause: Cause = Cause.STAFF


class Suspensions(msgspec.Struct, frozen=True):
    """The suspensions of an account, oldest first; it runs again once none holds."""

    account: str
    data: list[Suspension]


class PlanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account's open invoices (null: all) are paid in so many instalments."""

    account: Name
    instalments: Annotated[int, Meta(ge=1, le=1000)]
    first_due: date
    every: Unit = Unit.MONTH
    grace_days: Annotated[int, Meta(ge=0, le=plans.MAX_GRACE_DAYS)] = 3
    invoices: tuple[Annotated[int, Meta(ge=0, le=2**63 - 1)], ...] | None = None


class InstalmentView(msgspec.Struct, frozen=True):
    """A part of a debt, and when it is due."""

    number: int
    due_on: date
    amount: str


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment plan as it stands today; `due` is what is to be collected now."""

    id: int
    account: str
    currency: str
    status: str
    debt: str
    outstanding: str
    due: str
    grace_days: int
    instalments: list[InstalmentView]
    invoices: tuple[int, ...]
    actor: str
    created_at: datetime
    ended_at: datetime | None


class Plans(msgspec.Struct, frozen=True):
    """Payment plans, newest first."""

    data: list[PlanView]
    next: str | None


class PlansQuery(Page, frozen=True):
    """Whose plans."""

    account: str | None = None


async def list_(call: Call[DunningQuery, Nothing]) -> Processes:
    """List dunning processes."""
    query = call.query
    found = await processes.list_(
        call.conn,
        query.account,
        before=query.number(),
        limit=query.limit + 1,
        running=not query.ended,
    )
    page, more = query.cut(found, lambda each: each.process)
    return Processes([_process(each) for each in page], more)


async def get(call: Call[Any, Any]) -> Dunned:
    """Read how an account is dunned."""
    account = call.path["account"]
    settings = await campaigns.of_account(call.conn, account)
    newest = await processes.list_(call.conn, account, limit=1)
    if not newest:
        return Dunned(account, settings, None, [])
    steps = await processes.steps(call.conn, newest[0].process)
    return Dunned(account, settings, _process(newest[0]), steps)


async def set_(call: Call[Nothing, Settings]) -> Dunned:
    """Put an account under a campaign, or exclude it."""
    wanted = call.body
    await campaigns.set_account(
        call.conn,
        call.path["account"],
        campaign=wanted.campaign,
        excluded=wanted.excluded,
        reason=wanted.reason,
    )
    return await get(call)


async def promise(call: Call[Nothing, Promise]) -> Dunned:
    """Take note of a promise to pay."""
    now = await moved.current(call.conn, call.now)
    account, wanted = call.path["account"], call.body
    await processes.promise(call.conn, account, wanted.until, reason=wanted.reason, now=now)
    return await get(call)


async def suspended(call: Call[Any, Any]) -> Suspensions:
    """List the suspensions of an account."""
    account = await accounts.get(call.conn, call.path["account"])
    return Suspensions(account.account, await suspensions.list_(call.conn, account.account))


async def suspend(call: Call[Nothing, Reason]) -> Suspensions:
    """Suspend an account."""
    now = await moved.current(call.conn, call.now)
    account, reason = call.path["account"], call.body.reason
    await suspensions.suspend(
        call.conn, account, Cause.STAFF, reason=reason, actor=call.actor, now=now
    )
    return await suspended(call)


async def resume(call: Call[Nothing, Lift]) -> Suspensions:
    """Lift a suspension."""
    now = await moved.current(call.conn, call.now)
    account, wanted = call.path["account"], call.body
    await suspensions.lift(
        call.conn, account, wanted.cause, reason=wanted.reason, actor=call.actor, now=now
    )
    return await suspended(call)


async def agree(call: Call[Nothing, PlanRequest]) -> PlanView:
    """Let an account pay in instalments."""
    now = await moved.current(call.conn, call.now)
    new = call.body
    made = await plans.create(
        call.conn,
        new.account,
        number=new.instalments,
        first_due=new.first_due,
        every=new.every,
        grace_days=new.grace_days,
        invoices=new.invoices,
        actor=call.actor,
        now=now,
    )
    await processes.look_at(call.conn, new.account, now)
    return _plan(made)


async def list_plans(call: Call[PlansQuery, Nothing]) -> Plans:
    """List payment plans."""
    query = call.query
    found = await plans.list_(
        call.conn,
        query.account,
        before=query.number(),
        limit=query.limit + 1,
        now=await moved.current(call.conn, call.now),
    )
    page, more = query.cut(found, lambda each: each.plan)
    return Plans([_plan(each) for each in page], more)


async def get_plan(call: Call[Nothing, Nothing]) -> PlanView:
    """Read one."""
    now = await moved.current(call.conn, call.now)
    return _plan(await plans.get(call.conn, int(call.path["plan_id"]), now))


async def cancel_plan(call: Call[Nothing, Nothing]) -> PlanView:
    """End one."""
    now = await moved.current(call.conn, call.now)
    return _plan(await plans.cancel(call.conn, int(call.path["plan_id"]), now))


def _process(of: Process) -> DunningView:
    same = set(DunningView.__struct_fields__) - {"id", "overdue"}
    return DunningView(
        id=of.process,
        overdue=shown(of.overdue_micros, of.currency),
        **{name: getattr(of, name) for name in same},
    )


def _plan(of: PaymentPlan) -> PlanView:
    def money(micros: int) -> str:
        return shown(micros, of.currency)

    return PlanView(
        id=of.plan,
        account=of.account,
        currency=of.currency,
        status=of.status,
        debt=money(of.debt_micros),
        outstanding=money(of.outstanding_micros),
        due=money(of.due_micros),
        grace_days=of.grace_days,
        instalments=[
            InstalmentView(each.number, each.due_on, money(each.amount_micros))
            for each in of.instalments
        ],
        invoices=of.invoices,
        actor=of.actor,
        created_at=of.created_at,
        ended_at=of.ended_at,
    )


_ONE = "billing/dunning/{account}"
_PLANS = "billing/payment-plans/"
_ACCOUNT = "billing/accounts/{account}"

ENDPOINTS = (
    endpoint(
        "GET",
        "billing/dunning/",
        "List dunning processes",
        list_,
        roles=READERS,
        query=DunningQuery,
        answer=Processes,
    ),
    endpoint("GET", _ONE, "Read how an account is dunned", get, roles=READERS, answer=Dunned),
    endpoint(
        "PUT",
        _ONE,
        "Put an account under a campaign, or exclude it from dunning",
        set_,
        roles=MONEY,
        body=Settings,
        answer=Dunned,
    ),
    endpoint(
        "POST",
        f"{_ONE}/promise",
        "Take note of a promise to pay",
        promise,
        roles=CARE,
        body=Promise,
        answer=Dunned,
    ),
    endpoint(
        "GET",
        f"{_ACCOUNT}/suspensions",
        "List the suspensions of an account",
        suspended,
        roles=READERS,
        answer=Suspensions,
    ),
    endpoint(
        "POST",
        f"{_ACCOUNT}/suspend",
        "Suspend an account: its sessions are cut, and none begins",
        suspend,
        roles=CARE,
        body=Reason,
        answer=Suspensions,
    ),
    endpoint(
        "POST",
        f"{_ACCOUNT}/resume",
        "Lift a suspension; the account runs again once no other one holds",
        resume,
        roles=CARE,
        body=Lift,
        answer=Suspensions,
    ),
    endpoint(
        "POST",
        _PLANS,
        "Let an account pay its open invoices in instalments",
        agree,
        roles=CARE,
        body=PlanRequest,
        answer=PlanView,
        status=201,
    ),
    endpoint(
        "GET",
        _PLANS,
        "List payment plans",
        list_plans,
        roles=READERS,
        query=PlansQuery,
        answer=Plans,
    ),
    endpoint(
        "GET",
        f"{_PLANS}{{plan_id}}",
        "Read a payment plan",
        get_plan,
        roles=READERS,
        answer=PlanView,
    ),
    endpoint(
        "POST",
        f"{_PLANS}{{plan_id}}/cancel",
        "End a payment plan; its invoices are due by their own dates again",
        cancel_plan,
        roles=CARE,
        answer=PlanView,
    ),
)
