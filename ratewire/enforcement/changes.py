"""What a change of a running session is to its NAS: the attributes of a CoA-Request. Pure.

A vendor profile says what the NAS can change while a session runs. Where it cannot, the session is
cut, so that its next login gets what is to hold; but for limits alone nobody is cut: the NAS ends
the session at its old ones, and the next login brings the new.
"""

import msgspec

from balances.jobs import Action
from balances.messages import ClaimedJob
from radius.encoding import Attribute, Line
from radius.profiles import Profile
from ratewire.access.answer import rate_attributes
from rating.access import Access


class Cannot(msgspec.Struct, frozen=True):
    """The NAS cannot change this while the session runs; `why` is for staff."""

    why: str


class SpeedError(ValueError):
    """A speed that is none."""


def speed_of(wanted: str) -> tuple[int, int]:
    """Return the kbit/s to and from the user of "<down>/<up>". Raises SpeedError."""
    down, slash, up = wanted.partition("/")
    if not (slash and down.isascii() and up.isascii() and down.isdigit() and up.isdigit()):
        raise SpeedError(f"{wanted!r}: allowed is a speed as <down>/<up> in kbit/s, as 2000/500")
    found = int(down), int(up)
    if not all(1 <= each < 2**32 for each in found):
        raise SpeedError(f"{wanted!r}: allowed are speeds of 1 to {2**32 - 1} kbit/s")
    return found


def attributes_for(
    job: ClaimedJob,
    profile: Profile,
    access: Access,
    limits: list[Attribute],
    *,
    began_in_garden: bool,
) -> list[Attribute] | Cannot:
    """Return what a change sends; nothing if there is nothing that it would change.

    `access` is what the plan gives, `limits` those of now. A session that was let into a walled
    garden at its login, under the plan there, leaves it by another login alone. Where the NAS
    forgets what a request leaves out, all is in it.
    """
    pending = set(job.pending.split(","))
    applied = set(job.applied.split(","))
    whole = profile.coa.resend_full_set
    if began_in_garden and Action.RESTORE in pending:
        return Cannot("it began in a walled garden")
    parts = (
        _garden(job, profile, pending, applied, whole=whole),
        _rate(job, profile, access, pending, applied, whole=whole),
    )
    attributes: list[Attribute] = []
    for part in parts:
        if isinstance(part, Cannot):
            return part
        attributes += part
    if attributes and not profile.coa.identify:
        return Cannot("its NAS takes no CoA-Request")
    tells_limits = whole or pending & {Action.QUOTA, Action.PLAN, Action.RESTORE}
    if tells_limits and profile.coa.identify:
        attributes += limits
    return attributes


def _garden(
    job: ClaimedJob, profile: Profile, pending: set[str], applied: set[str], *, whole: bool
) -> list[Attribute] | Cannot:
    rules = profile.garden
    if job.treatment == Action.REDIRECT:
        if not (whole or Action.REDIRECT in pending):
            return []
        if not profile.can_redirect:
            return Cannot("its NAS cannot redirect a running session")
        return [Line(line).attribute({"garden": job.wanted}) for line in rules.attributes]
    if Action.REDIRECT not in applied or whole:
        return []
    if not (rules.leave and rules.in_coa):
        return Cannot("its NAS cannot let a running session out of a walled garden")
    return [Line(line).attribute({}) for line in rules.leave]


def _rate(
    job: ClaimedJob,
    profile: Profile,
    access: Access,
    pending: set[str],
    applied: set[str],
    *,
    whole: bool,
) -> list[Attribute] | Cannot:
    rules = profile.rate
    throttled = job.treatment == Action.THROTTLE
    ends = Action.THROTTLE in applied and not throttled
    asked = bool(pending & {Action.THROTTLE, Action.RESTORE, Action.PLAN})
    if not (whole or ends or asked) or job.treatment == Action.REDIRECT:
        return []
    if not (rules.attributes and rules.in_coa):
        if throttled or ends:
            return Cannot("its NAS cannot change the speed of a running session")
        # A plan's speed that it was told at the login is changed by a new one only.
        if Action.PLAN in pending and rules.attributes and access.rate_down_kbps:
            return Cannot("its NAS cannot change the speed of a running session")
        return []
    if throttled:
        down, up = speed_of(job.wanted)
        access = msgspec.structs.replace(access, rate_down_kbps=down, rate_up_kbps=up)
    if access.rate_down_kbps:
        return rate_attributes(profile, access)
    if ends and not rules.unlimited:
        return Cannot("its NAS cannot lift the speed of a running session")
    return [Line(line).attribute({}) for line in rules.unlimited]
