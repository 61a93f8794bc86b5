"""dunning, suspend, resume, payment-plan: what is done about debts."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from billing.cycles.calendar import Unit
from billing.dunning import campaigns, processes
from billing.dunning.campaignfile import read_campaign
from billing.dunning.campaigns import AccountDunning, StoredCampaign
from billing.dunning.processes import Looked, ProcessView, StepView
from billing.payment_plans import register as plans
from billing.payment_plans.register import PaymentPlan
from billing.suspensions import register as suspensions
from billing.suspensions.register import Cause, Suspension
from ratewire.cli.billing_time import AtOption, billing_time, day
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    bring,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System, now
from rating.money import format_micros

Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


class Dunned(msgspec.Struct, frozen=True):
    """A dunning process with the steps that it took."""

    process: ProcessView
    steps: list[StepView]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dunning = typer.Typer(
        help="Overdue debts: campaign, campaigns, account, run, list, show, promise.",
        no_args_is_help=True,
    )
    for name, command in (
        ("campaign", dunning_campaign),
        ("campaigns", dunning_campaigns),
        ("account", dunning_account),
        ("run", dunning_run),
        ("list", dunning_list),
        ("show", dunning_show),
        ("promise", dunning_promise),
    ):
        dunning.command(name)(command)
    plan = typer.Typer(
        help="Debts in instalments: create, list, show, cancel.", no_args_is_help=True
    )
    for name, command in (
        ("create", plan_create),
        ("list", plan_list),
        ("show", plan_show),
        ("cancel", plan_cancel),
    ):
        plan.command(name)(command)
    app.add_typer(dunning, name="dunning")
    app.add_typer(plan, name="payment-plan")
    app.command()(suspend)
    app.command()(resume)


def dunning_campaign(
    file: Annotated[Path, typer.Argument(help="TOML; see config/samples/campaign.toml.")],
    default: Annotated[
        bool, typer.Option("--default", help="For accounts without one of their own.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load a campaign. Processes that run go on under the version they began with."""
    campaign = read_campaign(file)

    async def work(system: System) -> StoredCampaign:
        async with (await system.pool()).acquire() as conn:
            return await campaigns.put(conn, campaign, default=default, now=now())

    stored = run(config, work, store=False)
    if as_json:
        print_json(stored)
    else:
        print(f"campaign {campaign.name} version {stored.version}, {len(campaign.steps)} steps")


def dunning_campaigns(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the campaigns."""

    async def work(system: System) -> list[StoredCampaign]:
        async with (await system.pool()).acquire() as conn:
            return await campaigns.list_(conn)

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Campaigns",
        ("name", "version", "default", "steps"),
        [
            (
                each.campaign.name,
                each.version,
                "yes" if each.is_default else "",
                "; ".join(f"{s.action} after {s.after_days}" for s in each.campaign.steps),
            )
            for each in listed
        ],
    )


def dunning_account(
    account: str,
    reason: Reason,
    campaign: Annotated[str | None, typer.Option(help="Its own; default: the default.")] = None,
    exclude: Annotated[bool, typer.Option("--exclude", help="It is not dunned at all.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an account under a campaign of its own, or exclude it from dunning."""

    async def work(system: System) -> AccountDunning:
        async with (await system.pool()).acquire() as conn:
            return await campaigns.set_account(
                conn, account, campaign=campaign, excluded=exclude, reason=reason
            )

    settings = run(config, work, store=False)
    if as_json:
        print_json(settings)
    elif settings.excluded:
        print(f"account {account} is not dunned: {settings.reason}")
    else:
        print(f"account {account} is under campaign {settings.campaign or '(none)'}")


def dunning_run(
    account: Annotated[str | None, typer.Option(help="This one only.")] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at overdue debts, and do what the campaigns say now. Each step is taken once."""

    async def work(system: System) -> list[Looked]:
        pool = await system.pool()
        async with pool.acquire() as conn:
            moment = await billing_time(conn, at)
            if account is None:
                await plans.review_all(conn, moment)
            else:
                await plans.review_account(conn, account, moment)
                done = [await processes.look_at(conn, account, moment)]
        if account is None:
            done = await processes.look_at_all(pool, moment)
        await bring(system)
        return done  # pyright: ignore[reportPossiblyUnboundVariable] -- by one way or the other

    done = run(config, work)
    if as_json:
        print_json(done)
        return
    print_table(
        "Dunned",
        ("account", "steps", "service"),
        [
            (
                each.account,
                ", ".join(each.taken),
                "restored" if each.restored else "",
            )
            for each in done
        ],
    )


def dunning_list(
    account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those that ended too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dunning processes, newest first."""

    async def work(system: System) -> list[ProcessView]:
        async with (await system.pool()).acquire() as conn:
            return await processes.list_(conn, account, running=not ended)

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Dunning",
        ("account", "overdue", "since", "campaign", "next on", "promised until", "ended"),
        [
            (
                each.account,
                f"{format_micros(each.overdue_micros, each.currency)} {each.currency}",
                each.since,
                each.campaign,
                each.next_on,
                each.promised_until,
                each.ending,
            )
            for each in listed
        ],
    )


def dunning_show(account: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the newest dunning process of an account, with its steps."""

    async def work(system: System) -> Dunned:
        async with (await system.pool()).acquire() as conn:
            process = await processes.get(conn, account)
            return Dunned(process, await processes.steps(conn, process.process))

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    process = found.process
    print(
        f"{account}: {format_micros(process.overdue_micros, process.currency)} {process.currency}"
        f" overdue since {process.since}; {process.ending or f'next on {process.next_on}'}"
    )
    print_table(
        "Steps",
        ("on", "action", "invoice", ""),
        [
            (each.taken_on, each.action, each.invoice, "skipped" if each.skipped else "")
            for each in found.steps
        ],
    )


def dunning_promise(
    account: str,
    until: Annotated[str, typer.Argument(help="The day, such as 2026-02-01.")],
    reason: Reason,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take note of a promise to pay: no step is taken before that day."""
    promised = day(until, "UNTIL")
    assert promised is not None

    async def work(system: System) -> ProcessView:
        async with (await system.pool()).acquire() as conn:
            moment = await billing_time(conn, at)
            return await processes.promise(conn, account, promised, reason=reason, now=moment)

    process = run(config, work, store=False)
    if as_json:
        print_json(process)
    else:
        print(f"account {account} has promised to pay; next step on {process.next_on}")


def suspend(
    account: str,
    reason: Reason,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suspend an account: its sessions are cut, and none begins."""

    async def work(system: System) -> list[Suspension]:
        async with (await system.pool()).acquire() as conn:
            moment = await billing_time(conn, at)
            await suspensions.suspend(
                conn, account, Cause.STAFF, reason=reason, actor=actor(), now=moment
            )
            listed = await suspensions.list_(conn, account)
        await bring(system, account)
        return listed

    listed = run(config, work)
    if as_json:
        print_json(listed)
    else:
        print(f"account {account} is suspended")


def resume(
    account: str,
    reason: Reason,
    cause: Annotated[Cause, typer.Option(help="Which suspension is lifted.")] = Cause.STAFF,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lift the suspension of an account; it runs again once no other one holds."""

    async def work(system: System) -> tuple[bool, list[Suspension]]:
        async with (await system.pool()).acquire() as conn:
            moment = await billing_time(conn, at)
            runs = await suspensions.lift(
                conn, account, cause, reason=reason, actor=actor(), now=moment
            )
            listed = await suspensions.list_(conn, account)
        await bring(system, account)
        return runs, listed

    runs, listed = run(config, work)
    if as_json:
        print_json(listed)
    else:
        print(f"account {account} {'runs again' if runs else 'is still suspended: see --json'}")


def plan_create(
    account: str,
    instalments: Annotated[int, typer.Argument(help="How many.")],
    first: Annotated[str, typer.Argument(help="When the first is due, such as 2026-02-01.")],
    every: Annotated[Unit, typer.Option(help="From one to the next.")] = Unit.MONTH,
    grace_days: Annotated[int, typer.Option(min=0, max=90, help="Before one is missed.")] = 3,
    invoice: Annotated[
        list[int] | None, typer.Option(help="For this invoice; default: all open ones.")
    ] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an account pay its open invoices in instalments; dunning rests while it does."""
    first_due = day(first, "FIRST")
    if first_due is None:
        raise Refused("FIRST must be a day")

    async def work(system: System) -> PaymentPlan:
        async with (await system.pool()).acquire() as conn:
            moment = await billing_time(conn, at)
            made = await plans.create(
                conn, account, number=instalments, first_due=first_due, every=every,
                grace_days=grace_days, invoices=invoice, actor=actor(), now=moment,
            )  # fmt: skip
            await processes.look_at(conn, account, moment)
        await bring(system, account)
        return made

    _print_plan(run(config, work), as_json=as_json)


def plan_list(
    account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List payment plans, newest first."""

    async def work(system: System) -> list[PaymentPlan]:
        async with (await system.pool()).acquire() as conn:
            return await plans.list_(conn, account, now=await billing_time(conn, at))

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Payment plans",
        ("plan", "account", "status", "debt", "outstanding", "due now"),
        [
            (
                each.plan,
                each.account,
                each.status,
                *(
                    format_micros(micros, each.currency)
                    for micros in (each.debt_micros, each.outstanding_micros, each.due_micros)
                ),
            )
            for each in listed
        ],
    )


def plan_show(
    plan: int, at: AtOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show a payment plan."""

    async def work(system: System) -> PaymentPlan:
        async with (await system.pool()).acquire() as conn:
            return await plans.get(conn, plan, await billing_time(conn, at))

    _print_plan(run(config, work, store=False), as_json=as_json)


def plan_cancel(
    plan: int, at: AtOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """End a payment plan; what is left is due by its invoices' own dates again."""

    async def work(system: System) -> PaymentPlan:
        async with (await system.pool()).acquire() as conn:
            return await plans.cancel(conn, plan, await billing_time(conn, at))

    _print_plan(run(config, work, store=False), as_json=as_json)


def _print_plan(plan: PaymentPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    print(
        f"payment plan {plan.plan} of {plan.account}, {plan.status}:"
        f" {format_micros(plan.outstanding_micros, plan.currency)} of"
        f" {format_micros(plan.debt_micros, plan.currency)} {plan.currency} outstanding,"
        f" {format_micros(plan.due_micros, plan.currency)} due now"
    )
    print_table(
        "Instalments",
        ("number", "due on", "amount"),
        [
            (each.number, each.due_on, format_micros(each.amount_micros, plan.currency))
            for each in plan.instalments
        ],
    )
