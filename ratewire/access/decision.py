"""What follows from a login that is who it says, and what its session may have. Pure."""

import enum

import msgspec

from balances.messages import Account
from billing.subscribers.login import Bounds, LoginTerms
from radius.access import Login, mac_of
from radius.profiles import Profile
from ratewire.access.limits import Volume, seconds_for, volume_for, wanted
from rating.plan import Plan
from rating.reservation import Cost


class Rules(msgspec.Struct, frozen=True):
    """What the operator sets for all logins (seconds)."""

    interim: int = 300
    grant: int = 120
    uncut: int = 3600
    garden: int = 600


class Refusal(enum.StrEnum):
    """Why a login is refused; what the subscriber is told is in `MESSAGES`."""

    HELD = "held"
    UNKNOWN_USER = "unknown_user"
    NOT_PROVEN = "not_proven"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    NO_CREDIT = "no_credit"
    NO_PLAN = "no_plan"
    OTHER_STATION = "other_station"
    OTHER_NAS = "other_nas"
    FULL = "full"


#: Reply-Message: nothing that tells a stranger whether a user name exists.
MESSAGES = {
    Refusal.HELD: "User name or password is wrong.",
    Refusal.UNKNOWN_USER: "User name or password is wrong.",
    Refusal.NOT_PROVEN: "User name or password is wrong.",
    Refusal.SUSPENDED: "This account is suspended.",
    Refusal.CLOSED: "This account is closed.",
    Refusal.NO_CREDIT: "There is no credit left.",
    Refusal.NO_PLAN: "This service is not available now.",
    Refusal.OTHER_STATION: "This device is not allowed.",
    Refusal.OTHER_NAS: "This access point is not allowed.",
    Refusal.FULL: "Too many sessions at the same time.",
}


class Promise(msgspec.Struct, frozen=True):
    """What a login is given if the store grants it: `grant_micros` of the `want_micros` asked for.

    `seconds` and `volume` are what the NAS is told as the session's limits.
    """

    want_micros: int
    grant_micros: int
    seconds: int | None
    volume: Volume


def refusal_of(
    login: Login, account: Account, plan: Plan | None, terms: LoginTerms
) -> Refusal | None:
    """Return why a login that is proven is refused before any money is looked at."""
    bounds = terms.bounds
    if bounds.nas is not None and bounds.nas != login.client:
        return Refusal.OTHER_NAS
    if bounds.calling_station is not None and not _same(bounds.calling_station, login.station):
        return Refusal.OTHER_STATION
    if account.closed:
        return Refusal.CLOSED
    if account.suspended or terms.suspended:
        return Refusal.SUSPENDED
    if plan is None or plan.tariff.currency != account.currency:
        return Refusal.NO_PLAN
    return None


def promise_of(
    plan: Plan, cost: Cost, available: int | None, profile: Profile, rules: Rules
) -> Promise | Refusal:
    """Return what a session under a plan may have; `available` is None for unlimited credit.

    `cost` is what its usage would be charged. What allowances pay needs no credit.

    A session that we can cut reserves its first slice, and its limits are all that there is: the
    NAS's own count is the second line of defence, for when we cannot be reached. One that we cannot
    cut reserves for as long as it is let run on its own.
    """
    horizon = rules.interim * 5 // 4 if profile.can_cut else rules.uncut
    want = wanted(plan, cost, horizon)
    longest = plan.access.session_seconds or None
    if not profile.can_cut:
        longest = min(horizon, longest or horizon)
    if available is None:
        return Promise(want, want, longest, Volume())
    if want and (available <= 0 or available < plan.minimum_credit_micros):
        return Refusal.NO_CREDIT
    grant = min(want, max(available, 0))
    reach = available if profile.can_cut else grant
    seconds = _least(seconds_for(cost, reach), longest)
    if seconds == 0:
        return Refusal.NO_CREDIT
    volume = Volume()
    if profile.quota.volume and profile.quota.in_accept:
        volume = volume_for(cost, reach, horizon)
    return Promise(want, grant, seconds, volume)


def takes_in(refusal: Refusal, plan: Plan | None, profile: Profile) -> bool:
    """Return whether a refused login is put into the plan's walled garden."""
    if plan is None or not plan.access.garden or not profile.garden.attributes:
        return False
    suspended = refusal is Refusal.SUSPENDED and plan.access.garden_suspended
    return suspended or refusal is Refusal.NO_CREDIT


def session_limit(bounds: Bounds, plan: Plan) -> int:
    """Return how many sessions a subscriber may have at the same time; 0: any number."""
    return bounds.session_limit or plan.access.session_limit


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _same(bound: str, station: str) -> bool:
    """Whether two Calling-Station-Ids are the same, however a MAC address is written."""
    mac = mac_of(bound)
    return bound == station or (mac is not None and mac == mac_of(station))
