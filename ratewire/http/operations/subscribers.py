"""Subscribers and plans over HTTP."""

from datetime import datetime

import msgspec

from billing.catalogue import plans
from billing.subscribers import register
from billing.subscribers.subscriber import SubscriberEntry
from ratewire import orders
from ratewire.http.endpoint import READERS, SERVICE, Call, Nothing, endpoint
from rating.plan import Plan


class NewSubscriber(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user name that is to be served; `account` pays."""

    username: str
    account: str
    plan: str
    password: str | None = None


class SubscriberView(msgspec.Struct, frozen=True):
    """A user name that is served."""

    username: str
    account: str
    plan: str
    has_password: bool
    created_at: datetime
    suspended: bool


class Subscribers(msgspec.Struct, frozen=True):
    """The subscribers of an account, by user name."""

    data: list[SubscriberView]


class SubscribersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose subscribers."""

    account: str


class Plans(msgspec.Struct, frozen=True):
    """The newest version of each plan, by name; amounts are micros of its currency."""

    data: list[Plan]


async def add(call: Call[Nothing, NewSubscriber]) -> SubscriberView:
    """Add one; it can begin sessions at once."""
    new = call.body
    entry = await register.add(
        call.conn,
        call.system.keyring,
        new.username,
        account=new.account,
        plan=new.plan,
        password=None if new.password is None else new.password.encode(),
        now=call.now,
    )
    return _view(entry)


async def list_(call: Call[SubscribersQuery, Nothing]) -> Subscribers:
    """List those of an account."""
    found = await register.list_of(call.conn, call.query.account)
    return Subscribers([_view(each) for each in found])


async def get(call: Call[Nothing, Nothing]) -> SubscriberView:
    """Read one."""
    return _view(await register.get(call.conn, call.path["username"]))


async def remove(call: Call[Nothing, Nothing]) -> None:
    """Remove one; its sessions that run are charged until they end."""
    await register.remove(call.conn, call.path["username"], now=call.now)


class PlanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plan that a subscriber is to be on. Sessions that run take it by `sessions/change`."""

    plan: str


async def change_plan(call: Call[Nothing, PlanRequest]) -> SubscriberView:
    """Put one on another plan: its next session begins under it."""
    entry = await register.change_plan(
        call.conn, call.path["username"], call.body.plan, now=call.now
    )
    return _view(entry)


async def suspend(call: Call[Nothing, Nothing]) -> SubscriberView:
    """Suspend one: it logs in no more; its sessions are cut, or redirected as its plan says."""
    username = call.path["username"]
    entry = await register.set_suspended(call.conn, username, suspended=True, now=call.now)
    await orders.suspend_subscriber(call.system, username)
    return _view(entry)


async def resume(call: Call[Nothing, Nothing]) -> SubscriberView:
    """Let a suspended one log in again, and out of the walled garden."""
    username = call.path["username"]
    entry = await register.set_suspended(call.conn, username, suspended=False, now=call.now)
    await orders.resume_subscriber(call.system, username)
    return _view(entry)


async def list_plans(call: Call[Nothing, Nothing]) -> Plans:
    """List plans."""
    return Plans(await plans.list_(call.conn))


def _view(entry: SubscriberEntry) -> SubscriberView:
    return SubscriberView(
        entry.username,
        entry.account,
        entry.plan,
        entry.has_password,
        entry.created_at,
        entry.suspended,
    )


ENDPOINTS = (
    endpoint(
        "PUT",
        "subscribers/{username}/plan",
        "Put a subscriber on another plan",
        change_plan,
        roles=SERVICE,
        body=PlanRequest,
        answer=SubscriberView,
    ),
    endpoint(
        "POST",
        "subscribers/{username}/suspend",
        "Suspend a subscriber",
        suspend,
        roles=SERVICE,
        answer=SubscriberView,
    ),
    endpoint(
        "POST",
        "subscribers/{username}/resume",
        "Resume a suspended subscriber",
        resume,
        roles=SERVICE,
        answer=SubscriberView,
    ),
    endpoint(
        "POST",
        "subscribers",
        "Add a subscriber",
        add,
        roles=SERVICE,
        body=NewSubscriber,
        answer=SubscriberView,
        status=201,
    ),
    endpoint(
        "GET",
        "subscribers",
        "List the subscribers of an account",
        list_,
        roles=READERS,
        query=SubscribersQuery,
        answer=Subscribers,
    ),
    endpoint(
        "GET",
        "subscribers/{username}",
        "Read a subscriber",
        get,
        roles=READERS,
        answer=SubscriberView,
    ),
    endpoint(
        "DELETE",
        "subscribers/{username}",
        "Remove a subscriber",
        remove,
        roles=SERVICE,
        answer=None,
        status=204,
    ),
    endpoint("GET", "plans", "List plans", list_plans, roles=READERS, answer=Plans),
)
