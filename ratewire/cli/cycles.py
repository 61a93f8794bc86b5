"""cycle: when accounts are billed, the runs that do it, and what waits for a person."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from billing.accounts.register import lock
from billing.cycles import parking, schedule
from billing.cycles import run as runs
from billing.cycles.bill import Bill
from billing.cycles.calendar import Alignment, Unit
from billing.cycles.drafting import Drafted, approve
from billing.cycles.parking import Parked
from billing.cycles.run import Outcome, RunView
from billing.cycles.schedule import Schedule
from ratewire.cli.billing_time import AtOption, billing_time
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    bring,
    moment,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System
from rating.money import format_micros

Number = Annotated[int, typer.Argument(metavar="RUN", help="The run's number.")]


class CycleView(msgspec.Struct, frozen=True):
    """How an account is billed. The bill day is of the week (1 Monday) for a cycle of weeks."""

    account: str
    time_zone: str
    unit: str
    alignment: str
    bill_day: int
    billed_until: str | None
    next_bill_on: str | None
    review_days: int
    needs_approval: bool


class RunReport(msgspec.Struct, frozen=True):
    """A run, and what it did to each account."""

    run: RunView
    outcomes: list[Outcome]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    cycle = typer.Typer(
        help="Billing: set, show, preview, run, runs, report, approve, parked, release.",
        no_args_is_help=True,
    )
    for name, command in (
        ("set", cycle_set),
        ("show", cycle_show),
        ("preview", cycle_preview),
        ("run", cycle_run),
        ("runs", cycle_runs),
        ("report", cycle_report),
        ("approve", cycle_approve),
        ("parked", cycle_parked),
        ("release", cycle_release),
    ):
        cycle.command(name)(command)
    app.add_typer(cycle, name="cycle")


def cycle_set(
    account: str,
    every: Annotated[Unit, typer.Option(help="How long a billing cycle is.")] = Unit.MONTH,
    alignment: Annotated[
        Alignment, typer.Option(help="On the day billing began, or with the calendar.")
    ] = Alignment.ANNIVERSARY,
    bill_day: Annotated[
        int | None, typer.Option(min=1, max=31, help="With the calendar: the day of the month.")
    ] = None,
    review_days: Annotated[
        int, typer.Option(min=0, max=30, help="How long an invoice stays a draft.")
    ] = 0,
    approval: Annotated[
        bool, typer.Option("--approval", help="It stays one until its run is approved.")
    ] = False,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set how an account is billed, from the end of its running cycle on."""

    async def work(system: System) -> Schedule:
        async with (await system.pool()).acquire() as conn, conn.transaction():
            now = await billing_time(conn, at)
            await lock(conn, account)
            return await schedule.set_cycle(
                conn, account, unit=every, alignment=alignment, bill_day=bill_day,
                review_days=review_days, needs_approval=approval, now=now,
            )  # fmt: skip

    _show(run(config, work, store=False), as_json=as_json)


def cycle_show(account: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how an account is billed, and when next."""

    async def work(system: System) -> Schedule:
        async with (await system.pool()).acquire() as conn:
            return await schedule.get(conn, account)

    _show(run(config, work, store=False), as_json=as_json)


def cycle_preview(
    account: str, at: AtOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show what an account would be billed now. Nothing is written."""

    async def work(system: System) -> Bill:
        async with (await system.pool()).acquire() as conn:
            return await runs.preview(conn, account, await billing_time(conn, at))

    bill = run(config, work, store=False)
    if as_json:
        print_json(bill)
        return
    print_table(
        f"Bill of {account} on {bill.bill_on}, before tax",
        ("service", "charge", "from", "until", "amount", "discount", "description"),
        [
            (
                item.service,
                item.charge,
                item.period.start,
                item.period.end,
                format_micros(item.amount_micros, bill.currency),
                format_micros(item.discount_micros, bill.currency),
                item.description,
            )
            for item in bill.items
        ],
    )
    print(f"{format_micros(bill.amount_micros, bill.currency)} {bill.currency} without usage")


def cycle_run(
    account: Annotated[
        str | None, typer.Option(help="This one only, whether it is due or not.")
    ] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bill all accounts that are due; go on with a run that was interrupted.

    Repeated, it bills nothing twice.
    """

    async def work(system: System) -> RunView:
        pool = await system.pool()
        async with pool.acquire() as conn:
            now = await billing_time(conn, at)
            if account is not None:
                done = await runs.run_account(conn, account, actor=actor(), now=now)
        if account is None:
            with _bar() as bar:
                task = bar.add_task("billing", total=None)

                def show(done: int, of: int) -> None:
                    bar.update(task, completed=done, total=max(of, done))

                done = await runs.run(pool, at=now, actor=actor(), now=now, progress=show)
        await bring(system)
        return done  # pyright: ignore[reportPossiblyUnboundVariable] -- by one way or the other

    _print_run(run(config, work), as_json=as_json)


def cycle_runs(
    limit: Annotated[int, typer.Option(min=1, help="Most runs, the newest ones.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""

    async def work(system: System) -> list[RunView]:
        async with (await system.pool()).acquire() as conn:
            return await runs.list_(conn, limit=limit)

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Billing runs",
        ("run", "as of (UTC)", "account", "due", "bills", "billed", "parked", "by", "ended (UTC)"),
        [
            (
                each.run,
                moment(each.at),
                each.account,
                each.accounts_due,
                each.bills,
                each.billed,
                each.parked,
                each.actor,
                None if each.ended_at is None else moment(each.ended_at),
            )
            for each in listed
        ],
    )


def cycle_report(number: Number, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what a run did to each account; also while it runs."""

    async def work(system: System) -> RunReport:
        async with (await system.pool()).acquire() as conn:
            view = await runs.view(conn, number)
            outcomes: list[Outcome] = []
            while page := await runs.outcomes(
                conn, number, after=outcomes[-1].outcome_id if outcomes else 0
            ):
                outcomes += page
            return RunReport(view, outcomes)

    report = run(config, work, store=False)
    if as_json:
        print_json(report)
        return
    print_table(
        f"Run {number}",
        ("account", "bill of", "outcome", "items", "before tax", "invoice", "detail"),
        [
            (
                each.account,
                each.bill_on,
                each.outcome,
                each.items,
                format_micros(each.amount_micros, each.currency),
                each.invoice,
                each.detail,
            )
            for each in report.outcomes
        ],
    )
    _print_run(report.run, as_json=False)


def cycle_approve(
    number: Number, at: AtOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Approve the drafts of a run: they are finalized."""

    async def work(system: System) -> Drafted:
        async with (await system.pool()).acquire() as conn:
            await runs.view(conn, number)
            now = await billing_time(conn, at)
            done = await approve(conn, number, actor=actor(), now=now)
        await bring(system)
        return done

    done = run(config, work)
    if as_json:
        print_json(done)
    else:
        print(f"{done.finalized} invoices finalized, {done.refused} refused")


def cycle_parked(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the accounts that nobody bills, and why."""

    async def work(system: System) -> list[Parked]:
        async with (await system.pool()).acquire() as conn:
            return await parking.list_(conn)

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Parked accounts",
        ("account", "since (UTC)", "run", "reason"),
        [(each.account, moment(each.parked_at), each.run, each.reason) for each in listed],
    )


def cycle_release(
    note: Annotated[str, typer.Option(help="What was put right.")],
    account: Annotated[str | None, typer.Argument()] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    at: AtOption = None,
    config: ConfigOption = None,
) -> None:
    """Let parked accounts be billed again, by the next run."""
    if (account is None) != everyone:
        raise Refused("name an account, or --all")

    async def work(system: System) -> int:
        async with (await system.pool()).acquire() as conn:
            now = await billing_time(conn, at)
            if account is None:
                return await parking.release_all(conn, note=note, actor=actor(), now=now)
            await parking.release(conn, account, note=note, actor=actor(), now=now)
            return 1

    print(f"{run(config, work, store=False)} accounts are billed again")


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _show(found: Schedule, *, as_json: bool) -> None:
    cycle = found.calendar.changes[-1].cycle
    view = CycleView(
        account=found.account,
        time_zone=found.zone.key,
        unit=cycle.unit,
        alignment=found.alignment,
        bill_day=cycle.day,
        billed_until=None if found.billed_until is None else found.billed_until.isoformat(),
        next_bill_on=None if found.next_bill_on is None else found.next_bill_on.isoformat(),
        review_days=found.review_days,
        needs_approval=found.needs_approval,
    )
    if as_json:
        print_json(view)
        return
    review = "until they are approved" if view.needs_approval else f"for {view.review_days} days"
    print(
        f"{view.account} is billed every {view.unit} by {view.alignment}, on day {view.bill_day}"
        f" ({view.time_zone}); invoices are drafts {review}"
    )
    print(f"billed until {view.billed_until or 'never'}, next on {view.next_bill_on or 'never'}")


def _print_run(done: RunView, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    amounts = ", ".join(
        f"{format_micros(micros, currency)} {currency}"
        for currency, micros in done.amounts_micros.items()
    )
    state = "runs" if done.ended_at is None else "ended"
    print(
        f"run {done.run} {state}: {done.bills} bills, {done.billed} with something on them"
        f" ({amounts or 'nothing'}, before tax and usage), {done.parked} accounts parked"
    )
