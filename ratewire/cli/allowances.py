"""allowance: what accounts have beside money."""

import socket
from datetime import datetime, timedelta
from typing import Annotated

import typer

from billing.allowances.granting import AllowanceGrant, NewGrant, Source, amount_of, grant
from billing.allowances.notices import AllowanceNotice, notices
from billing.audit.trail import Origin, set_origin
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    bring,
    moment,
    print_json,
    print_table,
    printable,
    run,
)
from ratewire.views.allowances import AllowanceView, allowance_views
from ratewire.wiring import System, now
from rating.allowance import Unit


def register(app: typer.Typer) -> None:
    """Add the commands."""
    allowance = typer.Typer(help="Octets, seconds, promotional money.", no_args_is_help=True)
    allowance.command("grant")(allowance_grant)
    allowance.command("list")(allowance_list)
    allowance.command("notices")(allowance_notices)
    app.add_typer(allowance, name="allowance")


def allowance_grant(
    account: str,
    name: Annotated[str, typer.Argument(help="What it is called, for charges to name it.")],
    amount: Annotated[str, typer.Argument(help="As 10GB, '2 hours', 5.00 (with --unit money).")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    unit: Annotated[Unit, typer.Option(help="Of what.")] = Unit.OCTETS,
    source: Annotated[Source, typer.Option(help="Whether it was paid for.")] = Source.PROMOTION,
    days: Annotated[
        int | None, typer.Option(min=1, max=3660, help="It ends after so many.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="It ends then, as 2026-06-01T00:00+02:00.")
    ] = None,
    priority: Annotated[int, typer.Option(help="The lowest is used first.")] = 100,
    plan: Annotated[str | None, typer.Option(help="For sessions on this plan only.")] = None,
    user: Annotated[str | None, typer.Option(help="For this user name only.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: it is granted once.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grant an account an allowance. Its sessions use it at once."""
    if days is not None and until is not None:
        raise Refused("give --days or --until, not both")
    ends = _moment(until) if until is not None else None
    if days is not None:
        ends = now() + timedelta(days=days)
    new = NewGrant(
        *(account, name, unit, amount_of(amount, unit), source, reason),
        until=ends,
        priority=priority,
        plan=plan,
        username=user,
        key=key,
    )

    async def work(system: System) -> AllowanceGrant:
        async with (await system.pool()).acquire() as conn, conn.transaction():
            await set_origin(conn, Origin(actor(), socket.gethostname()))
            granted = await grant(conn, new, actor=actor(), now=now())
        await bring(system, account)
        return granted

    done = run(config, work)
    if as_json:
        print_json(done)
        return
    before = " before, under this key" if done.repeated else ""
    until_text = "" if done.until is None else f" until {moment(done.until)} UTC"
    print(
        printable(
            f"{account} was granted {done.amount:,} {done.unit} of {name}{until_text}{before}"
        )
    )


def allowance_list(account: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List an account's allowances, live, in the order in which they are used."""

    async def work(system: System) -> list[AllowanceView]:
        return await allowance_views(system, account, now())

    found = run(config, work, database=False)
    if as_json:
        print_json(found)
        return
    print_table(
        f"Allowances of {account}",
        (
            "name",
            "unit",
            "left",
            "amount",
            "priority",
            "from (UTC)",
            "until (UTC)",
            "for",
            "source",
        ),
        [
            (
                each.name,
                each.unit.value,
                each.left,
                each.amount,
                each.priority,
                moment(each.since),
                ("" if each.until is None else moment(each.until))
                + (" (ended)" if each.ended else ""),
                each.username or each.plan or "",
                each.source,
            )
            for each in found
        ],
    )


def allowance_notices(
    account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most notices to show.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List allowances that came to a threshold of their plan, the latest first."""

    async def work(system: System) -> list[AllowanceNotice]:
        async with (await system.pool()).acquire() as conn:
            return await notices(conn, account, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        f"Notices of allowances: {len(found)}",
        ("account", "allowance", "of", "threshold", "left", "amount", "unit", "when (UTC)"),
        [
            (
                each.account,
                each.allowance,
                each.owner,
                each.threshold,
                each.remaining,
                each.amount,
                each.unit,
                moment(each.noticed_at),
            )
            for each in found
        ],
    )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text!r} is no time; write 2026-06-01T00:00+02:00") from error
    if found.tzinfo is None:
        raise Refused(f"{text!r} has no offset from UTC; write 2026-06-01T00:00+02:00")
    return found
