"""Sessions, enforcement and NASes over HTTP."""

from datetime import datetime

import msgspec

from balances.jobs import Action
from billing.errors import Conflict, NotFound
from billing.nas import register as nas
from ratewire import orders
from ratewire.http.endpoint import ADMIN, READERS, SERVICE, Call, Nothing, endpoint
from ratewire.orders import Which
from ratewire.views.jobs import JobView, job_views
from ratewire.views.sessions import SessionView, session_views

#: What of a live listing is given at once.
LISTED = 1000


class Sessions(msgspec.Struct, frozen=True):
    """Open sessions, the latest reports first."""

    data: list[SessionView]


class SessionsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose sessions."""

    user: str | None = None


class Jobs(msgspec.Struct, frozen=True):
    """Live enforcement jobs, soonest first."""

    data: list[JobView]


class NasRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A NAS. `source` is the address or network that it sends from."""

    name: str
    source: str
    secret: str
    vendor: str = "generic"
    coa_host: str | None = None
    coa_port: int | None = None


class NasView(msgspec.Struct, frozen=True):
    """A NAS, without its secret."""

    name: str
    source: str
    vendor: str
    coa_host: str | None
    coa_port: int | None
    created_at: datetime


class NasList(msgspec.Struct, frozen=True):
    """NASes by name."""

    data: list[NasView]


class Cut(msgspec.Struct, frozen=True):
    """A session that is to be cut."""

    session: str


async def sessions(call: Call[SessionsQuery, Nothing]) -> Sessions:
    """List open sessions."""
    return Sessions(await session_views(call.system, user=call.query.user, limit=LISTED))


async def jobs(call: Call[Nothing, Nothing]) -> Jobs:
    """List live enforcement jobs."""
    return Jobs(await job_views(call.system, limit=LISTED))


async def disconnect(call: Call[Nothing, Nothing]) -> Cut:
    """Have a session cut, until a Stop or silence proves it."""
    wanted = call.path["session"].lower()
    async for each in call.system.listing.open_sessions():
        if each.stored.uid.hex() == wanted:
            if await call.system.housekeeping.request_disconnect(each.session) is None:
                raise Conflict(f"session {wanted} has just ended")
            return Cut(wanted)
    raise NotFound(f"session {wanted} is not open")


class ChangeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of running sessions, and of which: all that fit what is given.

    `wanted` is the speed of a throttle as "<down>/<up>" in kbit/s, or the name of the walled garden
    of a redirect.
    """

    action: Action
    wanted: str = ""
    session: str | None = None
    user: str | None = None
    account: str | None = None
    nas: str | None = None
    plan: str | None = None


class Ordered(msgspec.Struct, frozen=True):
    """The sessions that it is asked for, each as a durable job."""

    sessions: list[str]


async def disconnect_all(call: Call[Nothing, Which]) -> Ordered:
    """Have all sessions that fit cut."""
    return Ordered(await orders.disconnect(call.system, call.body))


async def change(call: Call[Nothing, ChangeRequest]) -> Ordered:
    """Have all sessions that fit changed."""
    asked = call.body
    which = Which(asked.session, asked.user, asked.account, asked.nas, asked.plan)
    return Ordered(await orders.change(call.system, which, asked.action, asked.wanted))


async def list_nas(call: Call[Nothing, Nothing]) -> NasList:
    """List NASes."""
    return NasList([_view(each) for each in await nas.list_(call.conn)])


async def add_nas(call: Call[Nothing, NasRequest]) -> NasView:
    """Add a NAS; listeners heed it at once."""
    new = call.body
    return _view(
        await nas.add(
            call.conn,
            call.system.keyring,
            new.name,
            source=new.source,
            secret=new.secret.encode(),
            vendor=new.vendor,
            coa_host=new.coa_host,
            coa_port=new.coa_port,
            now=call.now,
        )
    )


async def remove_nas(call: Call[Nothing, Nothing]) -> None:
    """Remove a NAS: nothing it sends is listened to any more."""
    await nas.remove(call.conn, call.path["nas"])


def _view(entry: nas.NasEntry) -> NasView:
    return NasView(
        entry.name, entry.source, entry.vendor, entry.coa_host, entry.coa_port, entry.created_at
    )


ENDPOINTS = (
    endpoint(
        "GET",
        "sessions",
        "List open sessions, live",
        sessions,
        roles=READERS,
        query=SessionsQuery,
        answer=Sessions,
    ),
    endpoint(
        "POST",
        "sessions/{session}/disconnect",
        "Have a session cut on its NAS",
        disconnect,
        roles=SERVICE,
        answer=Cut,
        status=202,
    ),
    endpoint(
        "POST",
        "sessions/disconnect",
        "Have all sessions of a user, an account, a NAS or a plan cut",
        disconnect_all,
        roles=SERVICE,
        body=Which,
        answer=Ordered,
        status=202,
    ),
    endpoint(
        "POST",
        "sessions/change",
        "Have running sessions changed on their NASes",
        change,
        roles=SERVICE,
        body=ChangeRequest,
        answer=Ordered,
        status=202,
    ),
    endpoint(
        "GET", "enforcement-jobs", "List live enforcement jobs", jobs, roles=READERS, answer=Jobs
    ),
    endpoint("GET", "nas", "List NASes", list_nas, roles=READERS, answer=NasList),
    endpoint(
        "POST",
        "nas",
        "Add a NAS",
        add_nas,
        roles=ADMIN,
        body=NasRequest,
        answer=NasView,
        status=201,
    ),
    endpoint(
        "DELETE", "nas/{nas}", "Remove a NAS", remove_nas, roles=ADMIN, answer=None, status=204
    ),
)
