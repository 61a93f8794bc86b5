"""rate: what usage costs, and why; nothing is charged by any of it."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from billing.catalogue.planfile import read_plans
from billing.catalogue.plans import version_of
from billing.comparison.day import Comparison, compare
from billing.sessions.explain import SettledCharge, explain_settled
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    moment,
    print_json,
    print_table,
    printable,
    run,
)
from ratewire.quoting import Customer, Lasting, Price, lasting, price_of
from ratewire.views.lines import told
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount
from rating.quantity import Counters

PlanOption = Annotated[str | None, typer.Option(help="The plan; default: the subscriber's.")]
VersionOption = Annotated[int | None, typer.Option(help="Of the plan; default: the newest.")]
SubscriberOption = Annotated[
    str | None, typer.Option(help="As this user name's account stands; default: a new account.")
]
ServiceOption = Annotated[str, typer.Option(help="One of the plan's services.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rate = typer.Typer(
        help="Dry runs: what usage costs, how long money lasts, why a charge is what it is.",
        no_args_is_help=True,
    )
    rate.command("usage")(rate_usage)
    rate.command("lasts")(rate_lasts)
    rate.command("explain")(rate_explain)
    rate.command("day")(rate_day)
    app.add_typer(rate, name="rate")


def rate_usage(
    plan: PlanOption = None,
    version: VersionOption = None,
    subscriber: SubscriberOption = None,
    service: ServiceOption = "",
    seconds: Annotated[int, typer.Option(min=0, help="How long the session lasts.")] = 0,
    octets_in: Annotated[int, typer.Option(min=0, help="What it sends.")] = 0,
    octets_out: Annotated[int, typer.Option(min=0, help="What it receives.")] = 0,
    at: Annotated[
        str | None,
        typer.Option(help="When it begins, as 2026-05-01T12:00 by the account's clock."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a session would cost, line by line."""
    customer = Customer(plan, version, subscriber, service)

    async def work(system: System) -> Price:
        async with (await system.pool()).acquire() as conn:
            usage = Counters(seconds, octets_in, octets_out)
            return await price_of(system, conn, customer, usage, at, now=now())

    found = run(config, work, store=subscriber is not None)
    if as_json:
        print_json(found)
        return
    amount = format_micros(found.charge_micros, found.currency)
    print(
        printable(
            f"{amount} {found.currency} by version {found.plan_version} of {found.plan},"
            f" from {found.at:%Y-%m-%d %H:%M:%S %Z}"
        )
    )
    for line in found.lines:
        print(printable(f"  {told(line, found.currency)}"))


def rate_lasts(
    plan: PlanOption = None,
    version: VersionOption = None,
    subscriber: SubscriberOption = None,
    service: ServiceOption = "",
    balance: Annotated[
        str | None, typer.Option(help="This much; default: what the subscriber has available.")
    ] = None,
    octets_in: Annotated[int, typer.Option(min=0, help="What it sends in a second.")] = 0,
    octets_out: Annotated[int, typer.Option(min=0, help="What it receives in a second.")] = 0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how long a session that begins now could go on, and how much it could receive."""
    customer = Customer(plan, version, subscriber, service)
    micros = None if balance is None else parse_amount(balance)

    async def work(system: System) -> Lasting:
        async with (await system.pool()).acquire() as conn:
            pace = Counters(0, octets_in, octets_out)
            return await lasting(system, conn, customer, pace, micros, now=now())

    found = run(config, work, store=subscriber is not None)
    if as_json:
        print_json(found)
        return
    has = "unlimited credit"
    if found.available_micros is not None:
        has = f"{format_micros(found.available_micros, found.currency)} {found.currency}"
    print(printable(f"{has} on version {found.plan_version} of {found.plan}:"))
    print("  time    " + ("without end" if found.seconds is None else f"{found.seconds:,} s"))
    print("  octets  " + ("without end" if found.octets is None else f"{found.octets:,} received"))


def rate_explain(
    account: Annotated[str, typer.Argument(help="The account that was charged.")],
    transaction: Annotated[
        int | None, typer.Option(help="What this transaction of the ledger sums up.")
    ] = None,
    charge: Annotated[int | None, typer.Option(help="The charge of this sequence.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most charges to show.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain settled charges of an account, the latest first: each line with its price."""

    async def work(system: System) -> list[SettledCharge]:
        async with (await system.pool()).acquire() as conn:
            return await explain_settled(
                conn, account, charge_sequence=charge, transaction_id=transaction, limit=limit
            )

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    for each in found:
        one = each.charge
        amount = format_micros(one.charged_micros, each.currency)
        print(
            printable(
                f"{moment(one.event_at)} UTC  charge {one.charge_sequence} of {each.username}:"
                f" {amount} {each.currency} by version {each.plan_version} of {each.plan}"
            )
        )
        for line in one.lines:
            print(printable(f"  {told(line, each.currency)}"))


def rate_day(
    day: Annotated[str, typer.Argument(help="The day, as 2026-05-01, in the plan's zone.")],
    plan: Annotated[str, typer.Option(help="The plan whose sessions are rated once more.")],
    version: Annotated[int | None, typer.Option(help="By this version; default: newest.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="By the plan of that name in this file instead.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a day's sessions would have cost by another version, by account."""
    when = _day(day)
    proposed = None
    if file is not None:
        proposed = next((each for each in read_plans(file) if each.name == plan), None)
        if proposed is None:
            raise Refused(f"{file} has no plan {plan}")
        if version is not None:
            raise Refused("give --version or --file, not both")

    async def work(system: System) -> Comparison:
        async with (await system.pool()).acquire() as conn:
            other = proposed or await version_of(conn, plan, version)
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                return await compare(conn, when, other)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return

    def amount(micros: int) -> str:
        return format_micros(micros, found.currency)

    print_table(
        f"{plan} on {day}, {found.currency}",
        ("account", "records", "charged", "by its versions", "by the other", "difference"),
        [
            (
                each.account or "total",
                each.records,
                amount(each.charged_micros),
                amount(each.before_micros),
                amount(each.after_micros),
                amount(each.difference_micros),
            )
            for each in (*found.accounts, found.total)
        ],
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text!r} is not a day; write 2026-05-01") from error
