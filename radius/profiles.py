"""Vendor profiles: what differs between NAS products, as data in TOML files.

The files beside this module, in `vendors/`, are the ones that ship; `generic.toml` says what each
key means, the others where their values come from.
"""

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, cast

import msgspec

from radius.encoding import Line, LineError, named
from radius.identification import NAMES, NAS_ATTRIBUTE_NAMES

_VENDORS = Path(__file__).with_name("vendors")

#: What a counter may count as one, in octets.
UNITS = (1, 2**10, 2**20, 2**30)

#: What templates may say, and what stands there when one is checked.
RATE_PLACES = {"up_bps": 8000, "down_bps": 8000, "up_kbps": 8, "down_kbps": 8}
GARDEN_PLACES = {"garden": "garden"}
QUOTA_PLACES = {"amount": 1}


class CoaRules(msgspec.Struct, frozen=True):
    """How the NAS takes Disconnect- and CoA-Requests."""

    port: int
    message_authenticator: bool
    event_timestamp: bool
    identify: tuple[tuple[str, ...], ...] = ()
    """As `DisconnectRules.identify`, for CoA-Requests; empty: it takes none."""
    resend_full_set: bool = False
    """Whether what a CoA-Request leaves out is forgotten, so that all has to be sent again."""


class DisconnectRules(msgspec.Struct, frozen=True):
    """How a session is identified when it is to be cut."""

    identify: tuple[tuple[str, ...], ...]
    """Alternative sets of attribute names, in the order in which they are tried. Empty: the NAS
    takes no Disconnect-Request."""


class Volume(msgspec.Struct, frozen=True):
    """One attribute that bounds the octets of a session.

    `attribute` holds the amount in units of `unit` octets, at most `max` of them; where `high` is
    named, `attribute` holds the lower 32 bits and `high` the rest. `format` is how a text says the
    amount, "" for a number. `tag` is that of a tagged attribute (RFC 2868), 0 for none.
    """

    scope: Literal["in", "out", "total"]
    attribute: str
    high: str
    unit: int
    max: int
    format: str
    tag: int


class QuotaRules(msgspec.Struct, frozen=True):
    """How the NAS is told the octets that a session may use."""

    volume: tuple[Volume, ...]
    also: tuple[str, ...]
    """Attribute lines that a quota needs beside it."""
    in_accept: bool
    in_coa: bool
    in_accounting_response: bool
    counts: Literal["from_start", "remaining"]
    """What an amount counts that a running session is told: all its octets, or those from now."""


class TimeRules(msgspec.Struct, frozen=True):
    """How the NAS is told the seconds that a session may last. An empty attribute: not at all."""

    attribute: str
    coa: Literal["from_start", "from_now", "ignored"]
    """What the attribute counts from in a CoA-Request."""


class RateRules(msgspec.Struct, frozen=True):
    """Attribute lines that set a speed. Without `unlimited` only a new login lifts it."""

    attributes: tuple[str, ...]
    unlimited: tuple[str, ...]
    in_coa: bool


class GardenRules(msgspec.Struct, frozen=True):
    """Attribute lines that put a session into a walled garden, and `leave` that let it out.

    Without those only a new login does.
    """

    attributes: tuple[str, ...]
    leave: tuple[str, ...]
    in_coa: bool


class CounterRules(msgspec.Struct, frozen=True):
    """What the octet counters of the NAS mean."""

    gigawords: Literal["sent", "absent"]
    """"absent": 32-bit counters, which may wrap."""
    swap_octets: bool
    """Whether input and output are the wrong way round."""
    unit: int
    """Octets that a counter counts as one."""
    includes_ipv6: bool
    """Whether the octets of IPv6 are in the standard counters."""
    service_marker: str
    """An attribute, or an attribute and the beginning of its value ("Name=begin"), that marks the
    record of a service inside a session: its octets are in the session's own. Empty: none."""


class InterimRules(msgspec.Struct, frozen=True):
    """How the NAS heeds Acct-Interim-Interval."""

    minimum_seconds: int
    in_accept: bool


class SessionRules(msgspec.Struct, frozen=True):
    """What an Accounting-On is about."""

    accounting_on: Literal["nas", "ignored"]
    """"nas": all sessions of that NAS are over; "ignored": acknowledged, and no more."""


class LoginRules(msgspec.Struct, frozen=True):
    """What an Access-Request of the NAS has."""

    message_authenticator: bool
    """Whether it signs it, so that one without is forged."""
    class_returned: bool
    """Whether its accounting brings Class back."""


class Profile(msgspec.Struct, frozen=True):
    """One NAS product, with the tables and keys of its file."""

    name: str
    coa: CoaRules
    disconnect: DisconnectRules
    quota: QuotaRules
    time: TimeRules
    rate: RateRules
    garden: GardenRules
    counters: CounterRules
    interim: InterimRules
    session: SessionRules
    login: LoginRules

    @property
    def can_cut(self) -> bool:
        """Whether a running session can be ended by a request of ours."""
        return bool(self.disconnect.identify)

    @property
    def can_redirect(self) -> bool:
        """Whether a running session can be put into a walled garden by a request of ours."""
        return bool(self.coa.identify and self.garden.attributes and self.garden.in_coa)


class ProfileError(ValueError):
    """A profile cannot be used. `faults` names every key that is wrong, and what is allowed."""

    def __init__(self, name: str, faults: list[str]) -> None:
        super().__init__(f"vendor profile {name}: " + "; ".join(faults))
        self.faults = faults


@cache
def builtin_profiles() -> dict[str, Profile]:
    """The profiles that ship, by name (the file's name without `.toml`)."""
    return {
        path.stem: read_profile(path.stem, path.read_text("utf-8"))
        for path in sorted(_VENDORS.glob("*.toml"))
    }


def read_profile(name: str, toml: str) -> Profile:
    """The profile in this TOML text. Every key is required, unknown ones are refused.

    Raises ProfileError, which names all faults at once.
    """
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(name, [f"not TOML: {error}"]) from error
    faults: list[str] = []
    flat = _flatten(document, faults)
    faults += [
        f"{key}: unknown key; allowed are {', '.join(_KEYS)}" for key in flat if key not in _KEYS
    ]
    for key, (allowed, accepts) in _KEYS.items():
        if key not in flat:
            faults.append(f"{key}: missing; allowed is {allowed}")
        elif not accepts(flat[key]):
            faults.append(f"{key}: {flat[key]!r}; allowed is {allowed}")
    if faults:
        raise ProfileError(name, faults)
    return msgspec.convert({"name": name, **document}, Profile)


def _flatten(document: dict[str, object], faults: list[str]) -> dict[str, object]:
    """Keys of all tables as `table.key`."""
    flat: dict[str, object] = {}
    for table, content in document.items():
        if isinstance(content, dict):
            inner = cast(dict[str, object], content)
            flat |= {f"{table}.{key}": value for key, value in inner.items()}
        else:
            faults.append(f"{table}: unknown key outside of any table")
    return flat


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_port(value: object) -> bool:
    return _is_number(value, 1, 65535)


def _one_of(*allowed: str) -> tuple[str, Callable[[object], bool]]:
    return " or ".join(f'"{each}"' for each in allowed), lambda value: value in allowed


def _texts(value: object) -> list[str] | None:
    """The value as a list of texts; None if it is none."""
    if not isinstance(value, list):
        return None
    texts = [each for each in cast(list[object], value) if isinstance(each, str)]
    return texts if len(texts) == len(cast(list[object], value)) else None


def _is_identify(value: object) -> bool:
    """Alternatives that each hold at least one attribute of a session, none of them twice."""
    if not isinstance(value, list):
        return False
    return all(_is_alternative(alternative) for alternative in cast(list[object], value))


def _is_alternative(value: object) -> bool:
    names = _texts(value)
    return (
        bool(names)
        and all(name in NAMES for name in names)
        and len(set(names)) == len(names)
        and not NAS_ATTRIBUTE_NAMES.issuperset(names)
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and named(value) is not None


def _is_optional_name(value: object) -> bool:
    return value == "" or _is_name(value)


def _is_marker(value: object) -> bool:
    return isinstance(value, str) and _is_optional_name(value.partition("=")[0])


def _are_lines(places: dict[str, int] | dict[str, str]) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        lines = _texts(value)
        if lines is None:
            return False
        try:
            for line in lines:
                Line(line).attribute(places)
        except LineError:
            return False
        return True

    return accepts


_VOLUME_KEYS = ("scope", "attribute", "high", "unit", "max", "format", "tag")


def _are_volumes(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(_is_volume(each) for each in cast(list[object], value))


def _is_volume(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    entry = cast(dict[str, object], value)
    if tuple(entry) != _VOLUME_KEYS or not isinstance(entry["format"], str):
        return False
    try:
        entry["format"].format(**QUOTA_PLACES)
    except (KeyError, IndexError, ValueError):
        return False
    return (
        entry["scope"] in ("in", "out", "total")
        and _is_name(entry["attribute"])
        and _is_optional_name(entry["high"])
        and _is_number(entry["unit"], 1, 2**40)
        and _is_number(entry["max"], 1, 2**63 - 1)
        and _is_number(entry["tag"], 0, 31)
    )


_BOOLEAN = ("true or false", _is_boolean)
_IDENTIFY = (
    (
        "lists of attribute names, none twice in a list, in each at least one that is not of the "
        f"NAS, from: {', '.join(sorted(NAMES))}"
    ),
    _is_identify,
)
_LINES = "a list of lines 'Attribute-Name = value', with the places "
_KEYS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "coa.port": ("a port, 1 to 65535", _is_port),
    "coa.message_authenticator": _BOOLEAN,
    "coa.event_timestamp": _BOOLEAN,
    "coa.identify": _IDENTIFY,
    "coa.resend_full_set": _BOOLEAN,
    "disconnect.identify": _IDENTIFY,
    "quota.volume": (
        f"a list of tables with the keys {', '.join(_VOLUME_KEYS)}, in that order",
        _are_volumes,
    ),
    "quota.also": (_LINES + "(none)", _are_lines({})),
    "quota.in_accept": _BOOLEAN,
    "quota.in_coa": _BOOLEAN,
    "quota.in_accounting_response": _BOOLEAN,
    "quota.counts": _one_of("from_start", "remaining"),
    "time.attribute": ("the name of an attribute, or empty", _is_optional_name),
    "time.coa": _one_of("from_start", "from_now", "ignored"),
    "rate.attributes": (_LINES + ", ".join(RATE_PLACES), _are_lines(RATE_PLACES)),
    "rate.unlimited": (_LINES + "(none)", _are_lines({})),
    "rate.in_coa": _BOOLEAN,
    "garden.attributes": (_LINES + ", ".join(GARDEN_PLACES), _are_lines(GARDEN_PLACES)),
    "garden.leave": (_LINES + "(none)", _are_lines({})),
    "garden.in_coa": _BOOLEAN,
    "counters.gigawords": _one_of("sent", "absent"),
    "counters.swap_octets": _BOOLEAN,
    "counters.unit": ("1, 1024, 1048576 or 1073741824", lambda value: value in UNITS),
    "counters.includes_ipv6": _BOOLEAN,
    "counters.service_marker": (
        "the name of an attribute, or that and how its value begins (Name=begin), or empty",
        _is_marker,
    ),
    "interim.minimum_seconds": ("seconds, 1 to 3600", lambda value: _is_number(value, 1, 3600)),
    "interim.in_accept": _BOOLEAN,
    "session.accounting_on": _one_of("nas", "ignored"),
    "login.message_authenticator": _BOOLEAN,
    "login.class_returned": _BOOLEAN,
}
