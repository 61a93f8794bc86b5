"""sessions, session, jobs: what runs, and what is to end or to change."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from balances.jobs import Action
from billing.database import DatabaseUnavailable
from billing.review.listings import enforcement
from ratewire import orders
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    moment,
    print_json,
    print_table,
    run,
    warn,
)
from ratewire.orders import Which
from ratewire.views.events import EventView, event_view
from ratewire.views.jobs import JobView, job_views
from ratewire.views.sessions import SessionView, session_views
from ratewire.wiring import System
from rating.money import format_micros

#: More than there can be: what is listed is complete.
ALL = 2**31

#: A session, or so much of its beginning that it is no accident.
_SESSION = re.compile(r"[0-9a-f]{4,32}")


SessionArgument = Annotated[
    str | None, typer.Argument(help="As `sessions` shows it; its beginning will do.")
]
UserOption = Annotated[str | None, typer.Option(help="All sessions of this user name.")]
AccountOption = Annotated[str | None, typer.Option(help="All sessions of this account.")]
NasOption = Annotated[
    str | None, typer.Option(help="All sessions of this NAS: its name, or what `sessions` shows.")
]


class Jobs(msgspec.Struct, frozen=True):
    """The live jobs, and what happened to jobs before, newest first."""

    live: list[JobView]
    events: list[EventView]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    session = typer.Typer(help="Sessions: disconnect, change.", no_args_is_help=True)
    session.command("disconnect")(session_disconnect)
    session.command("change")(session_change)
    app.command()(sessions)
    app.add_typer(session, name="session")
    app.command()(jobs)


def sessions(
    user: Annotated[str | None, typer.Option(help="Of this user name only.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open sessions, live from the store."""

    async def work(system: System) -> list[SessionView]:
        return await session_views(system, user=user, limit=ALL)

    views = run(config, work, database=False)
    if as_json:
        print_json(views)
        return
    print_table(
        f"Open sessions: {len(views)}",
        (
            "session",
            "user",
            "account",
            "plan",
            "NAS",
            "seconds",
            "in",
            "out",
            "charged",
            "reserved",
        ),
        [
            (
                view.session,
                view.user,
                view.account,
                view.plan,
                view.nas,
                view.seconds,
                view.octets_in,
                view.octets_out,
                format_micros(view.charged_micros, view.currency),
                format_micros(view.reserved_micros, view.currency)
                + (" cutting" if view.cutting else ""),
            )
            for view in views
        ],
    )


def session_disconnect(
    session: SessionArgument = None,
    user: UserOption = None,
    account: AccountOption = None,
    nas: NasOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a session cut on its NAS, or all of a user, an account, a NAS.

    Durably: each is tried until a Stop or silence proves it.
    """

    async def work(system: System) -> list[str]:
        which = await _which(system, session, user, account, nas)
        return await orders.disconnect(system, which)

    _ordered(config, work, "disconnected", one=session is not None, as_json=as_json)


def session_change(
    action: Annotated[
        Action, typer.Argument(help="throttle, redirect, restore, quota or plan.", metavar="ACTION")
    ],
    session: SessionArgument = None,
    user: UserOption = None,
    account: AccountOption = None,
    nas: NasOption = None,
    plan: Annotated[str | None, typer.Option(help="All sessions on this plan.")] = None,
    to: Annotated[
        str,
        typer.Option(help="throttle: <down>/<up> in kbit/s; redirect: the walled garden's name."),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have running sessions changed on their NASes, durably.

    throttle and redirect hold until restore. quota tells the NAS the limits of now. plan has the
    session go on under the newest version of its subscriber's plan. Whose NAS cannot change a
    running session is cut, so that the next login brings it; for quota nobody is.
    """

    async def work(system: System) -> list[str]:
        which = await _which(system, session, user, account, nas, plan)
        return await orders.change(system, which, action, to)

    _ordered(config, work, "changed", one=session is not None, as_json=as_json)


async def _which(
    system: System,
    session: str | None,
    user: str | None,
    account: str | None,
    nas: str | None,
    plan: str | None = None,
) -> Which:
    """Which sessions are meant; a beginning of one must be no accident. Raises Refused."""
    if session is not None:
        if not _SESSION.fullmatch(session.lower()):
            raise Refused(
                f"session {session!r}: allowed is what 'ratewire sessions' shows, or at least its"
                " first 4 characters"
            )
        found = await orders.chosen(system, Which(session=session))
        if len(found) != 1:
            raise Refused(
                f"session {session!r} is not open"
                if not found
                else f"session {session!r} is the beginning of {len(found)} sessions: give more"
            )
    which = Which(session, user, account, nas, plan)
    if which == Which():
        raise Refused("which sessions: give one, or --user, --account or --nas")
    return which


def _ordered(
    config: Path | None,
    work: Callable[[System], Awaitable[list[str]]],
    done: str,
    *,
    one: bool,
    as_json: bool,
) -> None:
    uids = run(config, work, database=False)
    if as_json and one and uids:
        print_json({"session": uids[0], "job": "requested"})
    elif as_json:
        print_json({"sessions": uids, "job": "requested"})
    else:
        for uid in uids:
            print(f"session {uid} is going to be {done}; see `ratewire jobs`")


def jobs(
    limit: Annotated[int, typer.Option(min=1, help="Most events to show.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List enforcement jobs, and what happened to any."""

    async def work(system: System) -> Jobs:
        live = await job_views(system, limit=ALL)
        try:
            pool = await system.pool()
        except DatabaseUnavailable as error:
            warn(f"events are not shown: {error}")
            return Jobs(live, [])
        async with pool.acquire() as conn:
            events = await enforcement(conn, limit=limit)
        return Jobs(live, [event_view(event) for event in events])

    found = run(config, work, database=False)
    if as_json:
        print_json(found)
        return
    print_table(
        f"Live jobs: {len(found.live)}",
        ("session", "account", "NAS", "action", "cause", "state", "sent", "due (UTC)", "result"),
        [
            (
                job.session,
                job.account,
                job.nas,
                f"{job.action} {job.wanted}".rstrip(),
                job.cause,
                job.state,
                job.transmissions,
                moment(job.due_at),
                job.result,
            )
            for job in found.live
        ],
    )
    print_table(
        f"Events, the newest {limit} at most",
        ("at (UTC)", "session", "account", "NAS", "action", "cause", "event", "sent", "result"),
        [
            (
                moment(event.at),
                event.session,
                event.account,
                event.nas,
                event.action,
                event.cause,
                event.event,
                event.transmissions,
                event.result,
            )
            for event in found.events
        ],
    )
