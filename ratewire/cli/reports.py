"""usage, unrated, report: what was used, what could not be rated, and what it comes to."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from billing.accounts.account import time_zone
from billing.reports.making import Asked, Name, make
from billing.reports.table import Report, to_csv
from billing.review.listings import UnratedSession
from billing.review.listings import unrated as list_unrated
from billing.sessions.usage import Usage, UsageReport, report
from ratewire.cli.running import ConfigOption, JsonOption, moment, print_json, print_table, run
from ratewire.wiring import System, now


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(usage)
    app.command()(unrated)
    app.command("report")(business_report)


def usage(
    user: Annotated[str | None, typer.Option(help="Of this user name only.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum what was settled, by subscriber and in total."""

    async def work(system: System) -> UsageReport:
        async with (await system.pool()).acquire() as conn:
            return await report(conn, user)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [_row(each.username, each) for each in found.subscribers]
    print_table(
        "Settled usage",
        ("user", "sessions", "octets in", "octets out", "seconds", "charged micros"),
        [*rows, _row("total", found.total)],
    )


def _row(name: str, usage: Usage) -> tuple[object, ...]:
    charged: object = usage.charged_micros
    if charged is None:
        amounts = usage.charged_micros_by_currency.items()
        charged = ", ".join(f"{currency} {micros}" for currency, micros in amounts)
    return (name, usage.sessions, usage.octets_in, usage.octets_out, usage.seconds, charged)


def unrated(
    user: Annotated[str | None, typer.Option(help="Of this user name only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most sessions to show.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List sessions that could not be rated.

    They were acknowledged, kept, and not charged.
    """

    async def work(system: System) -> list[UnratedSession]:
        async with (await system.pool()).acquire() as conn:
            return await list_unrated(conn, username=user, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        f"Unrated sessions: {len(found)}",
        (
            "user",
            "reason",
            "NAS",
            "Acct-Session-Id",
            "records",
            "seconds",
            "in",
            "out",
            "last (UTC)",
        ),
        [
            (
                each.username,
                each.reason,
                each.nas,
                each.acct_session_id,
                each.records,
                each.seconds,
                each.octets_in,
                each.octets_out,
                moment(each.last_at),
            )
            for each in found
        ],
    )


def business_report(
    name: Annotated[Name, typer.Argument(help="Which.")],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")],
    to: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day after the last one.")],
    zone: Annotated[str, typer.Option(help="The time zone of the days.")] = "UTC",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a report of the business. Money is as it is in the ledger."""
    asked = Asked(first.date(), to.date(), ZoneInfo(time_zone(zone)), now())

    async def work(system: System) -> Report:
        async with (await system.pool()).acquire() as conn:
            return await make(conn, name, asked)

    made = run(config, work, store=False)
    if as_csv:
        print(to_csv(made), end="")
    elif as_json:
        print_json([dict(zip(made.columns, row, strict=True)) for row in made.rows])
    else:
        columns, rows = made.shown()
        print_table(f"Report: {name}, from {asked.first} until {asked.until}", columns, rows)
