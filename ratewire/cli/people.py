"""account, subscriber, import: who is served."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from balances.jobs import Action
from billing.accounts import register as accounts
from billing.accounts.account import BillingAccount, PaymentMode
from billing.outbox.waiting import waiting
from billing.subscribers import register as subscribers
from billing.subscribers.bulk_import import Imported, import_file
from billing.subscribers.login import Bounds, PasswordKind, WhenFull
from billing.subscribers.subscriber import SubscriberEntry
from ratewire import orders
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    actor,
    bring,
    print_json,
    run,
    secret_value,
    warn,
)
from ratewire.orders import Which
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount

#: How often it is looked how much of an import the store has.
LOOK_S = 0.5

_BRINGING = "bringing to the store"

PasswordOption = Annotated[str | None, typer.Option(help="@FILE, - (standard input). Kept sealed.")]
KindOption = Annotated[
    PasswordKind,
    typer.Option(help="clear: PAP, CHAP, MS-CHAPv2; nt: PAP, MS-CHAPv2; argon2id: PAP alone."),
]
LimitOption = Annotated[int | None, typer.Option(help="Sessions at the same time; none: any.")]
WhenFullOption = Annotated[WhenFull, typer.Option(help="What a login beyond that does.")]
StationOption = Annotated[
    str | None, typer.Option(help="The only Calling-Station-Id that may log in.")
]
NasOption = Annotated[str | None, typer.Option(help="The only NAS client where it may log in.")]
PoolOption = Annotated[str | None, typer.Option(help="Framed-Pool that it is given.")]
AddressOption = Annotated[str | None, typer.Option(help="Framed-IP-Address that it is given.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    account = typer.Typer(help="Billing accounts: create.", no_args_is_help=True)
    account.command("create")(account_create)
    subscriber = typer.Typer(
        help="Who may use the service: add, set, remove.", no_args_is_help=True
    )
    subscriber.command("add")(subscriber_add)
    subscriber.command("set")(subscriber_set)
    subscriber.command("plan")(subscriber_plan)
    subscriber.command("suspend")(subscriber_suspend)
    subscriber.command("resume")(subscriber_resume)
    subscriber.command("remove")(subscriber_remove)
    bulk = typer.Typer(help="Many at once, from a file: subscribers.", no_args_is_help=True)
    bulk.command("subscribers")(import_subscribers)
    app.add_typer(account, name="account")
    app.add_typer(subscriber, name="subscriber")
    app.add_typer(bulk, name="import")


def account_create(
    account: Annotated[str, typer.Argument(help="Its name: letters, digits and . _ : @ -")],
    currency: Annotated[str, typer.Option(help="ISO 4217, for example EUR.")],
    postpaid: Annotated[
        bool, typer.Option("--postpaid/--prepaid", help="Billed afterwards, or paid before.")
    ] = False,
    credit_limit: Annotated[
        str, typer.Option(help="How far below zero it may go; 'unlimited' for no bound.")
    ] = "0",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an account."""
    limit = None if credit_limit == "unlimited" else parse_amount(credit_limit)
    mode = PaymentMode.POSTPAID if postpaid else PaymentMode.PREPAID

    async def work(system: System) -> BillingAccount:
        async with (await system.pool()).acquire() as conn:
            made = await accounts.create(
                conn, account, currency, mode, credit_limit_micros=limit, now=now()
            )
        await bring(system, account)
        return made

    made = run(config, work)
    if as_json:
        print_json(made)
    else:
        print(f"account {made.account} is open: {made.payment_mode}, {made.currency}")


def subscriber_add(
    username: Annotated[str, typer.Argument(help="Its User-Name, as the NAS sends it.")],
    account: Annotated[str, typer.Option(help="The account that pays.")],
    plan: Annotated[str, typer.Option(help="What it is sold; see `plan list`.")],
    password: PasswordOption = None,
    password_kind: KindOption = PasswordKind.CLEAR,
    session_limit: LimitOption = None,
    when_full: WhenFullOption = WhenFull.REFUSE,
    calling_station: StationOption = None,
    nas: NasOption = None,
    framed_pool: PoolOption = None,
    framed_ip: AddressOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a user name use the service."""
    shared = None if password is None else secret_value(password, "--password")
    bounds = Bounds(session_limit, when_full, calling_station, nas, framed_pool, framed_ip)

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await subscribers.add(
                conn,
                system.keyring,
                username,
                account=account,
                plan=plan,
                password=shared,
                kind=password_kind,
                bounds=bounds,
                now=now(),
            )
        await bring(system, account)

    run(config, work)
    if as_json:
        print_json({"username": username, "account": account, "plan": plan})
    else:
        print(f"subscriber {username} is on plan {plan}, account {account} pays")


def subscriber_set(
    username: Annotated[str, typer.Argument(help="Its User-Name.")],
    password: PasswordOption = None,
    password_kind: KindOption = PasswordKind.CLEAR,
    session_limit: LimitOption = None,
    when_full: WhenFullOption = WhenFull.REFUSE,
    calling_station: StationOption = None,
    nas: NasOption = None,
    framed_pool: PoolOption = None,
    framed_ip: AddressOption = None,
    keep_bounds: Annotated[
        bool, typer.Option("--keep-bounds", help="Change the password alone.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a subscriber's password, and all bounds of its logins anew."""
    shared = None if password is None else secret_value(password, "--password")
    bounds = Bounds(session_limit, when_full, calling_station, nas, framed_pool, framed_ip)

    async def work(system: System) -> SubscriberEntry:
        async with (await system.pool()).acquire() as conn:
            entry = await subscribers.change_login(
                conn,
                system.keyring,
                username,
                password=shared,
                kind=password_kind,
                bounds=None if keep_bounds else bounds,
                now=now(),
            )
        await bring(system, entry.account)
        return entry

    entry = run(config, work)
    if as_json:
        print_json(entry)
    else:
        print(f"subscriber {username} is changed")


def subscriber_plan(
    username: Annotated[str, typer.Argument(help="Its User-Name.")],
    plan: Annotated[str, typer.Argument(help="The plan's name.")],
    live: Annotated[
        bool, typer.Option("--live", help="Sessions that run take it at once, too.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a subscriber on another plan: its next session begins under it."""

    async def work(system: System) -> list[str]:
        async with (await system.pool()).acquire() as conn:
            entry = await subscribers.change_plan(conn, username, plan, now=now())
        await bring(system, entry.account)
        if not live or not await orders.chosen(system, Which(user=username)):
            return []
        return await orders.change(system, Which(user=username), Action.PLAN)

    _told(run(config, work), f"subscriber {username} is on plan {plan}", as_json=as_json)


def subscriber_suspend(
    username: Annotated[str, typer.Argument(help="Its User-Name.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a subscriber log in no more, and cut its sessions (or redirect, as its plan says)."""

    async def work(system: System) -> list[str]:
        async with (await system.pool()).acquire() as conn:
            entry = await subscribers.set_suspended(conn, username, suspended=True, now=now())
        await bring(system, entry.account)
        return await orders.suspend_subscriber(system, username)

    _told(run(config, work), f"subscriber {username} is suspended", as_json=as_json)


def subscriber_resume(
    username: Annotated[str, typer.Argument(help="Its User-Name.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a suspended subscriber log in again, and out of the walled garden."""

    async def work(system: System) -> list[str]:
        async with (await system.pool()).acquire() as conn:
            entry = await subscribers.set_suspended(conn, username, suspended=False, now=now())
        await bring(system, entry.account)
        return await orders.resume_subscriber(system, username)

    _told(run(config, work), f"subscriber {username} runs again", as_json=as_json)


def _told(sessions: list[str], done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"sessions": sessions})
    else:
        print(f"{done}; running sessions that it concerns: {len(sessions)}")


def subscriber_remove(username: str, config: ConfigOption = None) -> None:
    """Let a user name use the service no more.

    Its running sessions go on until they end.
    """

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            entry = await subscribers.get(conn, username)
            await subscribers.remove(conn, username, now=now())
        await bring(system, entry.account)

    run(config, work)
    print(f"subscriber {username} is removed")


def import_subscribers(
    file: Annotated[
        Path, typer.Argument(help="CSV: username,account,plan,currency,topup and maybe password.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import subscribers with accounts and top-ups.

    All of the file or, with any fault, nothing.
    """
    bars = _Bars()

    async def work(system: System) -> Imported:
        with bars:
            try:
                async with (await system.pool()).acquire() as conn:
                    imported = await import_file(
                        conn, system.keyring, file, actor=actor(), now=now(), progress=bars.show
                    )
            except asyncio.CancelledError:
                warn("nothing was imported")
                raise
            try:
                await _bring_all(system, imported, bars.show)
            except asyncio.CancelledError:
                warn("all is imported; what has not reached the store yet, 'ratewire serve' brings")
                raise
            return imported

    imported = run(config, work)
    if as_json:
        print_json(imported)
        return
    sums = ", ".join(
        f"{currency} {format_micros(micros, currency)}"
        for currency, micros in imported.topup_micros.items()
    )
    print(
        f"imported {imported.subscribers:,} subscribers, {imported.accounts_created:,} new"
        f" accounts, {imported.topups:,} top-ups ({sums or 'none'})"
    )


class _Bars:
    """A progress bar for each stage, on standard error if that is a terminal."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description:21}"),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, of: int) -> None:
        """Show how much of a stage is done."""
        if stage not in self._stages:
            self._stages[stage] = self._progress.add_task(stage)
        self._progress.update(self._stages[stage], completed=done, total=of or done)


async def _bring_all(
    system: System, imported: Imported, progress: Callable[[str, int, int], None]
) -> None:
    """Bring an import to the store, and show how far it is."""
    movements = imported.accounts_created + imported.subscribers + imported.topups

    async def look() -> None:
        async with (await system.pool()).acquire() as conn:
            while True:
                left = min((await waiting(conn)).movements, movements)
                progress(_BRINGING, movements - left, movements)
                await asyncio.sleep(LOOK_S)

    looking = asyncio.create_task(look())
    try:
        if await bring(system):
            progress(_BRINGING, movements, movements)
    finally:
        looking.cancel()
        # It is only for show: that it failed is no matter.
        await asyncio.gather(looking, return_exceptions=True)
