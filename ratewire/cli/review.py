"""rerate, write-off: what becomes of sessions that could not be rated."""

from typing import Annotated

import typer

from billing.review import resolving
from billing.review.listings import UnratedSession
from ratewire.cli.running import ConfigOption, JsonOption, actor, print_json, printable, run
from ratewire.rerating import Rerated, rerate_all
from ratewire.wiring import System, now
from rating.money import format_micros


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rerate)
    app.command("write-off")(write_off)


def rerate(
    user: Annotated[str, typer.Argument(help="The user name, as `unrated` shows it.")],
    limit: Annotated[int, typer.Option(min=1, help="Most sessions, the newest ones.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Charge a user's unrated sessions, once the subscriber is there.

    Each in full, by the plan it has now, and once however often this is done. Exit status 1 if one
    still cannot be rated.
    """

    async def work(system: System) -> list[Rerated]:
        async with (await system.pool()).acquire() as conn:
            return await rerate_all(system, conn, user, limit=limit, actor=actor(), now=now())

    done = run(config, work)
    if as_json:
        print_json(done)
    else:
        for each in done:
            print(printable(f"{each.nas} {each.acct_session_id}: {_outcome(each)}"))
        if not done:
            print(printable(f"{user} has no unrated session"))
    if any(each.refusal is not None for each in done):
        raise typer.Exit(1)


def _outcome(rerated: Rerated) -> str:
    if rerated.refusal is not None:
        return rerated.refusal
    if rerated.total_micros is None or rerated.currency is None:
        return "nothing is left to be charged"
    charged = format_micros(rerated.total_micros, rerated.currency)
    return f"charged {charged} {rerated.currency} in all to {rerated.account}"


def write_off(
    nas: Annotated[str, typer.Argument(help="The NAS, as `unrated` shows it.")],
    acct_session_id: Annotated[str, typer.Argument(help="The Acct-Session-Id.")],
    user: Annotated[str, typer.Argument(help="The user name; '' for none.")],
    reason: Annotated[str, typer.Option(help="Why nobody is to pay; it is kept.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Charge an unrated session to nobody, for a reason that is kept."""

    async def work(system: System) -> UnratedSession:
        async with (await system.pool()).acquire() as conn:
            return await resolving.write_off(
                conn, nas, acct_session_id, user, reason=reason, actor=actor(), now=now()
            )

    gone = run(config, work, store=False)
    if as_json:
        print_json(gone)
    else:
        print(
            printable(
                f"{gone.nas} {gone.acct_session_id} of {gone.username!r} is written off:"
                f" {gone.seconds} s, {gone.octets_in} octets in, {gone.octets_out} out"
            )
        )
