"""What a running session may still use, in the attributes of its NAS's vendor. Pure."""

import msgspec

from balances.messages import Account, SessionState
from radius.encoding import Attribute, encode
from radius.profiles import Profile
from ratewire.access.answer import quota_attributes
from ratewire.access.limits import Volume, seconds_for, volume_for
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.sharing import is_needed, sharing_of
from rating.plan import Plan
from rating.reservation import Cost, cost_of, slice_seconds

#: What 32 bits can say.
_MOST = 2**32 - 1


class Remaining(msgspec.Struct, frozen=True):
    """What a session may still use after its last report; None: without a limit."""

    seconds: int | None
    volume: Volume


def remaining(plan: Plan, state: SessionState, account: Account, held: int) -> Remaining | None:
    """Return what a session may still use of all its account has; `held` is its reservation.

    None if it cannot be told now: what its account shares is not understood here.
    """
    longest = None
    if plan.access.session_seconds:
        longest = max(plan.access.session_seconds - state.meter.marks.seconds, 0)
    if account.available is None:
        return Remaining(longest, Volume())
    cost = _cost(plan, state, account)
    if cost is None:
        return None
    reach = max(account.available + held, 0)
    seconds = seconds_for(cost, reach)
    if longest is not None:
        seconds = longest if seconds is None else min(seconds, longest)
    return Remaining(seconds, volume_for(cost, reach, slice_seconds(state.pace)))


def limit_attributes(
    profile: Profile, state: SessionState, left: Remaining, now_ms: int, *, volume: bool
) -> list[Attribute]:
    """Return what tells a NAS the limits of a running session, as its profile counts them.

    `volume` tells whether octets can be told where this goes, as time can.
    """
    marks = state.meter.marks
    attributes: list[Attribute] = []
    if profile.time.attribute and left.seconds is not None:
        silent = max(now_ms - state.reported_ms, 0) // 1000
        match profile.time.coa:
            case "from_start":
                seconds = marks.seconds + left.seconds
                attributes.append(encode(profile.time.attribute, min(max(seconds, 1), _MOST)))
            case "from_now":
                seconds = left.seconds - silent
                attributes.append(encode(profile.time.attribute, min(max(seconds, 1), _MOST)))
            case "ignored":
                pass
    if not volume:
        return attributes
    limits = left.volume
    if profile.quota.counts == "from_start":
        limits = Volume(
            _plus(limits.octets_in, marks.octets_in),
            _plus(limits.octets_out, marks.octets_out),
            _plus(limits.octets_total, marks.octets_in + marks.octets_out),
        )
    return attributes + quota_attributes(profile, limits)


def _cost(plan: Plan, state: SessionState, account: Account) -> Cost | None:
    if not is_needed(plan, account, state.tally):
        return cost_of(plan, state.meter)
    sharing = sharing_of(
        plan,
        account,
        Credit(),
        username=state.username,
        service="" if state.tally is None else state.tally.service,
        tally=state.tally,
    )
    return None if isinstance(sharing, str) else cost_of(plan, state.meter, sharing)


def _plus(limit: int | None, used: int) -> int | None:
    return None if limit is None else limit + used
