"""What was decided, in the attributes that a NAS's vendor understands. Pure."""

from billing.subscribers.login import Bounds
from radius.access import Answer, Login
from radius.encoding import Attribute, Line, encode
from radius.passwords import MsChap2, MsChap2Success, mschap2_error
from radius.profiles import Profile
from radius.profiles import Volume as VolumeAttribute
from ratewire.access.decision import MESSAGES, Promise, Refusal, Rules
from ratewire.access.limits import Volume
from ratewire.pipeline.tickets import class_of
from rating.access import Access

#: What 32 bits can say.
_MOST = 2**32 - 1


def accepted(
    promise: Promise,
    *,
    uid: bytes,
    access: Access,
    bounds: Bounds,
    profile: Profile,
    rules: Rules,
    mschap2: MsChap2Success | None,
) -> Answer:
    """Return the Access-Accept of a login that was granted."""
    attributes = [encode("Class", class_of(uid)), *_session(profile, rules, promise.seconds)]
    if access.idle_seconds:
        attributes.append(encode("Idle-Timeout", access.idle_seconds))
    attributes += _address(bounds, access)
    if access.rate_down_kbps:
        attributes += rate_attributes(profile, access)
    if profile.quota.in_accept:
        attributes += quota_attributes(profile, promise.volume)
    return Answer(accepted=True, attributes=tuple(attributes), mschap2=mschap2)


def in_garden(
    access: Access,
    *,
    mark: bytes,
    bounds: Bounds,
    profile: Profile,
    rules: Rules,
    refusal: Refusal,
    mschap2: MsChap2Success | None,
) -> Answer:
    """Return the Access-Accept of a login that is let into the walled garden alone."""
    places = {"garden": access.garden}
    attributes = [
        encode("Class", mark),
        *_session(profile, rules, rules.garden),
        *_address(bounds, access),
        *(Line(line).attribute(places) for line in profile.garden.attributes),
        encode("Reply-Message", MESSAGES[refusal]),
    ]
    return Answer(accepted=True, attributes=tuple(attributes), mschap2=mschap2)


def refused(login: Login, refusal: Refusal) -> Answer:
    """Return the Access-Reject."""
    attributes = [encode("Reply-Message", MESSAGES[refusal])]
    if isinstance(login.proof, MsChap2):
        attributes.append(encode("MS-CHAP-Error", mschap2_error(login.proof)))
    return Answer(accepted=False, attributes=tuple(attributes))


def rate_attributes(profile: Profile, access: Access) -> list[Attribute]:
    """Return what sets a plan's speed on this NAS; nothing where no attribute does."""
    places = {
        "up_bps": min(access.rate_up_kbps * 1000, _MOST),
        "down_bps": min(access.rate_down_kbps * 1000, _MOST),
        "up_kbps": access.rate_up_kbps,
        "down_kbps": access.rate_down_kbps,
    }
    return [Line(line).attribute(places) for line in profile.rate.attributes]


def quota_attributes(profile: Profile, volume: Volume) -> list[Attribute]:
    """Return what bounds a session's octets on this NAS; nothing where nothing does."""
    limits = {
        "in": volume.octets_in,
        "out": volume.octets_out,
        "total": volume.octets_total,
    }
    attributes: list[Attribute] = []
    for each in profile.quota.volume:
        limit = limits[each.scope]
        if limit is not None:
            attributes += _volume(each, limit)
    if attributes:
        attributes += [Line(line).attribute({}) for line in profile.quota.also]
    return attributes


def _volume(attribute: VolumeAttribute, octets: int) -> list[Attribute]:
    # Rounded down: what the NAS lets through beyond it nobody has paid for. A quota of zero means
    # "none" to some, so the least is one unit.
    amount = max(min(octets // attribute.unit, attribute.max), 1)
    if attribute.format:
        return [encode(attribute.attribute, attribute.format.format(amount=amount), attribute.tag)]
    if not attribute.high:
        return [encode(attribute.attribute, amount, attribute.tag)]
    return [
        encode(attribute.attribute, amount & _MOST, attribute.tag),
        encode(attribute.high, amount >> 32, attribute.tag),
    ]


def _session(profile: Profile, rules: Rules, seconds: int | None) -> list[Attribute]:
    attributes: list[Attribute] = []
    if seconds is not None and profile.time.attribute:
        attributes.append(encode(profile.time.attribute, min(seconds, _MOST)))
    if profile.interim.in_accept:
        interval = max(rules.interim, profile.interim.minimum_seconds)
        attributes.append(encode("Acct-Interim-Interval", interval))
    return attributes


def _address(bounds: Bounds, access: Access) -> list[Attribute]:
    if bounds.framed_ip is not None:
        return [encode("Framed-IP-Address", bounds.framed_ip)]
    pool = bounds.framed_pool or access.pool
    return [encode("Framed-Pool", pool)] if pool else []
