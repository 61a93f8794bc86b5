"""What FreeRADIUS's rlm_rest says and understands: JSON to attributes and back. Pure.

Two shapes are taken: its own, an object of `{"type": ..., "value": [...]}` by attribute name, and a
flat object of plain values, as a `data` template writes it; there OpenWISP's names work too. Values
of enumerated attributes come as names or numbers, octets as 0x and hex digits.
"""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

from radius import packet
from radius.access import Answer
from radius.attributes import VENDOR_SPECIFIC
from radius.dictionary import load_dictionary
from radius.encoding import Attribute, LineError, Named, encode, named
from radius.packet import Fault, Packet

#: OpenWISP's names of attributes, in lower case, where they are not ours with underscores.
_ALIASES: Final = {
    "username": "User-Name",
    "status_type": "Acct-Status-Type",
    "session_id": "Acct-Session-Id",
    "session_time": "Acct-Session-Time",
    "input_octets": "Acct-Input-Octets",
    "output_octets": "Acct-Output-Octets",
    "input_gigawords": "Acct-Input-Gigawords",
    "output_gigawords": "Acct-Output-Gigawords",
    "terminate_cause": "Acct-Terminate-Cause",
    "delay_time": "Acct-Delay-Time",
}

_ENUMERATED: Final[dict[str, dict[str, int]]] = {
    "Acct-Status-Type": {
        "Start": 1,
        "Stop": 2,
        "Interim-Update": 3,
        "Alive": 3,
        "Accounting-On": 7,
        "Accounting-Off": 8,
    },
    "Service-Type": {
        "Login-User": 1,
        "Framed-User": 2,
        "Call-Check": 10,
        "Call-Check-User": 10,
    },
    "Acct-Terminate-Cause": {
        name: number
        for number, name in enumerate(
            (
                *("User-Request", "Lost-Carrier", "Lost-Service", "Idle-Timeout"),
                *("Session-Timeout", "Admin-Reset", "Admin-Reboot", "Port-Error", "NAS-Error"),
                *("NAS-Request", "NAS-Reboot", "Port-Unneeded", "Port-Preempted"),
                *("Port-Suspended", "Service-Unavailable", "Callback", "User-Error"),
                "Host-Request",
            ),
            1,
        )
    },
}

_HEX = re.compile(r"0x([0-9A-Fa-f]{2})*")

#: How FreeRADIUS prints a date.
_DATE: Final = "%b %d %Y %H:%M:%S %Z"


class RestError(ValueError):
    """A body that is no request; the message says what is wrong and what is allowed."""


def packet_of(body: object, code: int) -> Packet:
    """Return the packet that a body tells of, as if the NAS had sent it. Raises RestError."""
    if not isinstance(body, dict):
        raise RestError("the body is to be a JSON object of attributes by name")
    values = _values(cast("dict[str, Any]", body))
    octets = b"".join(
        packet.attribute(*encoded)
        for name, each in values.items()
        for value in each
        if (encoded := _encoded(name, value)) is not None
    )
    head = bytes((code, 0)) + (packet.HEADER_OCTETS + len(octets)).to_bytes(2) + bytes(16)
    if len(head) + len(octets) > packet.MAX_ACCOUNTING_OCTETS:
        raise RestError("the attributes are longer than a packet, 4095 octets")
    parsed = packet.split(head + octets)
    if isinstance(parsed, Fault):
        raise RestError(parsed.detail)
    return parsed


def check_counters(body: dict[str, Any]) -> None:
    """Refuse counters that a template has cut to 32 bits. Raises RestError.

    rlm_rest's own shape has what the NAS sent; a flat one has what somebody wrote down, and
    without Gigawords it loses 4 GiB each time that a counter wraps.
    """
    flat = not any(isinstance(value, dict) for value in body.values())
    names = {_name(key) for key in body}
    counted = {"Acct-Input-Octets", "Acct-Output-Octets"} & names
    gigawords = {"Acct-Input-Gigawords", "Acct-Output-Gigawords"} & names
    if flat and counted and len(gigawords) < len(counted):
        raise RestError(
            "octets without Acct-Input-Gigawords and Acct-Output-Gigawords: add both to the "
            "template, or counters lose 4 GiB each time that they wrap"
        )
    if flat and counted and "Event-Timestamp" not in names:
        raise RestError("octets without Event-Timestamp: add it to the template")


def answer_body(answer: Answer) -> dict[str, Any]:
    """Return an answer's attributes as rlm_rest takes them into its reply list."""
    body: dict[str, dict[str, Any]] = {}
    for attribute in answer.attributes:
        name, value = _decoded(attribute)
        entry = body.setdefault(f"reply:{name}", {"op": ":=", "do_xlat": False, "value": []})
        entry["value"].append(value)
    return cast("dict[str, Any]", body)


def control(**values: str) -> dict[str, Any]:
    """Return attributes of FreeRADIUS's control list; underscores stand for hyphens."""
    return {
        f"control:{name.replace('_', '-')}": {"op": ":=", "do_xlat": False, "value": [value]}
        for name, value in values.items()
    }


def _values(body: dict[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, entry in body.items():
        value = cast("dict[str, Any]", entry).get("value") if isinstance(entry, dict) else entry
        if value is None or value == "":
            continue
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        found.setdefault(_name(key), []).extend(values)
    return found


def _name(key: str) -> str:
    """An attribute's name, from whatever shape."""
    alias = _ALIASES.get(key.lower())
    if alias is not None:
        return alias
    wanted = key.replace("_", "-")
    if named(wanted) is not None:
        return wanted
    return _BY_LOWER.get(wanted.lower(), wanted)


_BY_LOWER: Final = {
    name.lower(): name
    for name in (
        *("User-Name", "User-Password", "NAS-IP-Address", "NAS-Identifier", "NAS-Port"),
        *("NAS-Port-Id", "NAS-Port-Type", "Service-Type", "Framed-IP-Address"),
        *("Calling-Station-Id", "Called-Station-Id", "Event-Timestamp", "Class"),
    )
}


def _encoded(name: str, value: Any) -> Attribute | None:
    """An attribute's octets; None for one that is not known, or a word for a number of it."""
    found = named(name)
    if found is None or isinstance(value, dict | list | bool | float):
        return None
    try:
        return encode(name, _typed(found, value))
    except LineError as error:
        if found.type == "integer" and isinstance(value, str) and not value.isdigit():
            return None  # the name of an enumerated value, which nothing here reads
        raise RestError(str(error)) from error


def _typed(found: Named, value: str | int) -> str | int | bytes:
    text = str(value)
    if found.type == "octets" or (found.type == "string" and text.startswith("0x")):
        if _HEX.fullmatch(text):
            return bytes.fromhex(text[2:])
        return text.encode()
    if found.type == "date" and isinstance(value, str) and not value.isdigit():
        try:
            moment = datetime.strptime(value, _DATE).replace(tzinfo=UTC)
        except ValueError:
            raise LineError(
                f"{found.name}: {value!r}; allowed are Unix seconds, or 'Nov 28 2026 09:00:00 UTC'"
            ) from None
        return int(moment.timestamp())
    return _ENUMERATED.get(found.name, {}).get(text, value)


def _decoded(attribute: Attribute) -> tuple[str, str | int]:
    """The name and the value of an attribute of ours, as FreeRADIUS writes them."""
    kind, octets = attribute
    vendor = 0
    if kind == VENDOR_SPECIFIC:
        vendor, kind, octets = int.from_bytes(octets[:4]), octets[4], octets[6:]
    found = _known(vendor, kind)
    match found.type:
        case "integer" | "date":
            return found.name, int.from_bytes(octets)
        case "ipaddr":
            return found.name, ".".join(str(octet) for octet in octets)
        case "string":
            return found.name, octets.decode(errors="replace")
        case _:
            return found.name, f"0x{octets.hex()}"


def _known(vendor: int, kind: int) -> Named:
    return _numbered()[vendor, kind]


@cache
def _numbered() -> dict[tuple[int, int], Named]:
    """Attributes by vendor and type."""
    every = [named(name) for name in load_dictionary().attributes]
    return {(each.vendor, each.kind): each for each in every if each is not None}
