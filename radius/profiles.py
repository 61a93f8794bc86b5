"""Vendor profiles: what differs between NAS products, as data in TOML files.

The files beside this module, in `vendors/`, are the ones that ship; each says what its keys mean.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import msgspec

from radius.identification import NAMES, NAS_ATTRIBUTE_NAMES

_VENDORS = Path(__file__).with_name("vendors")


class CoaRules(msgspec.Struct, frozen=True):
    """How the NAS takes Disconnect- and CoA-Requests."""

    port: int
    message_authenticator: bool
    event_timestamp: bool


class DisconnectRules(msgspec.Struct, frozen=True):
    """How a session is identified when it is to be cut."""

    identify: tuple[tuple[str, ...], ...]
    """Alternative sets of attribute names, in the order in which they are tried."""


class CounterRules(msgspec.Struct, frozen=True):
    """What the octet counters of the NAS mean."""

    gigawords: Literal["sent", "absent"]
    """"absent": 32-bit counters, which may wrap."""
    swap_octets: bool
    """Whether input and output are the wrong way round."""


class Profile(msgspec.Struct, frozen=True):
    """One NAS product, with the tables and keys of its file."""

    name: str
    coa: CoaRules
    disconnect: DisconnectRules
    counters: CounterRules


class ProfileError(ValueError):
    """A profile cannot be used. `faults` names every key that is wrong, and what is allowed."""

    def __init__(self, name: str, faults: list[str]) -> None:
        super().__init__(f"vendor profile {name}: " + "; ".join(faults))
        self.faults = faults


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


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _is_gigawords(value: object) -> bool:
    return value in ("sent", "absent")


def _is_identify(value: object) -> bool:
    """Alternatives that each hold at least one attribute of a session, none of them twice."""
    if not isinstance(value, list) or not value:
        return False
    return all(_is_alternative(alternative) for alternative in cast(list[object], value))


def _is_alternative(value: object) -> bool:
    if not isinstance(value, list):
        return False
    names = cast(list[object], value)
    return (
        all(isinstance(name, str) and name in NAMES for name in names)
        and len(set(names)) == len(names)
        and not NAS_ATTRIBUTE_NAMES.issuperset(cast(list[str], names))
    )


_IDENTIFY_ALLOWED = (
    "lists of attribute names, none twice in a list, in each at least one that is not of the NAS, "
    f"from: {', '.join(sorted(NAMES))}"
)
_KEYS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "coa.port": ("a port, 1 to 65535", _is_port),
    "coa.message_authenticator": ("true or false", _is_boolean),
    "coa.event_timestamp": ("true or false", _is_boolean),
    "disconnect.identify": (_IDENTIFY_ALLOWED, _is_identify),
    "counters.gigawords": ('"sent" or "absent"', _is_gigawords),
    "counters.swap_octets": ("true or false", _is_boolean),
}
