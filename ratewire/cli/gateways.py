"""payment link, payment methods, auto-topup, gateway: money by a gateway."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from billing.database import Connection
from billing.errors import Conflict
from billing.gateways import inbox, topups
from billing.gateways.happening import Unreachable
from billing.gateways.inbox import GatewayEvent
from billing.gateways.topups import AutoTopup
from billing.payments import methods
from billing.payments import register as payments
from billing.payments.gateway import charge_of
from billing.payments.methods import PaymentMethod
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    moment,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount


class Link(msgspec.Struct, frozen=True):
    """A page where a customer pays. The payment is pending until the gateway tells its end."""

    payment_id: int
    url: str


def register(app: typer.Typer) -> None:
    """Add the commands, but for those of `payment`."""
    auto = typer.Typer(help="Automatic top-ups: set, show, stop.", no_args_is_help=True)
    auto.command("set")(auto_set)
    auto.command("show")(auto_show)
    auto.command("stop")(auto_stop)
    gateway = typer.Typer(help="What gateways told: events, replay.", no_args_is_help=True)
    gateway.command("events")(gateway_events)
    gateway.command("replay")(gateway_replay)
    app.add_typer(auto, name="auto-topup")
    app.add_typer(gateway, name="gateway")


def payment_link(
    account: str,
    amount: Annotated[str, typer.Argument(help="In currency units, for example 10.00.")],
    return_url: Annotated[str, typer.Option(help="Where the page leads to afterwards.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep how it is paid, for automatic top-ups.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same key is the same page.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a page of the gateway's where a customer tops up; it is good for a day."""
    micros = parse_amount(amount)

    async def work(system: System) -> Link:
        if not system.gateways:
            raise Refused("no gateway is set up: set stripe.api_key_file")
        [gateway] = system.gateways.values()
        new = NewPayment(
            account,
            micros,
            Method.CARD,
            PaymentStatus.PENDING,
            gateway=gateway.name,
            description="Top-up",
            key=key,
        )
        async with (await system.pool()).acquire() as conn:
            made = (await payments.receive(conn, new, actor=actor(), now=now())).payment
        if made.status is not PaymentStatus.PENDING:
            raise Conflict(f"payment {made.payment_id} is {made.status} already")
        try:
            page = await gateway.checkout(charge_of(made), "Top-up", return_url, keep=keep)
        except Unreachable as error:
            raise Refused(str(error)) from error
        return Link(made.payment_id, page.url)

    link = run(config, work, store=False)
    if as_json:
        print_json(link)
        return
    print(link.url)


def payment_methods(account: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List how an account can be charged."""

    async def work(system: System) -> list[PaymentMethod]:
        async with (await system.pool()).acquire() as conn:
            return await methods.of_account(conn, account)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [(each.method_id, each.kind.value, each.gateway, each.label) for each in found]
    print_table(f"Payment methods of {account}", ("method", "kind", "gateway", "label"), rows)


def auto_set(
    account: str,
    amount: Annotated[str, typer.Argument(help="In currency units, for example 10.00.")],
    method: Annotated[int, typer.Option(help="By which; see `payment methods`.")],
    below: Annotated[str | None, typer.Option(help="When the balance is below that.")] = None,
    every_days: Annotated[int | None, typer.Option(help="Or every so many days.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have an account topped up by itself from now on."""
    micros, threshold = parse_amount(amount), None if below is None else parse_amount(below)

    async def work(conn: Connection) -> AutoTopup:
        return await topups.set_(
            conn,
            account,
            method,
            micros,
            below_micros=threshold,
            every_days=every_days,
            now=now(),
        )

    _show(config, work, as_json)


def auto_show(account: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how an account is topped up by itself."""

    async def work(conn: Connection) -> AutoTopup:
        return await topups.get(conn, account)

    _show(config, work, as_json)


def auto_stop(account: str, config: ConfigOption = None) -> None:
    """Top an account up by itself no more."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await topups.drop(conn, account)

    run(config, work, store=False)
    print(f"{account} is not topped up by itself any more")


def gateway_events(
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that could not be acted on.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most events, the last ones.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what gateways told, newest first, and what was done about it."""

    async def work(system: System) -> list[GatewayEvent]:
        async with (await system.pool()).acquire() as conn:
            return await inbox.list_(conn, waiting=waiting, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        "Events",
        ("received (UTC)", "gateway", "event", "tries", "done", "outcome"),
        [
            (
                moment(each.received_at),
                each.gateway,
                each.event_id,
                each.attempts,
                "no" if each.processed_at is None else "yes",
                each.outcome,
            )
            for each in found
        ],
    )


def gateway_replay(gateway: str, event_id: str, config: ConfigOption = None) -> None:
    """Have an event acted on once more; what it did is not done twice."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await inbox.replay(conn, gateway, event_id, now())

    run(config, work, store=False)
    print(f"event {event_id} is acted on again within seconds")


def _show(
    config: Path | None, work: Callable[[Connection], Awaitable[AutoTopup]], as_json: bool
) -> None:
    async def on(system: System) -> AutoTopup:
        async with (await system.pool()).acquire() as conn:
            return await work(conn)

    rule = run(config, on, store=False)
    if as_json:
        print_json(rule)
        return
    amount = format_micros(rule.amount_micros)
    when = (
        f"every {rule.every_days} days"
        if rule.below_micros is None
        else f"when less than {format_micros(rule.below_micros)} is left"
    )
    ended = "" if rule.try_at is not None else f"; given up after {rule.failures} failures"
    print(f"{rule.account} is topped up with {amount} by method {rule.method_id} {when}{ended}")
