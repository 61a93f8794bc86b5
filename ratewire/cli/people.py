"""account, subscriber, import: who is served."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from billing.accounts import register as accounts
from billing.accounts.account import BillingAccount, PaymentMode
from billing.subscribers import register as subscribers
from billing.subscribers.bulk_import import Imported, import_file
from ratewire.cli.faults import Refused
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    actor,
    print_json,
    run,
    secret_value,
)
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount


def register(app: typer.Typer) -> None:
    """Add the commands."""
    account = typer.Typer(help="Billing accounts.", no_args_is_help=True)
    account.command("create")(account_create)
    subscriber = typer.Typer(help="Who may use the service.", no_args_is_help=True)
    subscriber.command("add")(subscriber_add)
    subscriber.command("remove")(subscriber_remove)
    bulk = typer.Typer(help="Many at once.", no_args_is_help=True)
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
        await (await system.relay()).drain([account])
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
    password: Annotated[
        str | None, typer.Option(help="@FILE, - (standard input). Kept sealed.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a user name use the service."""
    sealed = None if password is None else secret_value(password, "--password")

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await subscribers.add(
                conn,
                system.keyring,
                username,
                account=account,
                plan=plan,
                password=sealed,
                now=now(),
            )
        await (await system.relay()).drain([account])

    run(config, work)
    if as_json:
        print_json({"username": username, "account": account, "plan": plan})
    else:
        print(f"subscriber {username} is on plan {plan}, account {account} pays")


def subscriber_remove(username: str, config: ConfigOption = None) -> None:
    """Let a user name use the service no more; its running sessions end as they end."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            entry = await subscribers.get(conn, username)
            await subscribers.remove(conn, username, now=now())
        await (await system.relay()).drain([entry.account])

    run(config, work)
    print(f"subscriber {username} is removed")


def import_subscribers(
    file: Annotated[
        Path, typer.Argument(help="CSV: username,account,plan,currency,topup and maybe password.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import subscribers with accounts and top-ups: all of the file or, with any fault, none."""
    if not file.is_file():
        raise Refused(f"{file}: there is no such file")
    console = Console(file=sys.stderr)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    async def work(system: System) -> Imported:
        with bar:
            tasks: dict[str, TaskID] = {}

            def progress(stage: str, done: int, of: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage, total=of)
                bar.update(tasks[stage], completed=done, total=of)

            async with (await system.pool()).acquire() as conn:
                imported = await import_file(
                    conn, system.keyring, file, actor=actor(), now=now(), progress=progress
                )
            await (await system.relay()).drain()
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
