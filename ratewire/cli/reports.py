"""usage, unrated: what was used, and what could not be rated."""

from typing import Annotated

import typer

from billing.review.listings import UnratedSession
from billing.review.listings import unrated as list_unrated
from billing.sessions.usage import Usage, UsageReport, report
from ratewire.cli.running import ConfigOption, JsonOption, moment, print_json, print_table, run
from ratewire.wiring import System


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(usage)
    app.command()(unrated)


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
