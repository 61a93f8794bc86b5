"""What operators order for sessions that run: cut them, change them, give them their plan anew."""

from collections.abc import AsyncIterator

import msgspec

from balances.jobs import Action, Change
from balances.keys import parts_of
from balances.messages import DueSession, Lookup, decode_state
from billing.errors import InvalidInput, NotFound
from ratewire.enforcement.changes import SpeedError, speed_of
from ratewire.observer import Silent
from ratewire.pipeline.raters import PlanReader, Raters
from ratewire.sweeper import Sweeper
from ratewire.wiring import System, now_ms

#: A walled garden's name goes into an attribute.
_MOST_OCTETS = 64


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which open sessions: all that fit what is given, of which something must be.

    `session` is its uid in hex, or how that begins; `nas` a NAS client's name or the scope key that
    sessions show; `plan` the plan that they run on.
    """

    session: str | None = None
    user: str | None = None
    account: str | None = None
    nas: str | None = None
    plan: str | None = None


async def chosen(system: System, which: Which) -> list[DueSession]:
    """Return the open sessions that fit. Raises InvalidInput if nothing is asked for."""
    if which == Which():
        raise InvalidInput("which sessions: allowed are session, user, account, nas and plan")
    return [each async for each in _walk(system, which) if _fits(each, which)]


async def disconnect(system: System, which: Which) -> list[str]:
    """Have sessions cut, each until it is proven; return their uids.

    Raises InvalidInput, or NotFound if none is open.
    """
    found = await _some(system, which)
    asked = [(each, await system.housekeeping.request_disconnect(each.session)) for each in found]
    return [each.stored.uid.hex() for each, uid in asked if uid is not None]


async def change(system: System, which: Which, action: Action, wanted: str = "") -> list[str]:
    """Have sessions changed on their NASes; return their uids.

    `plan` first gives each session the newest version of its subscriber's plan, from now on. Raises
    InvalidInput, or NotFound if no session is open.
    """
    check_change(action, wanted)
    found = await _some(system, which)
    sweeper = _sweeper(system)
    uids: list[str] = []
    for each in found:
        uid = each.stored.uid
        if action is Action.PLAN:
            uid = await sweeper.replan(each.session, uid)
            if uid is None:
                continue
        if await system.housekeeping.request_change(each.session, Change(action, wanted)):
            uids.append(uid.hex())
    return uids


async def suspend_subscriber(system: System, username: str) -> list[str]:
    """Have the running sessions of a suspended subscriber cut; return the uids of all.

    Where the plan has who is suspended in a walled garden, they are put there; whose NAS cannot do
    that is cut all the same.
    """
    plans = PlanReader(system.store)
    uids: list[str] = []
    for each in await chosen(system, Which(user=username)):
        state = decode_state(each.stored.state)
        revision = await system.store.revision("plans")
        plan = (await plans.at(revision)).version(state.plan, state.plan_version)
        if plan is not None and plan.access.garden_suspended:
            redirect = Change(Action.REDIRECT, plan.access.garden, "suspended")
            await system.housekeeping.request_change(each.session, redirect)
        else:
            await system.housekeeping.request_disconnect(each.session)
        uids.append(each.stored.uid.hex())
    return uids


async def resume_subscriber(system: System, username: str) -> list[str]:
    """Have the running sessions of a subscriber that is suspended no more let out; return them."""
    found = await chosen(system, Which(user=username))
    for each in found:
        await system.housekeeping.request_change(each.session, Change(Action.RESTORE))
    return [each.stored.uid.hex() for each in found]


def check_change(action: Action, wanted: str) -> None:
    """Raises InvalidInput for what is no change, or has not the argument that it needs."""
    match action:
        case Action.THROTTLE:
            try:
                speed_of(wanted)
            except SpeedError as error:
                raise InvalidInput(str(error)) from error
        case Action.REDIRECT:
            if not (wanted.isprintable() and 1 <= len(wanted.encode()) <= _MOST_OCTETS):
                raise InvalidInput(
                    f"walled garden {wanted!r}: allowed are 1 to {_MOST_OCTETS} printable octets"
                )
        case Action.CUT:
            raise InvalidInput("a cut is no change: disconnect the session")
        case _:
            if wanted:
                raise InvalidInput(f"{action} takes no argument, and not {wanted!r}")


async def _some(system: System, which: Which) -> list[DueSession]:
    found = await chosen(system, which)
    if not found:
        given = msgspec.structs.asdict(which).items()
        asked = ", ".join(f"{name} {value}" for name, value in given if value is not None)
        raise NotFound(f"no session of {asked} is open")
    return found


async def _walk(system: System, which: Which) -> AsyncIterator[DueSession]:
    account = which.account
    if account is None and which.user is not None:
        [found] = (await system.store.read([Lookup("", "", which.user)])).found
        account = None if found.subscriber is None else found.subscriber.account
    walk = system.listing.open_sessions() if account is None else system.listing.of_account(account)
    async for each in walk:
        yield each


def _fits(each: DueSession, which: Which) -> bool:
    stored = each.stored
    nas, _ = parts_of(each.session)
    if which.session is not None and not stored.uid.hex().startswith(which.session.lower()):
        return False
    if which.account is not None and stored.account != which.account:
        return False
    if which.nas is not None and which.nas not in (nas, nas.partition("/")[0]):
        return False
    if which.user is None and which.plan is None:
        return True
    try:
        state = decode_state(stored.state)
    except msgspec.DecodeError:
        return False
    return which.user in (None, state.username) and which.plan in (None, state.plan)


def _sweeper(system: System) -> Sweeper:
    raters = Raters(system.store, system.terms, clock_ms=now_ms, wraps_32=lambda _: False)
    return Sweeper(system.store, system.housekeeping, raters, Silent(), clock_ms=now_ms)
