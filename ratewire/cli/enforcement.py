"""sessions, session disconnect, jobs: what runs, and what is to end."""

import re
from typing import Annotated

import msgspec
import typer

from billing.database import DatabaseUnavailable
from billing.review.listings import enforcement
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
from ratewire.views.events import EventView, event_view
from ratewire.views.jobs import JobView, job_views
from ratewire.views.sessions import SessionView, session_views
from ratewire.wiring import System
from rating.money import format_micros

#: More than there can be: what is listed is complete.
ALL = 2**31

#: A session, or so much of its beginning that it is no accident.
_SESSION = re.compile(r"[0-9a-f]{4,32}")


class Jobs(msgspec.Struct, frozen=True):
    """The live jobs, and what happened to jobs before, newest first."""

    live: list[JobView]
    events: list[EventView]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    session = typer.Typer(help="One session: disconnect.", no_args_is_help=True)
    session.command("disconnect")(session_disconnect)
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
    session: Annotated[str, typer.Argument(help="As `sessions` shows it; its beginning will do.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a session cut on its NAS.

    Durably: it is tried until a Stop or silence proves it.
    """
    beginning = session.lower()
    if not _SESSION.fullmatch(beginning):
        raise Refused(
            f"session {session!r}: allowed is what 'ratewire sessions' shows, or at least its"
            " first 4 characters"
        )

    async def work(system: System) -> str:
        found = [
            each
            async for each in system.listing.open_sessions()
            if each.stored.uid.hex().startswith(beginning)
        ]
        if len(found) != 1:
            raise Refused(
                f"session {session!r} is not open"
                if not found
                else f"session {session!r} is the beginning of {len(found)} sessions: give more"
            )
        uid = await system.housekeeping.request_disconnect(found[0].session)
        if uid is None:
            raise Refused(f"session {session!r} has just ended")
        return uid

    uid = run(config, work, database=False)
    if as_json:
        print_json({"session": uid, "job": "requested"})
    else:
        print(f"session {uid} is going to be disconnected; see `ratewire jobs`")


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
