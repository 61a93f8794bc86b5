"""service: what customers have ordered, and what becomes of it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer

from billing.cycles.calendar import local_day
from billing.cycles.schedule import zone_of
from billing.database import Connection
from billing.services import listing
from billing.services import register as services
from billing.services.listing import ServiceEntry
from billing.services.register import When
from ratewire.cli.billing_time import AtOption, billing_time, day
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    actor,
    bring,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System

Number = Annotated[int, typer.Argument(metavar="SERVICE", help="The service's number.")]
OnOption = Annotated[
    str | None, typer.Option("--on", help="The day, such as 2026-02-01; default: today.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    service = typer.Typer(
        help="Services: order, start, change, pause, resume, cancel, list.", no_args_is_help=True
    )
    for name, command in (
        ("order", service_order),
        ("start", service_start),
        ("change", service_change),
        ("pause", service_pause),
        ("resume", service_resume),
        ("cancel", service_cancel),
        ("list", service_list),
    ):
        service.command(name)(command)
    app.add_typer(service, name="service")


def service_order(
    account: str,
    offer: str,
    user: Annotated[str | None, typer.Option(help="The subscriber whose service it is.")] = None,
    quantity: Annotated[int, typer.Option(min=1)] = 1,
    description: Annotated[str, typer.Option(help="Default: that of the offer.")] = "",
    start: Annotated[bool, typer.Option("--start", help="Start it today.")] = False,
    by_use: Annotated[
        bool, typer.Option("--by-use", help="It starts with its subscriber's first session.")
    ] = False,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a service for an account, on the newest version of an offer."""

    async def change(conn: Connection, now: datetime) -> ServiceEntry:
        async with conn.transaction():
            ordered = await services.order(
                conn, account, offer, username=user, quantity=quantity, description=description,
                activates_by_use=by_use, actor=actor(), now=now,
            )  # fmt: skip
            if not start:
                return ordered
            return await services.start(conn, ordered.service, actor=actor(), now=now)

    _done(change, at, config, as_json=as_json)


def service_start(
    service: Number,
    on: OnOption = None,
    reason: ReasonOption = "",
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a service that was ordered: its billing begins."""

    async def change(conn: Connection, now: datetime) -> ServiceEntry:
        return await services.start(
            conn, service, on=day(on, "--on"), reason=reason, actor=actor(), now=now
        )

    _done(change, at, config, as_json=as_json)


def service_change(
    service: Number,
    offer: str,
    when: Annotated[
        When, typer.Option(help="default: an upgrade now, a downgrade when the cycle ends.")
    ] = When.DEFAULT,
    on: OnOption = None,
    quantity: Annotated[int | None, typer.Option(min=1, help="Default: as it is.")] = None,
    reason: ReasonOption = "",
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a service to another offer; what was paid for its unused days is credited."""

    async def change(conn: Connection, now: datetime) -> ServiceEntry:
        return await services.change(
            conn, service, offer, when=when, on=day(on, "--on"), quantity=quantity,
            reason=reason, actor=actor(), now=now,
        )  # fmt: skip

    _done(change, at, config, as_json=as_json)


def service_pause(
    service: Number,
    reason: ReasonOption,
    on: OnOption = None,
    until: Annotated[
        str | None, typer.Option(help="The day on which it goes on; default: once it is resumed.")
    ] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a service: it is neither served nor billed meanwhile."""

    async def change(conn: Connection, now: datetime) -> ServiceEntry:
        return await services.pause(
            conn, service, on=day(on, "--on"), until=day(until, "--until"), reason=reason,
            actor=actor(), now=now,
        )  # fmt: skip

    _done(change, at, config, as_json=as_json)


def service_resume(
    service: Number,
    on: OnOption = None,
    reason: ReasonOption = "",
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused service go on."""

    async def change(conn: Connection, now: datetime) -> ServiceEntry:
        return await services.resume(
            conn, service, on=day(on, "--on"), reason=reason, actor=actor(), now=now
        )

    _done(change, at, config, as_json=as_json)


def service_cancel(
    service: Number,
    reason: ReasonOption,
    on: OnOption = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a service; its final bill is due on that day."""

    async def change(conn: Connection, now: datetime) -> ServiceEntry:
        return await services.cancel(
            conn, service, on=day(on, "--on"), reason=reason, actor=actor(), now=now
        )

    _done(change, at, config, as_json=as_json)


def service_list(
    account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List services with what they are today."""

    async def work(system: System) -> list[tuple[ServiceEntry, str]]:
        async with (await system.pool()).acquire() as conn:
            now = await billing_time(conn, at)
            listed: list[tuple[ServiceEntry, str]] = []
            while page := await listing.list_(
                conn, account, after=listed[-1][0].service if listed else 0
            ):
                for each in page:
                    today = local_day(now, await zone_of(conn, each.account))
                    listed.append((each, each.state_on(today)))
            return listed

    listed = run(config, work, store=False)
    if as_json:
        print_json([each for each, _ in listed])
        return
    print_table(
        "Services",
        ("service", "account", "user", "state", "offers", "description"),
        [
            (each.service, each.account, each.username, state, _terms(each), each.description)
            for each, state in listed
        ],
    )


def _done(
    change: Callable[[Connection, datetime], Awaitable[ServiceEntry]],
    at: str | None,
    config: ConfigOption,
    *,
    as_json: bool,
) -> None:
    async def work(system: System) -> ServiceEntry:
        async with (await system.pool()).acquire() as conn:
            entry = await change(conn, await billing_time(conn, at))
        await bring(system, entry.account)
        return entry

    entry = run(config, work)
    if as_json:
        print_json(entry)
        return
    ended = "" if entry.cancelled_on is None else f"; cancelled from {entry.cancelled_on} on"
    print(f"service {entry.service} of {entry.account}: {_terms(entry)}{ended}")


def _terms(entry: ServiceEntry) -> str:
    if not entry.terms:
        return f"{entry.ordered_offer}, ordered"
    return "; ".join(
        f"{term.offer.name} from {term.starts_on}"
        + ("" if term.ends_on is None else f" until {term.ends_on}")
        for term in entry.terms
    )
